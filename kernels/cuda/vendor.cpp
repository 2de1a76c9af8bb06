// Loads cuBLAS and cuSOLVER with dlopen, by the major version of this build.
#include "kernels/cuda/vendor.h"

#include <dlfcn.h>

#include <string>
#include <vector>

namespace sotalign::kernels::cuda {

namespace {

class Library {
 public:
  /// `stem` is libcublas, for example; `version` is the major version this build was compiled against.
  Library(const std::string& stem, int version, const char* probe) : stem_(stem), version_(version) {
    if (dlsym(RTLD_DEFAULT, probe) != nullptr) {
      handle_ = RTLD_DEFAULT;
      return;
    }
    const std::string file = stem + ".so." + std::to_string(version);
    std::string tried;
    for (const std::string& path : {file, SOTALIGN_CUDA_LIBRARY_DIR "/" + file}) {
      handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (handle_ != nullptr) return;
      const char* reason = dlerror();
      tried += tried.empty() ? "" : "; ";
      tried += reason == nullptr ? path : reason;
    }
    fail_library("CUDA: " + file + " cannot be loaded (" + tried +
                 "); install it or add its folder to LD_LIBRARY_PATH");
  }

  /// Throws if the library, which another part of the process may have loaded, is of another major version:
  /// the same names may then take other arguments. `name` is its function of type GetProperty.
  template <class GetProperty>
  void require_version(const char* name) const {
    GetProperty get_property = nullptr;
    find(get_property, name);
    int found = 0;
    get_property(MAJOR_VERSION, &found);
    if (found != version_)
      fail_library("CUDA: " + stem_ + ": expected version " + std::to_string(version_) +
                   ", which this build was compiled for, found version " + std::to_string(found) +
                   " already loaded in this process");
  }

  template <class Function>
  void find(Function& function, const char* name) const {
    void* symbol = dlsym(handle_, name);
    if (symbol == nullptr) fail_library(std::string("CUDA: function ") + name + " not found in its library");
    function = reinterpret_cast<Function>(symbol);
  }

 private:
  std::string stem_;
  int version_;
  void* handle_ = nullptr;  // never closed: handles may live as long as the process
};

Cublas load_cublas() {
  const Library library("libcublas", CUBLAS_VER_MAJOR, "cublasCreate_v2");
  library.require_version<decltype(&cublasGetProperty)>("cublasGetProperty");
  Cublas f{};
  library.find(f.create, "cublasCreate_v2");
  library.find(f.destroy, "cublasDestroy_v2");
  library.find(f.set_stream, "cublasSetStream_v2");
  library.find(f.get_version, "cublasGetVersion_v2");
  library.find(f.status_name, "cublasGetStatusName");
  library.find(f.gemm_ex, "cublasGemmEx_64");
  library.find(f.dgemm, "cublasDgemm_v2_64");
  library.find(f.dgeam, "cublasDgeam_64");
  library.find(f.dtrsm, "cublasDtrsm_v2_64");
  return f;
}

Cusolver load_cusolver() {
  const Library library("libcusolver", CUSOLVER_VER_MAJOR, "cusolverDnCreate");
  library.require_version<decltype(&cusolverGetProperty)>("cusolverGetProperty");
  Cusolver f{};
  library.find(f.create, "cusolverDnCreate");
  library.find(f.destroy, "cusolverDnDestroy");
  library.find(f.set_stream, "cusolverDnSetStream");
  library.find(f.get_version, "cusolverGetVersion");
  library.find(f.dsyevd_buffer_size, "cusolverDnDsyevd_bufferSize");
  library.find(f.dsyevd, "cusolverDnDsyevd");
  library.find(f.dgesvd_buffer_size, "cusolverDnDgesvd_bufferSize");
  library.find(f.dgesvd, "cusolverDnDgesvd");
  library.find(f.dpotrf_buffer_size, "cusolverDnDpotrf_bufferSize");
  library.find(f.dpotrf, "cusolverDnDpotrf");
  return f;
}

const char* name_of(cusolverStatus_t code) {
  switch (code) {
    case CUSOLVER_STATUS_NOT_INITIALIZED:
      return "CUSOLVER_STATUS_NOT_INITIALIZED";
    case CUSOLVER_STATUS_ALLOC_FAILED:
      return "CUSOLVER_STATUS_ALLOC_FAILED";
    case CUSOLVER_STATUS_INVALID_VALUE:
      return "CUSOLVER_STATUS_INVALID_VALUE";
    case CUSOLVER_STATUS_ARCH_MISMATCH:
      return "CUSOLVER_STATUS_ARCH_MISMATCH";
    case CUSOLVER_STATUS_EXECUTION_FAILED:
      return "CUSOLVER_STATUS_EXECUTION_FAILED";
    case CUSOLVER_STATUS_INTERNAL_ERROR:
      return "CUSOLVER_STATUS_INTERNAL_ERROR";
    case CUSOLVER_STATUS_NOT_SUPPORTED:
      return "CUSOLVER_STATUS_NOT_SUPPORTED";
    default:
      return "an unknown status";
  }
}

}  // namespace

const Cublas& cublas() {
  static const Cublas functions = load_cublas();
  return functions;
}
const Cusolver& cusolver() {
  static const Cusolver functions = load_cusolver();
  return functions;
}

void check(cublasStatus_t code, const char* call) {
  if (code != CUBLAS_STATUS_SUCCESS) fail_cublas(call, static_cast<int>(code), cublas().status_name(code));
}
void check(cusolverStatus_t code, const char* call) {
  if (code != CUSOLVER_STATUS_SUCCESS) fail_cusolver(call, static_cast<int>(code), name_of(code));
}

}  // namespace sotalign::kernels::cuda
