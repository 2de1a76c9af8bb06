// SIGINT, SIGTERM and SIGHUP, and standard output that is closed, for commands with a run: they finish their
// step, save and say how to continue. A signal that was ignored at the start, as under nohup, stays ignored.
#pragma once

#include <string>

namespace sotalign::app {

/// The exit code of a command that was interrupted.
inline constexpr int kInterrupted = 130;

/// Until catch_interrupts() or leave_interrupts() a signal removes the directories, says `message` on
/// standard error and ends the program with kInterrupted. `directories` ends with a null pointer; it and
/// `message` outlive that time.
void end_on_interrupts(const char* const* directories, const char* message);
/// Undoes end_on_interrupts(), and only that: signals end the program as usual.
void leave_interrupts();
/// From now on the first signal only makes interrupted() true; the second one ends the program as usual. A
/// closed pipe is no signal any more but a failure to write.
void catch_interrupts();
bool interrupted();

/// Standard output could not be written, with this errno. Where interrupts are caught it is given up and this
/// counts as one.
void lose_output(int reason);
/// Why standard output was given up: "standard output was closed"; empty if it was not.
std::string lost_output();

}  // namespace sotalign::app
