// The cuBLAS functions that the library loads (kernels/cuda/vendor.h), on the host's BLAS.
//
// Returns cuBLAS's status codes for the arguments that cuBLAS rejects. Throws for pointers that are not
// device memory of the right extent: a device would fault or compute nonsense.
#include <cblas.h>
#include <cublas_v2.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/cpu/blas_threads.h"
#include "kernels/round_significand.h"
#include "simt/twins/device.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
};

namespace {

using namespace simt::detail;
using sotalign::kernels::round_significand;
using sotalign::kernels::cpu::BlasThreads;

// Never destroyed: static objects of the program may release handles in their destructors.
Handles<cublasContext>& handles() {
  static auto& instance = *new Handles<cublasContext>("a cuBLAS handle");
  return instance;
}

bool is_operation(cublasOperation_t operation) {
  return operation == CUBLAS_OP_N || operation == CUBLAS_OP_T || operation == CUBLAS_OP_C;
}
CBLAS_TRANSPOSE cblas(cublasOperation_t operation) {
  return operation == CUBLAS_OP_N ? CblasNoTrans : CblasTrans;
}

/// A factor as stored: [rows, cols], column-major.
struct Stored {
  Stored(cublasOperation_t operation, int64_t op_rows, int64_t op_cols)
      : rows(operation == CUBLAS_OP_N ? op_rows : op_cols),
        cols(operation == CUBLAS_OP_N ? op_cols : op_rows) {}
  bool stride_is_valid(int64_t stride) const { return stride >= std::max<int64_t>(1, rows); }
  int64_t rows, cols;
};

bool overlap(const void* a, size_t a_bytes, const void* b, size_t b_bytes) {
  const char *first = static_cast<const char*>(a), *second = static_cast<const char*>(b);
  return a_bytes > 0 && b_bytes > 0 && first < second + b_bytes && second < first + a_bytes;
}
size_t extent(const Stored& matrix, int64_t stride, size_t element) {
  if (matrix.rows == 0 || matrix.cols == 0) return 0;
  return (static_cast<size_t>(matrix.cols - 1) * static_cast<size_t>(stride) +
          static_cast<size_t>(matrix.rows)) *
         element;
}

/// Throws, naming `call`, if a size exceeds those of the host's BLAS.
void require_host_sizes(const char* call, std::initializer_list<int64_t> sizes) {
  if (std::max(sizes) > std::numeric_limits<int>::max())
    throw simt::Error(std::string("simt: ") + call + ": a size beyond the host's BLAS is not emulated");
}
/// A size as the host's BLAS takes it.
int host(int64_t size) { return static_cast<int>(size); }

/// The inner dimension passed to BLAS: with alpha = 0 some OpenBLAS kernels read factors that must stay
/// unread.
template <class T>
int terms(int64_t k, T alpha) {
  return alpha == T{0} ? 0 : static_cast<int>(k);
}

/// Checks C = alpha op(A) op(B) + beta C; `run` computes it.
template <class T, class Run>
cublasStatus_t gemm(const char* name, cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                    int64_t m, int64_t n, int64_t k, const T* alpha, const T* a, int64_t lda, const T* b,
                    int64_t ldb, const T* beta, T* c, int64_t ldc, Run run) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!is_operation(op_a) || !is_operation(op_b) || m < 0 || n < 0 || k < 0 || alpha == nullptr ||
      beta == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  const Stored stored_a(op_a, m, k), stored_b(op_b, k, n), stored_c(CUBLAS_OP_N, m, n);
  if (!stored_a.stride_is_valid(lda) || !stored_b.stride_is_valid(ldb) || !stored_c.stride_is_valid(ldc))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  require_device_matrix(c, m, n, ldc, std::string(name) + ", C");
  if (*alpha != T{0}) {
    require_device_matrix(a, stored_a.rows, stored_a.cols, lda, std::string(name) + ", A");
    require_device_matrix(b, stored_b.rows, stored_b.cols, ldb, std::string(name) + ", B");
    const size_t c_bytes = extent(stored_c, ldc, sizeof(T));
    if (overlap(c, c_bytes, a, extent(stored_a, lda, sizeof(T))) ||
        overlap(c, c_bytes, b, extent(stored_b, ldb, sizeof(T))))
      throw simt::Error(std::string("simt: ") + name + ": the result overlaps a factor");
  }
  require_host_sizes(name, {m, n, k, lda, ldb, ldc});
  // alpha and beta live in host memory, so they are read now.
  enqueue(context->stream, [=, factor = *alpha, keep = *beta] {
    const BlasThreads one(1);  // tests run in parallel
    run(factor, keep);
  });
  return CUBLAS_STATUS_SUCCESS;
}

