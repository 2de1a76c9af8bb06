// KLOT (SOTAlign, arXiv 2602.23353): how far the entropic transport plan P of a student affinity K is from
// the plan P* of a teacher affinity K*,
//   KLOT(K || K*) = KL(P* || P) = sum_ij P*_ij (log P*_ij - log P_ij),   dKLOT/dK = (P - P*) / epsilon,
// epsilon the student's. No back-propagation through the iterations; exact once the student's solve
// converged.
//
// Plans have total mass 1. The paper's text lets rows sum to 1: its values and gradients are n times ours.
#pragma once

#include <functional>

#include "sotalign/ot/fixed_point_matrix.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign {

struct KlotOptions {
  double epsilon_student = 0.05;
  double epsilon_teacher = 0.01;
  Symmetrize symmetrize = Symmetrize::kYes;  ///< of both sides, as in the authors' code
  /// Sides whose options are equal are solved as one batch if they are small; others are solved in turn.
  SolveOptions student = {}, teacher = {};

  /// These options with `solve` for both sides.
  KlotOptions with_both(const SolveOptions& solve) const {
    KlotOptions options = *this;
    options.student = options.teacher = solve;
    return options;
  }
  bool operator==(const KlotOptions&) const = default;
};

struct KlotResult {
  double value = 0;
  SinkhornResult student, teacher;
};

/// Evaluates KLOT for affinities [rows, cols]. Sized once: further runs allocate nothing and copy nothing to
/// the host. The context outlives it.
class Klot {
 public:
  Klot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options);

  /// Weights of the marginals, common to both problems; see Sinkhorn::set_weights.
  void set_weights(const std::vector<double>& a, const std::vector<double>& b);

  /// gradient = gradient_scale * dKLOT/dK, [rows, cols]; it may be the memory of `student` or of `teacher`,
  /// and an empty view (data null) asks for the value alone. Queued, not waited for.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// The same for affinities in fixed point, decoded strip by strip. The solves are in the log domain, and
  /// wait in every iteration, as strips that are not needed are not to be made.
  void run(const FixedPointMatrix& student, const FixedPointMatrix& teacher, MatrixF gradient,
           double gradient_scale = 1.0);

  /// Of the last run; waits for it.
  KlotResult result() const;

  /// Problem 0 is the student's, problem 1 the teacher's.
  Sinkhorn& solver() { return solver_; }

 private:
  friend class StreamedKlot;
  void check(int64_t student_rows, int64_t student_cols, int64_t teacher_rows, int64_t teacher_cols,
             MatrixF gradient) const;
  /// Problems whose affinities are stored are solved as a batch of two if they are small, else in turn.
  static int64_t solved_at_once(const Context& context, int64_t rows, int64_t cols);
  /// Value and gradient from the potentials of both solves. `memory(begin)` is where the strip from row
  /// `begin` goes, and `use(gradient, begin)` is called when it is there.
  void differentiate(const detail::Strips& student, const detail::Strips& teacher, double gradient_scale,
                     const std::function<MatrixF(int64_t)>& memory,
                     const std::function<void(MatrixF, int64_t)>& use);

  Context* context_;
  Sinkhorn solver_;
  Buffer<double> value_;
};

}  // namespace sotalign
