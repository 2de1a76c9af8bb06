// Progress of a long command: lines on standard output and, on a terminal, a bar on standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace sotalign::app {

class Progress {
 public:
  enum class Verbosity { kNormal, kQuiet };

  explicit Progress(Verbosity verbosity);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Prints one or more lines on standard output; calls lose_output() if that fails.
  void print(const std::string& text);

  /// Whether there is a bar. Without one, callers print a line now and then.
  bool has_bar() const { return width_ > 0; }
  /// The seconds of the runs that follow the one of the next bar: that bar shows the time left for all of
  /// them. std::nullopt: unknown, and no time is shown. 0 at first: a bar is for the whole command.
  void set_seconds_after(std::optional<double> seconds) { seconds_after_ = seconds; }
  /// Starts a new bar for the steps from `done` to `total`.
  void start(const std::string& name, int64_t done, int64_t total);
  /// Whether it is time to redraw the bar.
  bool due() const;
  /// `numbers` of a fixed width keep that of the bar (run/progress_line.h).
  void update(int64_t step, const std::string& numbers);
  void clear();

  /// Average since start().
  double steps_per_second(int64_t step) const;
  /// For all steps and the runs after them; std::nullopt: unknown.
  std::optional<double> remaining_seconds(int64_t step) const;

 private:
  using Clock = std::chrono::steady_clock;

  double elapsed() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }

  bool quiet_;
  int width_ = 0;  // of the terminal; 0: no bar
  bool drawn_ = false;
  std::string name_;
  int64_t first_ = 0, total_ = 0;
  std::optional<double> seconds_after_ = 0;
  Clock::time_point started_ = Clock::now(), drawn_at_ = {};
};

/// Prints `text` about a run that was interrupted or lost its output: on standard output or, if that is lost,
/// as a line on standard error that begins with `command`. Returns the exit code.
int say_left(Progress& progress, const std::string& command, const std::string& text);

}  // namespace sotalign::app
