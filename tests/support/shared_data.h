// Where tests find data that the repository does not hold.
#pragma once

#include <cstdlib>
#include <string>

namespace sotalign::testing {

/// The folder in SOTALIGN_TEST_DATA_DIR, or `shared` next to the source tree. It may not exist.
inline std::string shared_data() {
  const char* folder = std::getenv("SOTALIGN_TEST_DATA_DIR");
  return folder != nullptr ? folder : SOTALIGN_SHARED_DATA;
}

}  // namespace sotalign::testing
