// The sigmoid loss on pairs (SigLIP, Zhai et al. 2023), the supervised term of the training.
//
// With K the cosines of the rows of f and g, t = exp(log_scale), and z_ij = +1 for a pair and -1 elsewhere:
//   value = -(1/pairs) sum_ij log sigmoid(z_ij (t K_ij + bias)).
// Row i of f and row i of g are a pair for i < pairs; later rows serve as negatives only.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of siglip() and siglip_of_cosines().
struct SiglipOptions {
  /// Number of pairs; 0 means min(rows, cols) of the cosine matrix.
  int64_t pairs = 0;
  /// Multiplies the gradients, not the value.
  float weight = 1.0f;
  /// Adds to grad_log_scale and grad_bias instead of overwriting them: several losses share the parameters.
  bool add_grad_parameters = false;
};

/// Where siglip_of_cosines() writes its results, in the context's memory.
struct SiglipOutput {
  MatrixF grad_k = {};              ///< [rows, cols]; may overwrite K
  double* value = nullptr;          ///< [1]
  float* grad_log_scale = nullptr;  ///< [1]
  float* grad_bias = nullptr;       ///< [1]
};

/// The loss of a cosine matrix. Queues its work and copies nothing to the host. Throws InvalidArgument for an
/// empty K, for a grad_k of another shape, and for a number of pairs or a weight out of range.
/// @param k [rows, cols], cosines
/// @param log_scale [1], in the context's memory
/// @param bias [1], in the context's memory
void siglip_of_cosines(Context& context, ConstMatrixF k, const float* log_scale, const float* bias,
                       const SiglipOptions& options, const SiglipOutput& output);

/// What siglip() returns: the value and its gradients.
struct SiglipResult {
  double value = 0;
  Matrix<float> grad_f;  ///< [rows of f, d]
  Matrix<float> grad_g;  ///< [rows of g, d]
  double grad_log_scale = 0;
  double grad_bias = 0;
};

/// The loss of two sets of rows of any length, which it scales to unit length first. Gradients are with
/// respect to the rows as given; that of a zero row is zero. Waits for the result. Throws InvalidArgument if
/// f and g differ in columns, and as siglip_of_cosines() does.
/// @param f [p, d]
/// @param g [q, d]
SiglipResult siglip(Context& context, ConstMatrixF f, ConstMatrixF g, float log_scale, float bias,
                    const SiglipOptions& options = {});

}  // namespace sotalign
