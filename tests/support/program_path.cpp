// Compiled for each test executable, with the options of its program.
#include "support/program.h"

namespace sotalign::testing {

const char* program_path() { return SOTALIGN_PROGRAM; }

#if defined(__SANITIZE_ADDRESS__)
const bool kProgramUnderAddressSanitizer = true;
#else
const bool kProgramUnderAddressSanitizer = false;
#endif

}  // namespace sotalign::testing