/// A copy of the matrix with rounded entries, as tensor cores round their inputs, and the same stride.
std::vector<float> rounded(const float* x, const Stored& shape, int64_t stride, int bits) {
  std::vector<float> copy(extent(shape, stride, 1));
  for (int64_t j = 0; j < shape.cols; ++j)
    for (int64_t i = 0; i < shape.rows; ++i) {
      const size_t at = static_cast<size_t>(j * stride + i);
      copy[at] = round_significand(x[at], bits);
    }
  return copy;
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  const DeviceLock lock(device_mutex());
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (simt::config.devices < 1) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = handles().create();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  const DeviceLock lock(device_mutex());
  return handles().destroy(handle) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  require_stream(stream, "cublasSetStream");
  context->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetVersion_v2(cublasHandle_t, int* version) {
  if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}
/// Reports one property, the major version.
cublasStatus_t cublasGetProperty(libraryPropertyType property, int* value) {
  if (value == nullptr || property != MAJOR_VERSION) return CUBLAS_STATUS_INVALID_VALUE;
  *value = simt::config.library_version > 0 ? simt::config.library_version : CUBLAS_VER_MAJOR;
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
      return "<unknown>";
  }
}

cublasStatus_t cublasGemmEx_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                               int64_t m, int64_t n, int64_t k, const void* alpha, const void* a,
                               cudaDataType type_a, int64_t lda, const void* b, cudaDataType type_b,
                               int64_t ldb, const void* beta, void* c, cudaDataType type_c, int64_t ldc,
                               cublasComputeType_t compute, cublasGemmAlgo_t) {
  if (type_a != CUDA_R_32F || type_b != CUDA_R_32F || type_c != CUDA_R_32F)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  int bits = 24;
  if (compute == CUBLAS_COMPUTE_32F_FAST_TF32)
    bits = 11;
  else if (compute == CUBLAS_COMPUTE_32F_FAST_16BF)
    bits = 8;
  else if (compute != CUBLAS_COMPUTE_32F)
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const auto* fa = static_cast<const float*>(a);
  const auto* fb = static_cast<const float*>(b);
  auto* fc = static_cast<float*>(c);
  return gemm("cublasGemmEx_64", handle, op_a, op_b, m, n, k, static_cast<const float*>(alpha), fa, lda, fb,
              ldb, static_cast<const float*>(beta), fc, ldc, [=](float factor, float keep) {
                if (bits == 24 || factor == 0) {
                  cblas_sgemm(CblasColMajor, cblas(op_a), cblas(op_b), host(m), host(n), terms(k, factor),
                              factor, fa, host(lda), fb, host(ldb), keep, fc, host(ldc));
                  return;
                }
                const std::vector<float> ra = rounded(fa, Stored(op_a, m, k), lda, bits);
                const std::vector<float> rb = rounded(fb, Stored(op_b, k, n), ldb, bits);
                cblas_sgemm(CblasColMajor, cblas(op_a), cblas(op_b), host(m), host(n), host(k), factor,
                            ra.data(), host(lda), rb.data(), host(ldb), keep, fc, host(ldc));
              });
}

cublasStatus_t cublasDgemm_v2_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                                 int64_t m, int64_t n, int64_t k, const double* alpha, const double* a,
                                 int64_t lda, const double* b, int64_t ldb, const double* beta, double* c,
                                 int64_t ldc) {
  return gemm("cublasDgemm_64", handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc,
              [=](double factor, double keep) {
                cblas_dgemm(CblasColMajor, cblas(op_a), cblas(op_b), host(m), host(n), terms(k, factor),
                            factor, a, host(lda), b, host(ldb), keep, c, host(ldc));
              });
}

