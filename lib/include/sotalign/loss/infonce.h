// Generalised InfoNCE: how far the softmaxes of a student affinity K are from those of a teacher affinity K*,
//   InfoNCE(K || K*) = 1/2 (mean over rows of KL(softmax(K*_i / e*) || softmax(K_i / e))
//                           + the same over columns),
// where e and e* are the epsilons (SOTAlign, arXiv 2602.23353). With K*_ij = 1 for pairs and 0 elsewhere, and
// a small e*, this is the usual InfoNCE loss.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of InfoNce.
struct InfoNceOptions {
  double epsilon_student = 0.05;  ///< temperatures of the softmaxes, > 0
  double epsilon_teacher = 0.01;
};

/// InfoNCE of affinities [rows, cols]. Runs after the first allocate nothing and copy nothing to the host. A
/// run reads K and K* twice each. The context must outlive it.
class InfoNce {
 public:
  /// Throws InvalidArgument for an empty shape and for epsilons out of range.
  InfoNce(Context& context, int64_t rows, int64_t cols, const InfoNceOptions& options = {});

  /// gradient = gradient_scale * dInfoNCE/dK, [rows, cols]. It may overwrite `student` or `teacher`; if it is
  /// empty (data null), only the value is computed. Queues its work and returns. Throws InvalidArgument if
  /// shapes do not match.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// Waits for the last run and returns its value.
  double value() const;

 private:
  Context* context_;
  int64_t rows_, cols_;
  float c_student_, c_teacher_;            // 1 / epsilon
  Buffer<double> row_sums_, column_sums_;  // logarithms, [2, rows] and [2, cols]: student first
  Buffer<double> value_;
};

}  // namespace sotalign
