// The STRUCTURE regulariser: how much the alignment changes the neighbourhoods that the encoder of a modality
// gives its rows,
//   mean over rows i of JS(softmax(S0_i / tau), softmax(S_i / tau)),   S0 = R R',  S = A A',
// where R and A are the original and the aligned unit rows minus their mean over the batch, and
//   JS(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m), m = (p + q) / 2, between 0 and log 2.
// (Groeger et al. 2025, "With limited data for multimodal alignment, let the STRUCTURE guide you", at one
// level.)
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of StructureLoss.
struct StructureOptions {
  double temperature = 0.07;  ///< tau > 0, of both softmaxes
  /// How many rows of S and S0 are in memory at a time; 0 chooses what suits the device. Affects value and
  /// gradient by rounding only.
  int64_t strip_rows = 0;
};

/// For batches of up to `max_rows` rows of one modality. Runs after the first allocate nothing and copy
/// nothing to the host. A run computes S and S0 strip by strip and never stores them. The context outlives
/// it.
class StructureLoss {
 public:
  /// original_dim, aligned_dim: columns of the original and of the aligned rows. Throws InvalidArgument for
  /// an empty shape and for options that are out of range.
  StructureLoss(Context& context, int64_t max_rows, int64_t original_dim, int64_t aligned_dim,
                const StructureOptions& options = {});

  /// Adds gradient_scale * dStructure/d aligned to d_aligned, [n, aligned_dim]. With an empty view (data
  /// null) a run computes the value only. The gradient is with respect to the given unit rows: it includes
  /// centring, but not normalisation. Queues its work and returns. Throws InvalidArgument for shapes that do
  /// not fit.
  /// @param original [n, original_dim] and @param aligned [n, aligned_dim], unit rows; row i of both is the
  /// same item; 1 <= n <= max_rows. d_aligned must not overlap them.
  void run(ConstMatrixF original, ConstMatrixF aligned, MatrixF d_aligned, double gradient_scale = 1.0);

  /// The value of the last run; waits for it.
  double value() const;

 private:
  Context* context_;
  int64_t max_rows_, original_dim_, aligned_dim_;
  float c_;  // 1 / temperature
  int64_t strip_rows_;
  Buffer<float> ones_;  // [rows of a strip]
  Buffer<double> value_;
};

}  // namespace sotalign
