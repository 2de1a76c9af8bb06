// What a run spends its time on.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace sotalign::app {

/// Wall time by phase. At any moment one phase is current, so the times add up to the whole.
class PhaseTimer {
 public:
  /// A clock in seconds.
  using Clock = std::function<double()>;

  explicit PhaseTimer(std::string phase, Clock clock = steady_seconds)
      : clock_(std::move(clock)), since_(clock_()), current_(index_of(phase)) {}

  /// From now on this phase is current.
  void enter(const std::string& phase) { enter(index_of(phase)); }

  /// Returns to the phase before when it is destroyed. The timer must outlive it.
  class Visit {
   public:
    Visit(PhaseTimer& timer, size_t before) : timer_(timer), before_(before) {}
    ~Visit() { timer_.enter(before_); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

   private:
    PhaseTimer& timer_;
    size_t before_;
  };
  /// Makes a phase current for as long as the result lives.
  [[nodiscard]] Visit visit(const std::string& phase) {
    const size_t before = current_;
    enter(phase);
    return {*this, before};
  }

  /// Seconds of each phase until now, in the order in which they were first entered.
  std::vector<std::pair<std::string, double>> seconds() {
    enter(current_);
    return phases_;
  }

 private:
  static double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  size_t index_of(const std::string& phase) {
    for (size_t i = 0; i < phases_.size(); ++i)
      if (phases_[i].first == phase) return i;
    phases_.emplace_back(phase, 0.0);
    return phases_.size() - 1;
  }

  void enter(size_t phase) {
    const double now = clock_();
    phases_[current_].second += now - since_;
    since_ = now;
    current_ = phase;
  }

  Clock clock_;
  double since_;
  std::vector<std::pair<std::string, double>> phases_;
  size_t current_;
};

}  // namespace sotalign::app
