// CKA divergence between a student affinity K and a teacher affinity K*: value and gradient.
#pragma once

#include <cstddef>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// With A = H K H and B = H K* H, where H subtracts the mean (rows and columns of A sum to zero):
///   value = 1 - <A, B> / (|A| |B|),   gradient = gradient_scale (<A, B> / |A|^2 A - B) / (|A| |B|)
/// Reads K and K* twice: once for sums and products, which give the means and norms, and once for the
/// gradient. Stores neither A nor B. All sums are in double, over entries minus the first entry of their
/// matrix, so a large common offset costs no digits.
///
/// A matrix is degenerate if |A|^2 <= kCkaDegenerate |K|^2: A is no larger than the rounding of K's entries.
/// Constant matrices, row term plus column term (k_ij = r_i + c_j), and single rows or columns are
/// degenerate: they have no structure to compare. The value is then 1, as for unrelated matrices, and the
/// gradient 0. A NaN makes the value NaN.
struct Cka {
  const float* student = nullptr;  ///< K [rows, cols]
  int64_t student_stride = 0;
  const float* teacher = nullptr;  ///< K* [rows, cols]
  int64_t teacher_stride = 0;
  int64_t rows = 0, cols = 0;
  float* gradient = nullptr;  ///< [rows, cols] or null; may overwrite either affinity
  int64_t gradient_stride = 0;
  float gradient_scale = 1.0f;  ///< multiplies the gradient, not the value
  double* value = nullptr;      ///< [1]
  void* scratch = nullptr;      ///< cka_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(cka, Cka)

inline constexpr double kCkaDegenerate = 1e-13;

}  // namespace sotalign::kernels
