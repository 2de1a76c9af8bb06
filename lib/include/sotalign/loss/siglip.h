// The sigmoid loss on pairs (Zhai et al. 2023), the supervised term of the training.
//
// With K the cosines of the rows of f and g, t = exp(log_scale), and z_ij = +1 for a pair and -1 elsewhere:
//   value = -(1/pairs) sum_ij log sigmoid(z_ij (t K_ij + bias)).
// Row i of f and row i of g are a pair for i < pairs; rows behind those only serve as negatives.
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of siglip() and siglip_of_cosines().
struct SiglipOptions {
  /// Number of pairs; 0 stands for min(rows, cols) of the cosine matrix.
  int64_t pairs = 0;
  /// Multiplies the gradients; the value stays as it is.
  float weight = 1.0f;
  /// grad_log_scale and grad_bias are added to what is there, not overwritten: several losses share them.
  bool add_grad_parameters = false;
};

/// Where siglip_of_cosines() writes, in the memory of the context.
struct SiglipOutput {
  MatrixF grad_k = {};              ///< [rows, cols]; may be the memory of K
  double* value = nullptr;          ///< [1]
  float* grad_log_scale = nullptr;  ///< [1]
  float* grad_bias = nullptr;       ///< [1]
};

/// The loss on a cosine matrix, for a training loop: nothing leaves the device.
/// @param k [rows, cols] cosines
/// @param log_scale [1], @param bias [1] in the memory of the context
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

/// The loss on two sets of rows of any length, which are normalised here; gradients are with respect to the
/// rows as given, zero for a zero row.
/// @param f [p, d] @param g [q, d]
SiglipResult siglip(Context& context, ConstMatrixF f, ConstMatrixF g, float log_scale, float bias,
                    const SiglipOptions& options = {});

}  // namespace sotalign
