// Where tests find the files of this folder: the golden vectors, and what lies next to it in the source tree.
#pragma once

#include <cstdlib>
#include <string>

namespace sotalign::testing {

/// The folder in SOTALIGN_TEST_FILES, which a bundle on another machine sets, or that of the source tree.
inline std::string test_files() {
  const char* folder = std::getenv("SOTALIGN_TEST_FILES");
  return folder != nullptr ? folder : SOTALIGN_TEST_DATA;
}

}  // namespace sotalign::testing
