// Errors. Every exception that the library throws derives from sotalign::Error. Its message is one line: the
// argument, file or row, what was expected and what was found.
#pragma once

#include <stdexcept>
#include <string>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// The base of all exceptions of this library.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A value, shape or option that the called function does not accept.
class InvalidArgument : public Error {
 public:
  using Error::Error;
};

/// A file that cannot be read or written, or that violates its format.
class IoError : public Error {
 public:
  using Error::Error;
};

/// Memory ran out; the message gives the bytes requested and their purpose.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

/// A result that is not finite, or a decomposition that did not converge.
class NumericalError : public Error {
 public:
  using Error::Error;
};

/// A call to a CUDA library failed for a reason other than memory.
class DeviceError : public Error {
 public:
  DeviceError(const std::string& library, const std::string& call, int code, const std::string& name)
      : Error(library + ": " + call + " failed with " + name + " (code " + std::to_string(code) + ")"),
        call_(call),
        name_(name),
        code_(code) {}
  const std::string& call() const { return call_; }  ///< the function, or the name of the kernel launched
  const std::string& name() const { return name_; }  ///< the name of the code, such as cudaErrorInvalidValue
  int code() const { return code_; }                 ///< the code that the call returned

 private:
  std::string call_, name_;
  int code_;
};

/// A call to the CUDA runtime failed.
class CudaError : public DeviceError {
 public:
  CudaError(const std::string& call, int code, const std::string& name)
      : DeviceError("CUDA", call, code, name) {}
};
/// A call to cuBLAS failed.
class CublasError : public DeviceError {
 public:
  CublasError(const std::string& call, int code, const std::string& name)
      : DeviceError("cuBLAS", call, code, name) {}
};
/// A call to cuSOLVER failed.
class CusolverError : public DeviceError {
 public:
  CusolverError(const std::string& call, int code, const std::string& name)
      : DeviceError("cuSOLVER", call, code, name) {}
};

}  // namespace sotalign
