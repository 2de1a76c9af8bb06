// What a long command says while it works: lines on standard output, and on a terminal a bar on standard
// error.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace sotalign::app {

class Progress {
 public:
  enum class Verbosity { kNormal, kQuiet };

  explicit Progress(Verbosity verbosity);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// A line, or several, on standard output; lose_output() is told if that fails.
  void print(const std::string& text);

  /// Whether there is a bar; without one, callers print lines now and then.
  bool has_bar() const { return width_ > 0; }
  /// A new bar for the steps from `done` to `total`.
  void start(const std::string& name, int64_t done, int64_t total);
  /// Whether enough time has passed for the bar to be drawn again.
  bool due() const;
  void update(int64_t step, const std::string& numbers);
  void clear();

  /// Since start().
  double steps_per_second(int64_t step) const;
  double remaining_seconds(int64_t step) const;

 private:
  using Clock = std::chrono::steady_clock;

  bool quiet_;
  int width_ = 0;  // of the terminal; 0: no bar
  bool drawn_ = false;
  std::string name_;
  int64_t first_ = 0, total_ = 0;
  Clock::time_point started_ = Clock::now(), drawn_at_ = {};
};

/// Says what became of a run that was left, or whose output was lost, on standard output or, where that is
/// gone, in a line on standard error that begins with `command`. The exit code.
int say_left(Progress& progress, const std::string& command, const std::string& text);

}  // namespace sotalign::app
