// The text helpers of core/, in the namespace of the file readers and writers.
#pragma once

#include "core/text.h"

namespace sotalign::io {
using detail::printable;
using detail::shape_text;
}  // namespace sotalign::io
