// float16 to float32 with the conversion instructions of the CPU (F16C and wider, detected at run time), if
// it has any. The portable arithmetic of half.h takes more than twice as long.
#pragma once

#include <cstdint>

namespace sotalign::io {

/// `source` holds `count` little-endian float16 values, with any alignment.
void decode_float16(const char* source, int64_t count, float* result);

}  // namespace sotalign::io
