// SIGBUS: an input file was shortened while it was read through its mapping.
#pragma once

namespace sotalign::app {

/// From now on SIGBUS ends the program with a line that names the file, and exit code 2. What a run has saved
/// stays intact. `command`, "sotalign train", begins the line and lives on.
void catch_bus_errors(const char* command);

}  // namespace sotalign::app
