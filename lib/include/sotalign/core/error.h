// Errors. Every exception that leaves the library derives from sotalign::Error and its message is one line
// that names the argument, file or row, what was expected and what was found.
#pragma once

#include <stdexcept>
#include <string>

namespace sotalign {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A value, shape or option that the called function does not accept.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be read or written, or whose content is not what its format promises.
class IoError : public Error {
 public:
  using Error::Error;
};

/// Memory that could not be had; the message gives the bytes asked for and the purpose.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// A computation that left the finite numbers, or a decomposition that did not converge.
class NumericalError : public Error {
 public:
  using Error::Error;
};

/// A call of a device library that failed for a reason other than memory.
class DeviceError : public Error {
 public:
  DeviceError(const std::string& library, const std::string& call, int code, const std::string& name)
      : Error(library + ": " + call + " failed with " + name + " (code " + std::to_string(code) + ")"),
        call_(call),
        name_(name),
        code_(code) {}
  const std::string& call() const { return call_; }  ///< the function, or the name of the kernel launched
  const std::string& name() const { return name_; }  ///< of the code: cudaErrorInvalidValue
  int code() const { return code_; }

 private:
  std::string call_, name_;
  int code_;
};

class CudaError : public DeviceError {
 public:
  CudaError(const std::string& call, int code, const std::string& name)
      : DeviceError("CUDA", call, code, name) {}
};
class CublasError : public DeviceError {
 public:
  CublasError(const std::string& call, int code, const std::string& name)
      : DeviceError("cuBLAS", call, code, name) {}
};
class CusolverError : public DeviceError {
 public:
  CusolverError(const std::string& call, int code, const std::string& name)
      : DeviceError("cuSOLVER", call, code, name) {}
};

}  // namespace sotalign
