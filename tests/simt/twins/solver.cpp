// The cuSOLVER functions that the library loads (kernels/cuda/vendor.h), on LAPACK.
//
// Returns cuSOLVER's status codes for the arguments that cuSOLVER rejects. LAPACK gets the caller's
// workspace, so that one that is too small is detected.
#include <cusolverDn.h>
#include <lapacke.h>

#include <algorithm>
#include <vector>

#include "kernels/cpu/blas_threads.h"
#include "simt/twins/device.h"

struct cusolverDnContext {
  cudaStream_t stream = nullptr;
};

namespace {

using namespace simt::detail;
using sotalign::kernels::cpu::BlasThreads;

// Never destroyed: static objects of the program may release handles in their destructors.
Handles<cusolverDnContext>& handles() {
  static auto& instance = *new Handles<cusolverDnContext>("a cuSOLVER handle");
  return instance;
}

/// LAPACK's workspace, in doubles.
int64_t eigh_work(int64_t n) { return 1 + 6 * n + 2 * n * n; }
int64_t svd_work(int64_t m, int64_t n) { return std::max<int64_t>({1, 3 * n + m, 5 * n}); }

bool is_mode(cusolverEigMode_t mode) {
  return mode == CUSOLVER_EIG_MODE_VECTOR || mode == CUSOLVER_EIG_MODE_NOVECTOR;
}
bool is_part(cublasFillMode_t part) {
  return part == CUBLAS_FILL_MODE_LOWER || part == CUBLAS_FILL_MODE_UPPER;
}
bool is_job(signed char job) { return job == 'A' || job == 'S' || job == 'O' || job == 'N'; }

}  // namespace

extern "C" {

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t* handle) {
  const DeviceLock lock(device_mutex());
  if (handle == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  if (simt::config.devices < 1) return CUSOLVER_STATUS_NOT_INITIALIZED;
  *handle = handles().create();
  return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle) {
  const DeviceLock lock(device_mutex());
  return handles().destroy(handle) ? CUSOLVER_STATUS_SUCCESS : CUSOLVER_STATUS_NOT_INITIALIZED;
}
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUSOLVER_STATUS_NOT_INITIALIZED;
  require_stream(stream, "cusolverDnSetStream");
  context->stream = stream;
  return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverGetVersion(int* version) {
  if (version == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *version = CUSOLVER_VERSION;
  return CUSOLVER_STATUS_SUCCESS;
}
/// Reports one property, the major version.
cusolverStatus_t cusolverGetProperty(libraryPropertyType property, int* value) {
  if (value == nullptr || property != MAJOR_VERSION) return CUSOLVER_STATUS_INVALID_VALUE;
  *value = simt::config.library_version > 0 ? simt::config.library_version : CUSOLVER_VER_MAJOR;
  return CUSOLVER_STATUS_SUCCESS;
}

// --- eigenvalues and eigenvectors of a symmetric matrix ---

cusolverStatus_t cusolverDnDsyevd_bufferSize(cusolverDnHandle_t handle, cusolverEigMode_t mode,
                                             cublasFillMode_t part, int n, const double*, int lda,
                                             const double*, int* size) {
  const DeviceLock lock(device_mutex());
  if (handles().find(handle) == nullptr) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!is_mode(mode) || !is_part(part) || n < 0 || lda < std::max(1, n) || size == nullptr)
    return CUSOLVER_STATUS_INVALID_VALUE;
  *size = static_cast<int>(eigh_work(n));
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDsyevd(cusolverDnHandle_t handle, cusolverEigMode_t mode, cublasFillMode_t part,
                                  int n, double* a, int lda, double* values, double* work, int size,
                                  int* info) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!is_mode(mode) || !is_part(part) || n < 0 || lda < std::max(1, n) || size < eigh_work(n))
    return CUSOLVER_STATUS_INVALID_VALUE;
  require_device_matrix(a, n, n, lda, "cusolverDnDsyevd, A");
  require_device_memory(values, static_cast<size_t>(n) * sizeof(double), "cusolverDnDsyevd, W");
  require_device_memory(work, static_cast<size_t>(size) * sizeof(double), "cusolverDnDsyevd, work");
  require_device_memory(info, sizeof(int), "cusolverDnDsyevd, devInfo");
  enqueue(context->stream, [=] {
    const BlasThreads one(1);  // tests run in parallel
    std::vector<lapack_int> integers(static_cast<size_t>(3 + 5 * n));
    *info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, mode == CUSOLVER_EIG_MODE_VECTOR ? 'V' : 'N',
                                part == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U', n, a, lda, values, work, size,
                                integers.data(), static_cast<lapack_int>(integers.size()));
  });
  return CUSOLVER_STATUS_SUCCESS;
}

