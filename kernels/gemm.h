// C = alpha op(A) op(B) + beta C, row-major, by CBLAS on the CPU and cuBLAS on CUDA.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

enum class Transpose { kNo, kYes };

/// Precision of float products on devices with faster units than float32. Sums are always float32. The CPU
/// treats every mode as kFp32, unless Queue::round_products asks it to round as a device does.
enum class GemmMath {
  kFp32,
  kTf32,  ///< operands rounded to 11 significant bits
  kBf16,  ///< operands rounded to 8 significant bits
};
/// Significant bits of the operands; 24 is all of them.
constexpr int significant_bits(GemmMath math) {
  return math == GemmMath::kTf32 ? 11 : math == GemmMath::kBf16 ? 8 : 24;
}

/// op(A) is [m, k], op(B) is [k, n], C is [m, n]; strides are those of the matrices as stored. C must not
/// alias A or B. With beta = 0, C need not be initialised. T is float or double.
template <class T>
struct Gemm {
  Transpose transpose_a = Transpose::kNo;
  Transpose transpose_b = Transpose::kNo;
  GemmMath math = GemmMath::kFp32;
  int64_t m = 0, n = 0, k = 0;
  T alpha = 1;
  const T* a = nullptr;
  int64_t a_stride = 0;
  const T* b = nullptr;
  int64_t b_stride = 0;
  T beta = 0;
  T* c = nullptr;
  int64_t c_stride = 0;
};
SOTALIGN_DECLARE_OPERATION(gemm, Gemm<float>)
SOTALIGN_DECLARE_OPERATION(gemm, Gemm<double>)

}  // namespace sotalign::kernels
