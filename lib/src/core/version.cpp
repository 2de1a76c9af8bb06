#include "sotalign/version.h"

namespace sotalign {

#define SOTALIGN_TEXT_OF(value) #value
#define SOTALIGN_TEXT(value) SOTALIGN_TEXT_OF(value)

const char* version() {
  return SOTALIGN_TEXT(SOTALIGN_VERSION_MAJOR) "." SOTALIGN_TEXT(SOTALIGN_VERSION_MINOR) "." SOTALIGN_TEXT(
      SOTALIGN_VERSION_PATCH);
}

}  // namespace sotalign
