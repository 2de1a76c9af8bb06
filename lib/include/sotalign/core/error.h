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

}  // namespace sotalign
