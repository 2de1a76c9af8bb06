#include "cli/bus_error.h"

#include <unistd.h>

#include <csignal>
#include <cstring>

#include "sotalign/io/mapped_file_at.h"

namespace sotalign::app {

namespace {

const char* command_name = "sotalign";

void say(const char* text) {
  const ssize_t written = write(STDERR_FILENO, text, std::strlen(text));
  static_cast<void>(written);  // nobody else can be told
}

// Calls only async-signal-safe functions.
void on_bus_error(int, siginfo_t* info, void*) {
  constexpr int kFailure = 2;
  const char* path = mapped_file_at(info->si_addr);
  say(command_name);
  say(": ");
  say(path != nullptr ? path : "a mapped file");
  say(": the file was shortened or became unreadable while it was in use\n");
  _exit(kFailure);
}

}  // namespace

void catch_bus_errors(const char* command) {
  command_name = command;
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace sotalign::app
