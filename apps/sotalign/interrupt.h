// SIGINT and SIGTERM, for commands that finish their step and say how to continue.
#pragma once

namespace sotalign::app {

/// The exit code of a command that was interrupted.
inline constexpr int kInterrupted = 130;

/// From now on the first signal only makes interrupted() true; the second one ends the program as usual.
void catch_interrupts();
bool interrupted();

}  // namespace sotalign::app
