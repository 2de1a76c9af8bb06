// An exception that escapes an OpenMP parallel region terminates the program. FirstException carries it out
// of the region.
#pragma once

#include <exception>
#include <mutex>

namespace sotalign::detail {

class FirstException {
 public:
  /// Calls `work` and stores its exception, unless one is stored already. Thread-safe.
  template <class Work>
  void guard(const Work& work) noexcept {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (first_ == nullptr) first_ = std::current_exception();
    }
  }
  /// Throws the stored exception, if any. Call it after the region.
  void rethrow() const {
    if (first_ != nullptr) std::rethrow_exception(first_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr first_;
};

}  // namespace sotalign::detail
