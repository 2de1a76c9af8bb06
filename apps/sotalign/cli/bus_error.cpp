#include "cli/bus_error.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstring>

#include "sotalign/io/mapped_file_at.h"

namespace sotalign::app {

namespace {

const char* command_name = "sotalign";

/// A message in a fixed buffer: a signal handler allocates nothing.
struct Message {
  char text[4352];  // a path has at most 4096 bytes
  size_t size = 0;

  void add(const char* part) {
    const size_t length = std::min(std::strlen(part), sizeof text - size);
    std::memcpy(text + size, part, length);
    size += length;
  }
};

// Calls only async-signal-safe functions.
void on_bus_error(int, siginfo_t* info, void*) {
  constexpr int kFailure = 2;
  static std::atomic_flag told;
  if (told.test_and_set())  // another thread is about to end the process
    for (;;) pause();
  const char* path = mapped_file_at(info->si_addr);
  Message message;
  for (const char* part : {command_name, ": ", path != nullptr ? path : "a mapped file",
                           ": the file was shortened or became unreadable while it was in use\n"})
    message.add(part);
  const ssize_t written = write(STDERR_FILENO, message.text, message.size);
  static_cast<void>(written);  // nobody else can be told
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
