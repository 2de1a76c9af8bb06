#include "support/program.h"

namespace sotalign::testing {
const char* program_path() { return SOTALIGN_PROGRAM; }
}  // namespace sotalign::testing
