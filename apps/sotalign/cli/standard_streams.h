// Repairs standard input, output and error if the program was started without them.
#pragma once

namespace sotalign::app {

/// Opens /dev/null for each of the descriptors 0 to 2 that is closed. Otherwise the next file opened would
/// get that number, and printed text would go into it. Returns false on failure.
bool open_closed_streams();

}  // namespace sotalign::app