// --- singular value decomposition ---

cusolverStatus_t cusolverDnDgesvd_bufferSize(cusolverDnHandle_t handle, int m, int n, int* size) {
  const DeviceLock lock(device_mutex());
  if (handles().find(handle) == nullptr) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (n < 0 || m < n || size == nullptr) return CUSOLVER_STATUS_INVALID_VALUE;
  *size = static_cast<int>(svd_work(m, n));
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDgesvd(cusolverDnHandle_t handle, signed char left, signed char right, int m,
                                  int n, double* a, int lda, double* values, double* u, int ldu, double* vt,
                                  int ldvt, double* work, int size, double*, int* info) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUSOLVER_STATUS_NOT_INITIALIZED;
  // Unlike LAPACK, cuSOLVER requires at least as many rows as columns.
  if (!is_job(left) || !is_job(right) || (left == 'O' && right == 'O') || n < 0 || m < n ||
      lda < std::max(1, m) || size < svd_work(m, n))
    return CUSOLVER_STATUS_INVALID_VALUE;
  const bool wants_u = left == 'A' || left == 'S', wants_vt = right == 'A' || right == 'S';
  if (ldu < (wants_u ? std::max(1, m) : 1) || ldvt < (wants_vt ? std::max(1, n) : 1))
    return CUSOLVER_STATUS_INVALID_VALUE;
  require_device_matrix(a, m, n, lda, "cusolverDnDgesvd, A");
  require_device_memory(values, static_cast<size_t>(n) * sizeof(double), "cusolverDnDgesvd, S");
  if (wants_u) require_device_matrix(u, m, left == 'A' ? m : n, ldu, "cusolverDnDgesvd, U");
  if (wants_vt) require_device_matrix(vt, n, n, ldvt, "cusolverDnDgesvd, VT");
  require_device_memory(work, static_cast<size_t>(size) * sizeof(double), "cusolverDnDgesvd, work");
  require_device_memory(info, sizeof(int), "cusolverDnDgesvd, devInfo");
  enqueue(context->stream, [=] {
    const BlasThreads one(1);
    *info = LAPACKE_dgesvd_work(LAPACK_COL_MAJOR, static_cast<char>(left), static_cast<char>(right), m, n, a,
                                lda, values, u, ldu, vt, ldvt, work, size);
  });
  return CUSOLVER_STATUS_SUCCESS;
}

// --- Cholesky factorisation ---

cusolverStatus_t cusolverDnDpotrf_bufferSize(cusolverDnHandle_t handle, cublasFillMode_t part, int n, double*,
                                             int lda, int* size) {
  const DeviceLock lock(device_mutex());
  if (handles().find(handle) == nullptr) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!is_part(part) || n < 0 || lda < std::max(1, n) || size == nullptr)
    return CUSOLVER_STATUS_INVALID_VALUE;
  *size = n;
  return CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDpotrf(cusolverDnHandle_t handle, cublasFillMode_t part, int n, double* a, int lda,
                                  double* work, int size, int* info) {
  const DeviceLock lock(device_mutex());
  const auto context = handles().find(handle);
  if (context == nullptr) return CUSOLVER_STATUS_NOT_INITIALIZED;
  if (!is_part(part) || n < 0 || lda < std::max(1, n) || size < n) return CUSOLVER_STATUS_INVALID_VALUE;
  require_device_matrix(a, n, n, lda, "cusolverDnDpotrf, A");
  require_device_memory(work, static_cast<size_t>(size) * sizeof(double), "cusolverDnDpotrf, work");
  require_device_memory(info, sizeof(int), "cusolverDnDpotrf, devInfo");
  enqueue(context->stream, [=] {
    const BlasThreads one(1);
    std::fill_n(work, size, 0.0);
    *info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, part == CUBLAS_FILL_MODE_LOWER ? 'L' : 'U', n, a, lda);
  });
  return CUSOLVER_STATUS_SUCCESS;
}

}  // extern "C"
