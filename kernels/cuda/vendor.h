// cuBLAS and cuSOLVER, loaded when the first operation needs them (library_handles.h): the program starts on
// machines without them, and pays neither start-up time nor memory where they are not used. Functions that
// are already in the process (linked by the application) take precedence.
#pragma once

#include <cublas_v2.h>
#include <cusolverDn.h>

#include <string>

namespace sotalign::kernels::cuda {

struct Cublas {
  decltype(&cublasCreate_v2) create;
  decltype(&cublasDestroy_v2) destroy;
  decltype(&cublasSetStream_v2) set_stream;
  decltype(&cublasGetVersion_v2) get_version;
  decltype(&cublasGetStatusName) status_name;
  // 64-bit sizes, since a matrix may have more than 2^31 entries.
  decltype(&cublasGemmEx_64) gemm_ex;
  decltype(&cublasDgemm_v2_64) dgemm;
  decltype(&cublasDgeam_64) dgeam;
  decltype(&cublasDtrsm_v2_64) dtrsm;
};

struct Cusolver {
  decltype(&cusolverDnCreate) create;
  decltype(&cusolverDnDestroy) destroy;
  decltype(&cusolverDnSetStream) set_stream;
  decltype(&cusolverGetVersion) get_version;
  decltype(&cusolverDnDsyevd_bufferSize) dsyevd_buffer_size;
  decltype(&cusolverDnDsyevd) dsyevd;
  decltype(&cusolverDnDgesvd_bufferSize) dgesvd_buffer_size;
  decltype(&cusolverDnDgesvd) dgesvd;
  decltype(&cusolverDnDpotrf_bufferSize) dpotrf_buffer_size;
  decltype(&cusolverDnDpotrf) dpotrf;
};

/// Loaded on first use; throws if the library or a function is missing, and names what was tried.
const Cublas& cublas();
const Cusolver& cusolver();

void check(cublasStatus_t code, const char* call);
void check(cusolverStatus_t code, const char* call);

/// Throw. Defined in lib/, which owns the exception classes.
[[noreturn]] void fail_library(const std::string& message);
[[noreturn]] void fail_cublas(const char* call, int code, const char* name);
[[noreturn]] void fail_cusolver(const char* call, int code, const char* name);

}  // namespace sotalign::kernels::cuda