/// C = alpha op(A) + beta op(B). A matrix with factor zero is not read.
cublasStatus_t cublasDgeam_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                              int64_t m, int64_t n, const double* alpha, const double* a, int64_t lda,
                              const double* beta, const double* b, int64_t ldb, double* c, int64_t ldc) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!is_operation(op_a) || !is_operation(op_b) || m < 0 || n < 0 || alpha == nullptr || beta == nullptr)
    return CUBLAS_STATUS_INVALID_VALUE;
  const Stored stored_a(op_a, m, n), stored_b(op_b, m, n), stored_c(CUBLAS_OP_N, m, n);
  if (!stored_a.stride_is_valid(lda) || !stored_b.stride_is_valid(ldb) || !stored_c.stride_is_valid(ldc))
    return CUBLAS_STATUS_INVALID_VALUE;
  // In place, every entry must be read from where it is written.
  if ((c == a && (op_a != CUBLAS_OP_N || lda != ldc)) || (c == b && (op_b != CUBLAS_OP_N || ldb != ldc)))
    return CUBLAS_STATUS_INVALID_VALUE;
  const double by_a = *alpha, by_b = *beta;
  require_device_matrix(c, m, n, ldc, "cublasDgeam_64, C");
  if (by_a != 0) require_device_matrix(a, stored_a.rows, stored_a.cols, lda, "cublasDgeam_64, A");
  if (by_b != 0) require_device_matrix(b, stored_b.rows, stored_b.cols, ldb, "cublasDgeam_64, B");
  enqueue(context->stream, [=] {
    const auto term = [](double factor, const double* x, cublasOperation_t op, int64_t stride, int64_t i,
                         int64_t j) {
      if (factor == 0) return 0.0;
      return factor * (op == CUBLAS_OP_N ? x[j * stride + i] : x[i * stride + j]);
    };
    for (int64_t j = 0; j < n; ++j)
      for (int64_t i = 0; i < m; ++i)
        c[j * ldc + i] = term(by_a, a, op_a, lda, i, j) + term(by_b, b, op_b, ldb, i, j);
  });
  return CUBLAS_STATUS_SUCCESS;
}

/// B <- alpha op(A)^-1 B or alpha B op(A)^-1 with triangular A.
cublasStatus_t cublasDtrsm_v2_64(cublasHandle_t handle, cublasSideMode_t side, cublasFillMode_t part,
                                 cublasOperation_t op_a, cublasDiagType_t diagonal, int64_t m, int64_t n,
                                 const double* alpha, const double* a, int64_t lda, double* b, int64_t ldb) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const bool left = side == CUBLAS_SIDE_LEFT, upper = part == CUBLAS_FILL_MODE_UPPER,
             unit = diagonal == CUBLAS_DIAG_UNIT;
  const int64_t order = left ? m : n;
  if ((!left && side != CUBLAS_SIDE_RIGHT) || (!upper && part != CUBLAS_FILL_MODE_LOWER) ||
      (!unit && diagonal != CUBLAS_DIAG_NON_UNIT) || !is_operation(op_a) || m < 0 || n < 0 ||
      alpha == nullptr || lda < std::max<int64_t>(1, order) || ldb < std::max<int64_t>(1, m))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (m == 0 || n == 0) return CUBLAS_STATUS_SUCCESS;
  require_device_matrix(a, order, order, lda, "cublasDtrsm_64, A");
  require_device_matrix(b, m, n, ldb, "cublasDtrsm_64, B");
  require_host_sizes("cublasDtrsm_64", {m, n, lda, ldb});
  enqueue(context->stream, [=, factor = *alpha] {
    const BlasThreads one(1);
    cblas_dtrsm(CblasColMajor, left ? CblasLeft : CblasRight, upper ? CblasUpper : CblasLower, cblas(op_a),
                unit ? CblasUnit : CblasNonUnit, host(m), host(n), factor, a, host(lda), b, host(ldb));
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
