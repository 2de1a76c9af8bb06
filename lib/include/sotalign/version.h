// The version of the library. C reads this header, too.
#pragma once

// CMake reads these three lines.
#define SOTALIGN_VERSION_MAJOR 0
#define SOTALIGN_VERSION_MINOR 2
#define SOTALIGN_VERSION_PATCH 0

/// One number for comparisons in the preprocessor: 10000 major + 100 minor + patch.
#define SOTALIGN_VERSION_NUMBER \
  (10000 * SOTALIGN_VERSION_MAJOR + 100 * SOTALIGN_VERSION_MINOR + SOTALIGN_VERSION_PATCH)

#ifdef __cplusplus
#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// The version of the compiled library, such as "0.2.0"; that of the headers is in the macros above.
const char* version();

}  // namespace sotalign
#endif
