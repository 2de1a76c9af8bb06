#include "run/interrupt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace sotalign::app {

namespace {

enum class Mode { kDefault, kEnd, kCatch };

// Signal handlers may use lock-free atomics and async-signal-safe functions: rmdir, write, _exit.
std::atomic<Mode> mode{Mode::kDefault};
std::atomic<bool> signalled{false};
std::atomic<const char* const*> directories_to_remove{nullptr};
std::atomic<const char*> farewell{nullptr};
static_assert(std::atomic<Mode>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free);

int lost_reason = 0;

void handle(int number) {
  if (mode == Mode::kCatch && !signalled.exchange(true)) return;
  if (mode == Mode::kEnd) {
    for (const char* const* directory = directories_to_remove; *directory != nullptr; ++directory)
      rmdir(*directory);
    const char* message = farewell;
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, message, std::strlen(message));
    _exit(kInterrupted);
  }
  std::signal(number, SIG_DFL);
  raise(number);
}

void install() {
  static bool installed = false;
  if (installed) return;
  installed = true;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action.sa_handler = handle;
    // A signal must not make a write fail with EINTR.
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

void end_on_interrupts(const char* const* directories, const char* message) {
  directories_to_remove = directories;
  farewell = message;
  mode = Mode::kEnd;
  install();
}

void leave_interrupts() {
  if (mode == Mode::kEnd) mode = Mode::kDefault;
}

void catch_interrupts() {
  mode = Mode::kCatch;
  install();
}

bool interrupted() { return signalled || lost_reason != 0; }

void lose_output(int reason) {
  if (mode == Mode::kCatch) lost_reason = reason == 0 ? EIO : reason;
}

std::string lost_output() {
  if (lost_reason == 0) return "";
  if (lost_reason == EPIPE) return "standard output was closed";
  return fmt::format("cannot write to standard output: {}", std::strerror(lost_reason));
}

}  // namespace sotalign::app
