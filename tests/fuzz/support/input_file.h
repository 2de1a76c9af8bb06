// Gives the fuzzer's bytes a path, because the library's readers take paths and accept regular files only. A
// memfd counts as regular and is never written to disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace sotalign::fuzz {

/// Returns "/proc/self/fd/N", which holds these bytes until the next call.
const std::string& input_file(const uint8_t* data, size_t size);

/// Runs `read`; returns false if it throws the library's error, because rejecting a file is not a finding.
/// Ends the process for any other exception and for a message of several lines or more than 2000 characters.
template <class Read>
bool accepted(Read&& read);

/// Ends the process, so that libFuzzer reports the input.
[[noreturn]] void finding(const char* what, const std::string& detail);

/// Ends the process if the message is empty, too long or has several lines: the program's one_line() must not
/// have to flatten it.
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
    finding("an exception other than sotalign::Error", error.what());
  }
  return false;
}
