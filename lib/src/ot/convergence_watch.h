// Tells the host that a solve has converged, so that it stops queueing iterations. The host queues faster
// than a GPU works, but if it waited for each convergence check, the GPU would run out of work: it reads a
// check only before it would get more than a few iterations ahead.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>

#include "core/late_copies.h"
#include "kernels/entropic_batch.h"

namespace sotalign::detail {

class ConvergenceWatch {
 public:
  /// For solves of up to `problems` problems. The first look allocates.
  ConvergenceWatch(const Queue& queue, int64_t problems)
      : queue_(queue), problems_(problems), ahead_(queue.backend == kernels::Backend::kCpu ? 0 : kAhead) {}

  /// Forgets the last solve.
  void start() {
    looks_.clear();
    active_ = coarse_ = true;
  }
  /// Waits for everything queued so far and returns the states [count], valid until the next look or wait.
  const kernels::SinkhornState* wait(const kernels::SinkhornState* states, int64_t count) {
    const int64_t slot = begin(states, count);
    return static_cast<const kernels::SinkhornState*>(copies_->finish(slot));
  }
  /// Queues a look at the states [count], once everything of this iteration is queued.
  void look(int64_t iteration, const kernels::SinkhornState* states, int64_t count) {
    looks_.push_back({iteration, begin(states, count), count});
  }
  /// Whether to queue this iteration: false if no problem is active any more.
  bool goes_on(int64_t iteration) {
    while (active_ && !looks_.empty() && looks_.front().iteration + ahead_ <= iteration) {
      const Look look = looks_.front();
      looks_.pop_front();
      const auto* states = static_cast<const kernels::SinkhornState*>(copies_->finish(look.slot));
      active_ = std::any_of(states, states + look.count, [](const auto& s) { return s.active != 0; });
      coarse_ = std::any_of(states, states + look.count, [](const auto& s) { return s.coarse != 0; });
    }
    return active_;
  }
  /// False once no density is bfloat16; none will be again.
  bool coarse() const { return coarse_; }

 private:
  /// Queues a copy of the states and returns its slot.
  int64_t begin(const kernels::SinkhornState* states, int64_t count) {
    const int64_t slots = ahead_ + 1;
    if (copies_ == nullptr)
      copies_ = make_late_copies(queue_, static_cast<size_t>(problems_) * sizeof(*states), slots);
    const int64_t slot = next_++ % slots;
    copies_->begin(slot, states, static_cast<size_t>(count) * sizeof(*states));
    return slot;
  }

  /// How many iterations the host may queue beyond a check that it has not read; as many are queued in vain
  /// after convergence. By prediction they keep the device busy for tens of microseconds even on a small
  /// problem, longer than the host needs to notice and to queue more.
  static constexpr int64_t kAhead = 8;
  struct Look {
    int64_t iteration, slot, count;
  };

  Queue queue_;
  int64_t problems_, ahead_, next_ = 0;
  std::unique_ptr<LateCopies> copies_;  // null before the first look
  std::deque<Look> looks_;              // not read yet
  bool active_ = true, coarse_ = true;
};

}  // namespace sotalign::detail
