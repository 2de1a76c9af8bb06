// Standard input, output and error of a program that was started without them.
#pragma once

namespace sotalign::app {

/// Opens /dev/null for each of the descriptors 0 to 2 that is closed. Otherwise the next file that is opened
/// gets that number, and what is printed goes into it. False if that cannot be done.
bool open_closed_streams();

}  // namespace sotalign::app
