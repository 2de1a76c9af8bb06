// float16 to float32 with the machine's conversion instruction where it has one (F16C and wider, found at run
// time). The portable arithmetic of half.h takes more than twice as long.
#pragma once

#include <cstdint>

namespace sotalign::io {

/// `source` holds `count` little-endian float16 at any address.
void decode_float16(const char* source, int64_t count, float* result);

}  // namespace sotalign::io
