// The text helpers of core/, under the names that readers and writers of files use.
#pragma once

#include "core/text.h"

namespace sotalign::io {
using detail::printable;
using detail::shape_text;
}  // namespace sotalign::io
