// SIGBUS: an input file was shortened while its mapping was being read.
#pragma once

namespace sotalign::app {

/// From now on SIGBUS ends the program with a line that names the file and with exit code 2. What a run has
/// saved stays intact. The line begins with `command` ("sotalign train"), which must stay valid.
void catch_bus_errors(const char* command);

}  // namespace sotalign::app
