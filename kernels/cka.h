// Value and gradient of the CKA divergence of a student affinity K and a teacher affinity K*.
#pragma once

#include <cstddef>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// With A = H K H and B = H K* H, where H takes off the mean (so that rows and columns of A sum to zero):
///   value = 1 - <A, B> / (|A| |B|),   gradient = gradient_scale (<A, B> / |A|^2 A - B) / (|A| |B|)
/// Two reads of K and K*: one for sums and products, from which means and norms follow, and one for the
/// gradient. Neither A nor B is stored. Everything is summed in double, entries taken relative to the first
/// one of their matrix, so that a large common part costs no digits.
///
/// A matrix whose A is no more than rounding its entries may leave, |A|^2 <= kCkaDegenerate |K|^2, has no
/// structure to compare (constant, or rows + columns, or a single row or column): the value is then 1, as
/// for unrelated matrices, and the gradient 0. A NaN makes the value NaN.
struct Cka {
  const float* student = nullptr;  ///< K [rows, cols]
  int64_t student_stride = 0;
  const float* teacher = nullptr;  ///< K* [rows, cols]
  int64_t teacher_stride = 0;
  int64_t rows = 0, cols = 0;
  float* gradient = nullptr;  ///< [rows, cols], or null; may be the student's or the teacher's affinity
  int64_t gradient_stride = 0;
  float gradient_scale = 1.0f;  ///< multiplies the gradient, not the value
  double* value = nullptr;      ///< [1]
  void* scratch = nullptr;      ///< cka_scratch() bytes
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(cka, Cka)

inline constexpr double kCkaDegenerate = 1e-13;

}  // namespace sotalign::kernels
