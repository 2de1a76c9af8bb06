// The internals of Klot, shared with EmbeddingKlot: a solver for the problems of student and teacher, and the
// pass that computes value and gradient from their potentials.
#pragma once

#include <functional>

#include "ot/sinkhorn_solver.h"
#include "sotalign/ot/klot.h"

namespace sotalign::detail {

class KlotSolver {
 public:
  KlotSolver(Context& context, int64_t rows, int64_t cols, const KlotOptions& options);

  // Implement the functions of Klot of the same names.
  void set_weights(const std::vector<double>& a, const std::vector<double>& b);
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale);
  void run(const FixedPointMatrix& student, const FixedPointMatrix& teacher, MatrixF gradient,
           double gradient_scale);
  KlotResult result() const;
  Sinkhorn& solver() { return sinkhorn_; }

  /// See EmbeddingKlot::keep_teacher.
  void keep_teacher() { keep_teacher_ = true, has_teacher_ = false; }
  /// Whether the next run takes the teacher's potentials from an earlier one.
  bool has_teacher() const { return has_teacher_; }

  int64_t rows() const { return solver_->rows(); }
  int64_t cols() const { return solver_->cols(); }

  using GradientStrip = std::function<MatrixF(int64_t begin)>;
  using UseGradient = std::function<void(MatrixF gradient, int64_t begin)>;
  /// Solves both problems in turn, then computes value and gradient strip by strip. `memory(begin)` returns
  /// where to write the gradient of the strip that begins at row `begin`; `use` is called once that gradient
  /// is queued.
  void run_strips(const Strips& student, const Strips& teacher, double gradient_scale,
                  const GradientStrip& memory, const UseGradient& use);

  /// How many problems of this shape a run solves at once if their affinities are stored and their options
  /// are equal.
  static int64_t solved_at_once(const Context& context, int64_t rows, int64_t cols);

 private:
  void check(int64_t student_rows, int64_t student_cols, int64_t teacher_rows, int64_t teacher_cols,
             MatrixF gradient) const;
  /// Computes value and gradient from the potentials.
  void differentiate(const Strips& student, const Strips& teacher, double gradient_scale,
                     const GradientStrip& memory, const UseGradient& use);

  Context* context_;
  SinkhornSolver* solver_;  // owned by sinkhorn_
  Sinkhorn sinkhorn_;
  Buffer<double> value_;
  bool keep_teacher_ = false, has_teacher_ = false;
};

}  // namespace sotalign::detail
