// C = alpha op(A) op(B) + beta C, row-major, by the backend's BLAS (CBLAS, cuBLAS).
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

enum class Transpose { kNo, kYes };

/// How the products of float matrices are formed where the device has faster units than those of float32.
/// Sums are float32 in any case. The CPU knows kFp32 alone and takes the others for it.
enum class GemmMath {
  kFp32,
  kTf32,  ///< factors rounded to 11 significant bits
  kBf16,  ///< factors rounded to 8 significant bits
};

/// op(A) is [m, k], op(B) is [k, n], C is [m, n]; strides are those of the matrices as stored.
/// C aliases neither A nor B. With beta = 0, C need not be initialised.
/// T is float or double.
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
