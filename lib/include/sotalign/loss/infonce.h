// Generalised InfoNCE: how far the softmaxes of a student affinity K are from those of a teacher affinity K*,
//   InfoNCE(K || K*) = 1/2 (mean over rows of KL(softmax(K*_i / e*) || softmax(K_i / e))
//                           + the same over columns),
// with the epsilons e and e* (SOTAlign, arXiv 2602.23353). With a teacher that knows the pairs, K*_ij = 1 for
// pairs and 0 elsewhere, and a small e*, this is the usual InfoNCE loss.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of InfoNce.
struct InfoNceOptions {
  double epsilon_student = 0.05;  ///< temperatures of the softmaxes, > 0
  double epsilon_teacher = 0.01;
};

/// For affinities [rows, cols]. The constructor allocates; runs allocate nothing and copy nothing to the
/// host. A run reads K and K* twice each. The context outlives it.
class InfoNce {
 public:
  /// Throws InvalidArgument for an empty shape and for epsilons that are out of range.
  InfoNce(Context& context, int64_t rows, int64_t cols, const InfoNceOptions& options = {});

  /// gradient = gradient_scale * dInfoNCE/dK, [rows, cols]. It may be the memory of `student` or of
  /// `teacher`. With an empty view (data null) a run computes the value only. Queues its work and returns.
  /// Throws InvalidArgument for shapes that do not fit.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// The value of the last run; waits for it.
  double value() const;

 private:
  Context* context_;
  int64_t rows_, cols_;
  float c_student_, c_teacher_;            // 1 / epsilon
  Buffer<double> row_sums_, column_sums_;  // logarithms, [2, rows] and [2, cols]: student first
  Buffer<double> value_;
};

}  // namespace sotalign
