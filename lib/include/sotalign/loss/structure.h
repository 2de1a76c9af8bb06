// The STRUCTURE regulariser: how far the neighbourhoods of one modality's rows in the shared space are from
// those in the space of its encoder,
//   mean over rows i of JS(softmax(S0_i / tau), softmax(S_i / tau)),   S0 = R R',  S = A A',
// where R and A hold the original and the aligned unit rows minus their batch mean, and with m = (p + q) / 2
//   JS(p, q) = 1/2 KL(p || m) + 1/2 KL(q || m), between 0 and log 2.
// (Groeger et al. 2025, "With limited data for multimodal alignment, let the STRUCTURE guide you"; here with
// one level.)
#pragma once

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of StructureLoss.
struct StructureOptions {
  double temperature = 0.07;  ///< tau > 0, of both softmaxes
  /// Rows of S and S0 in memory at a time; 0 picks a number that suits the device. The choice changes value
  /// and gradient by rounding only.
  int64_t strip_rows = 0;
};

/// The loss of batches of up to `max_rows` rows of one modality. Runs after the first allocate nothing and
/// copy nothing to the host. A run computes S and S0 strip by strip and never stores them as a whole. The
/// context must outlive it.
class StructureLoss {
 public:
  /// original_dim and aligned_dim are numbers of columns. Throws InvalidArgument for an empty shape and for
  /// options out of range.
  StructureLoss(Context& context, int64_t max_rows, int64_t original_dim, int64_t aligned_dim,
                const StructureOptions& options = {});

  /// Adds gradient_scale * dStructure/d aligned to d_aligned, [n, aligned_dim]; if that is empty (data null),
  /// only the value is computed. The gradient is with respect to the unit rows as given: centring is part of
  /// the loss, normalisation is not. Queues its work and returns. Throws InvalidArgument if shapes do not
  /// match.
  /// @param original [n, original_dim], unit rows, 1 <= n <= max_rows
  /// @param aligned [n, aligned_dim], unit rows; row i belongs to row i of `original`
  /// @param d_aligned overlaps neither of them
  void run(ConstMatrixF original, ConstMatrixF aligned, MatrixF d_aligned, double gradient_scale = 1.0);

  /// Waits for the last run and returns its value.
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
