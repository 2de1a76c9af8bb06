// KLOT (SOTAlign, arXiv 2602.23353): how far the entropic transport plan P of a student affinity K is from
// the plan P* of a teacher affinity K*,
//   KLOT(K || K*) = KL(P* || P) = sum_ij P*_ij (log P*_ij - log P_ij),   dKLOT/dK = (P - P*) / epsilon,
// where epsilon is the student's. The gradient needs no back-propagation through the iterations and is exact
// once the student's solve has converged.
//
// Plans have total mass 1. In the paper's text, rows sum to 1: its values and gradients are n times ours.
#pragma once

#include <memory>
#include <vector>

#include "sotalign/ot/fixed_point_matrix.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign::detail {
class KlotSolver;
}

namespace SOTALIGN_API sotalign {

/// The settings of KLOT: how to solve its two sides, student and teacher.
struct KlotOptions {
  double epsilon_student = 0.05;
  double epsilon_teacher = 0.01;
  Symmetrize symmetrize = Symmetrize::kYes;  ///< on both sides, as in the authors' code
  /// Small problems with equal options are solved as one batch, others in turn.
  SolveOptions student = {}, teacher = {};

  /// A copy of these options with `solve` for both sides.
  KlotOptions with_both(const SolveOptions& solve) const {
    KlotOptions options = *this;
    options.student = options.teacher = solve;
    return options;
  }
  bool operator==(const KlotOptions&) const = default;
};

/// The value of KLOT, and how the solve of each side ended.
struct KlotResult {
  double value = 0;
  SinkhornResult student, teacher;
};

/// KLOT of affinities [rows, cols]. Runs after the first allocate nothing and, for stored affinities, copy
/// nothing to the host. The context must outlive it.
class Klot {
 public:
  /// Throws InvalidArgument for an empty shape and for options out of range.
  Klot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options);
  ~Klot();
  Klot(Klot&&) noexcept;
  Klot& operator=(Klot&&) noexcept;

  /// Sets the marginals of both problems; see Sinkhorn::set_weights.
  void set_weights(const std::vector<double>& a, const std::vector<double>& b);

  /// gradient = gradient_scale * dKLOT/dK, [rows, cols]. It may overwrite `student` or `teacher`; if it is
  /// empty (data null), only the value is computed. Queues its work and returns. Throws InvalidArgument if
  /// shapes do not match.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// The same for affinities in fixed point: decodes them strip by strip and solves in the log domain.
  /// Synchronizes in every iteration, so that no strip is decoded after convergence.
  void run(const FixedPointMatrix& student, const FixedPointMatrix& teacher, MatrixF gradient,
           double gradient_scale = 1.0);

  /// Waits for the last run and returns its result.
  KlotResult result() const;

  /// The solver of both problems: 0 is the student's, 1 the teacher's.
  Sinkhorn& solver();

 private:
  std::unique_ptr<detail::KlotSolver> solver_;
};

}  // namespace sotalign
