// SIGINT, SIGTERM, SIGHUP and a closed standard output, for commands with a run: they finish their step,
// save, and print how to resume. A signal that was ignored at the start, as under nohup, stays ignored.
#pragma once

#include <string>

namespace sotalign::app {

/// The exit code of a command that was interrupted.
inline constexpr int kInterrupted = 130;

/// Until catch_interrupts() or leave_interrupts(), a signal removes the directories, prints `message` on
/// standard error and ends the program with kInterrupted. `directories` ends with a null pointer; it and
/// `message` must stay valid until then.
void end_on_interrupts(const char* const* directories, const char* message);
/// Undoes end_on_interrupts() and nothing else: signals end the program as usual again.
void leave_interrupts();
/// From now on the first signal only makes interrupted() true, and the second one ends the program as usual.
/// A closed pipe raises no signal; it makes the write fail.
void catch_interrupts();
bool interrupted();

/// Reports that a write to standard output failed with this errno. If interrupts are caught, standard output
/// is given up, and interrupted() becomes true.
void lose_output(int reason);
/// Why standard output was given up: "standard output was closed"; empty if it was not.
std::string lost_output();

}  // namespace sotalign::app
