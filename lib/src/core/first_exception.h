// An exception that leaves a parallel region ends the program. This takes it out of the region.
#pragma once

#include <exception>
#include <mutex>

namespace sotalign::detail {

class FirstException {
 public:
  /// Calls `work` and keeps what it throws, if nothing was kept before. From any thread.
  template <class Work>
  void guard(const Work& work) noexcept {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (first_ == nullptr) first_ = std::current_exception();
    }
  }
  /// After the region: throws it again.
  void rethrow() const {
    if (first_ != nullptr) std::rethrow_exception(first_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr first_;
};

}  // namespace sotalign::detail
