// The fuzzer's bytes as a file with a path: readers of this library take paths and refuse what is no regular
// file. A memfd is one, and is never written to a disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sotalign::fuzz {

/// "/proc/self/fd/N", which holds these bytes until the next call.
const std::string& input_file(const uint8_t* data, size_t size);

/// Runs `read` and lets errors of the library pass: a file that is refused is no finding. Ends the process
/// for an exception of another kind and for a message of more than one line or of more than 2000 characters.
template <class Read>
bool accepted(Read&& read);

/// Ends the process, so that the fuzzer reports the input.
[[noreturn]] void finding(const char* what, const std::string& detail);

/// As the program does, see one_line() there: a message may not need more than that.
void check_message(const std::string& message);

}  // namespace sotalign::fuzz

#include "sotalign/core/error.h"

template <class Read>
bool sotalign::fuzz::accepted(Read&& read) {
  try {
    read();
    return true;
  } catch (const sotalign::Error& error) {
    check_message(error.what());
  } catch (const std::exception& error) {
    finding("an exception that is no sotalign::Error", error.what());
  }
  return false;
}
