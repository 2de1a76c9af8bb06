// Compiled for each test executable, with the options of its program.
#include <cstdlib>

#include "support/program.h"

namespace sotalign::testing {

const char* program_path() {
  const char* elsewhere = std::getenv("SOTALIGN_TEST_PROGRAM");  // set by a bundle on another machine
  return elsewhere != nullptr ? elsewhere : SOTALIGN_PROGRAM;
}

#if defined(__SANITIZE_ADDRESS__)
const bool kProgramUnderAddressSanitizer = true;
#else
const bool kProgramUnderAddressSanitizer = false;
#endif

}  // namespace sotalign::testing
