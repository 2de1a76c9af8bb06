// The two modalities.
#pragma once

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// The modality of rows: x is the first (images), y the second (texts).
enum class Side { kX, kY };

}  // namespace sotalign
