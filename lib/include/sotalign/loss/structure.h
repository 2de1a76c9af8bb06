// The STRUCTURE regulariser: how far the neighbourhoods of the aligned rows of one modality are from those
// that its encoder gave them,
//   mean over rows i of JS(softmax(S0_i / tau), softmax(S_i / tau)),   S0 = R R',  S = A A',
// where R and A are unit rows, original and aligned, less their mean over the batch, and with m = (p + q) / 2
//   JS(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m), between 0 and log 2.
// (Groeger et al. 2025, "With limited data for multimodal alignment, let the STRUCTURE guide you", at one
// level.)
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of StructureLoss.
struct StructureOptions {
  double temperature = 0.07;  ///< tau > 0, of both softmaxes
  /// Rows of S and S0 that are in memory at a time; 0: as suits the device. Value and gradient agree within
  /// rounding.
  int64_t strip_rows = 0;
};

/// For batches of up to `max_rows` rows of one modality. Sized once: further runs allocate nothing and copy
/// nothing to the host. S and S0 are made strip by strip and never stored. The context outlives it.
class StructureLoss {
 public:
  /// original_dim, aligned_dim: columns of the rows. Throws InvalidArgument for an empty shape and for
  /// options that are out of range.
  StructureLoss(Context& context, int64_t max_rows, int64_t original_dim, int64_t aligned_dim,
                const StructureOptions& options = {});

  /// Adds gradient_scale * dStructure/d aligned to what is in d_aligned, [n, aligned_dim]; an empty view
  /// (data null) asks for the value alone. The gradient is with respect to the unit rows as they are given:
  /// centring is part of the loss, normalising is not. Queued, not waited for. Throws InvalidArgument for
  /// shapes that do not fit.
  /// @param original [n, original_dim] and @param aligned [n, aligned_dim], unit rows, row i of one belongs
  /// to row i of the other, 1 <= n <= max_rows; neither is changed, and d_aligned overlaps neither
  void run(ConstMatrixF original, ConstMatrixF aligned, MatrixF d_aligned, double gradient_scale = 1.0);

  /// Of the last run; waits for it.
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
