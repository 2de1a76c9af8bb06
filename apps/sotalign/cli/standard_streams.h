// Standard input, output and error: repairs them if the program was started without them, and turns standard
// input into a file that can be mapped.
#pragma once

#include <cstdio>
#include <memory>
#include <string_view>

namespace sotalign::app {

/// Opens /dev/null for each of the descriptors 0 to 2 that is closed. Otherwise the next file opened would
/// get that number, and printed text would go into it. Returns false on failure.
bool open_closed_streams();

/// Standard input as a regular file: itself, or a temporary file without a name that has all of it. Throws
/// IoError unless it begins with the bytes `beginning`, for which errors say `expected`; it then reads no
/// further.
std::unique_ptr<std::FILE, int (*)(std::FILE*)> open_standard_input(std::string_view beginning,
                                                                    const char* expected);

}  // namespace sotalign::app
