#include "run/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "cli/notes.h"
#include "run/interrupt.h"
#include "run/progress_line.h"
#include "run/remaining.h"

namespace sotalign::app {

namespace {

int terminal_width() {
  if (isatty(STDERR_FILENO) == 0) return 0;
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(Verbosity verbosity)
    : quiet_(verbosity == Verbosity::kQuiet), width_(quiet_ ? 0 : terminal_width()) {}

void Progress::print(const std::string& text) {
  if (quiet_ || !lost_output().empty()) return;
  clear();
  show_notes();
  errno = 0;
  if (std::fputs((text + '\n').c_str(), stdout) < 0 || std::fflush(stdout) != 0) lose_output(errno);
}

void Progress::start(const std::string& name, int64_t done, int64_t total) {
  clear();
  name_ = name, first_ = done, total_ = total;
  started_ = Clock::now();
  drawn_at_ = {};
}

bool Progress::due() const { return has_bar() && Clock::now() - drawn_at_ >= std::chrono::milliseconds(100); }

void Progress::update(int64_t step, const std::string& numbers) {
  if (!has_bar()) return;
  width_ = terminal_width();  // it may have been resized
  // Keep the last column free: some terminals wrap as soon as it is written.
  const std::string text = progress_line({.name = name_,
                                          .step = step,
                                          .total = total_,
                                          .numbers = numbers,
                                          .steps_per_second = steps_per_second(step),
                                          .seconds_left = remaining_seconds(step)},
                                         std::max(1, width_ - 1));
  std::fputs(("\r\x1b[K" + text).c_str(), stderr);  // may fail if the terminal is gone: no loss
  std::fflush(stderr);
  drawn_ = true;
  drawn_at_ = Clock::now();
}

void Progress::clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

double Progress::steps_per_second(int64_t step) const {
  return static_cast<double>(step - first_) / std::max(elapsed(), 1e-9);
}

std::optional<double> Progress::remaining_seconds(int64_t step) const {
  return seconds_left(first_, step, total_, elapsed(), seconds_after_);
}

int say_left(Progress& progress, const std::string& command, const std::string& text) {
  progress.print(text);
  progress.clear();
  if (const std::string lost = lost_output(); !lost.empty())
    std::fputs(fmt::format("{}: {}; {}\n", command, lost, text).c_str(), stderr);
  return interrupted() ? kInterrupted : 0;
}

}  // namespace sotalign::app
