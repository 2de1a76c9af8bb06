// The context that Python's functions run on.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "sotalign/core/context.h"

namespace sotalign::python {

/// A context, its caller's allocator if there is one, and a lock, because Python may call from many threads.
class PythonContext {
 public:
  /// @param device "cpu", "cuda:0" or "auto"
  /// @param threads see ContextOptions
  /// @param stream the caller's CUDA stream; None: a stream of its own
  /// @param allocate a function of (bytes, stream) that returns an address; None: cudaMalloc
  /// @param free a function of the address
  PythonContext(const std::string& device, int threads, std::optional<uintptr_t> stream,
                nanobind::object allocate, nanobind::object free);

  Context& get() { return context_; }
  /// Held while a function computes.
  std::mutex& mutex() { return mutex_; }

 private:
  std::unique_ptr<MemoryResource> memory_;
  Context context_;
  std::mutex mutex_;
};

/// Runs `work(context)` without the GIL, alone on the context.
template <class Work>
auto compute(PythonContext& context, const Work& work) {
  const nanobind::gil_scoped_release released;
  const std::lock_guard lock(context.mutex());
  return work(context.get());
}

/// A value in the memory of a context, which must outlive it (keep_alive). Make the value within compute()
/// and the owner after it: the owner destroys the value alone on the context.
template <class T>
class Owned {
 public:
  Owned(PythonContext& context, std::unique_ptr<T> value) : context_(&context), value_(std::move(value)) {}
  ~Owned() {
    if (value_) compute(*context_, [this](Context&) { value_.reset(); });
  }
  Owned(Owned&&) noexcept = default;
  Owned& operator=(Owned&&) = delete;

  PythonContext& context() const { return *context_; }
  T& operator*() const { return *value_; }
  T* operator->() const { return value_.get(); }

 private:
  PythonContext* context_;
  std::unique_ptr<T> value_;
};

}  // namespace sotalign::python
