// The SIMT emulator: kernels/cuda/*.cu compiled by the host compiler and executed on the CPU, each CUDA
// thread as a fiber. Kernels get it through kernels/cuda/simt.h; tests include it to steer and to question
// it.
//
// emulator.cpp runs the threads of a kernel, intrinsics.h holds what kernels may call, and twins/ stands in
// for the CUDA runtime, cuBLAS and cuSOLVER. README.md says what is faithful and what is not.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

// Annotations of CUDA C++ that mean nothing here, and one that would silently mean something else: a shared
// variable would become a local one.
#undef __global__
#define __global__
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __shared__
#define __shared__ declare_shared_variables_by_SOTALIGN_SHARED

namespace simt {

/// Settings of the process. Tests may change them between launches; the environment gives the first values.
struct Config {
  /// SIMT_SEED. 0: threads, warps and blocks run in order, as far as barriers allow; else in a random order.
  uint64_t seed = 0;
  /// SIMT_DEFERRED=1. Queued work runs only when something waits for it, in a random order that streams and
  /// events admit. Otherwise it runs at once.
  bool deferred = false;
  /// SIMT_DEVICES. With none, cudaGetDeviceCount fails as on a machine without a GPU.
  int devices = 0;
  /// SIMT_GUARD=0 switches it off. Device memory can be touched only by kernels, copies and library calls.
  /// Read when memory is first allocated; without effect under the sanitizers, which have their own guards.
  bool guard = true;
  /// The device's memory. More is cudaErrorMemoryAllocation.
  size_t memory_bytes = size_t{8} << 30;
  /// Largest static and dynamic shared memory of a block: what every supported architecture has (sm_86).
  size_t max_shared_bytes = size_t{99} << 10;
  /// What the device says it has.
  int multiprocessors = 4;
  /// The process fails at its end if device memory, streams, events or library handles are left.
  bool check_leaks = true;
};
extern Config config;

/// A mistake of the emulated program: a divergent barrier, a copy out of bounds, ...
struct Error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// What was done since the process began.
struct Counters {
  int64_t launches = 0;
  int64_t mallocs = 0, frees = 0;
  int64_t copies_to_device = 0, copies_to_host = 0, copies_on_device = 0, memsets = 0;
  int64_t synchronisations = 0;  ///< of a stream, an event or the device
};
const Counters& counters();

/// Starts the sequence of random schedules anew, so that a test gets the same ones alone and after others.
/// `test` appears in reports about objects that are left.
void restart_schedule(const std::string& test = "");

/// Device memory, streams, events and library handles that are alive, a line for each.
std::vector<std::string> live_objects();

namespace detail {

/// The asynchronous copies of a thread that have not arrived, oldest first, in groups.
struct Copies {
  static constexpr unsigned kMost = 128;
  struct Copy {
    void* to;
    const void* from;
    unsigned group;
  };
  Copy pending[kMost];
  unsigned first = 0, end = 0;  ///< of `pending`, modulo kMost
  unsigned group = 0;           ///< the one that is still open
};

/// What a kernel sees of its own thread.
struct Thread {
  uint3 index{};
  uint3 block{};
  unsigned lane = 0;  ///< its place in the warp
  Copies copies;
};
/// The thread that is running; null outside kernels.
extern Thread* current;

struct Launch {
  const char* name;
  dim3 grid, block;
  size_t shared_bytes;
};
/// The kernel that is running.
extern const Launch* running;

/// Throws for a grid or block that no device takes.
void check_launch(const Launch& launch);
/// Throws unless `pointer` is null or points into device memory.
void check_pointer(const Launch& launch, const void* pointer);
template <class T>
void check_argument([[maybe_unused]] const Launch& launch, [[maybe_unused]] const T& argument) {
  if constexpr (std::is_pointer_v<T>) check_pointer(launch, argument);
}
/// Calls body(arguments) once for each thread of the grid.
void run_grid(const Launch& launch, void (*body)(const void*), const void* arguments);

/// Appends `work` to a stream. Without config.deferred it has run when this returns.
void enqueue(cudaStream_t stream, std::function<void()> work);

/// The block's memory for the static shared variable that `key` stands for.
void* static_shared(const void* key, size_t bytes, std::source_location where);
void* dynamic_shared();

template <class Declaration>
void* static_shared_of(Declaration, size_t bytes,
                       std::source_location where = std::source_location::current()) {
  static const char key = 0;
  return static_shared(&key, bytes, where);
}

}  // namespace detail

/// Queues kernel(arguments...), which are copied now, as CUDA does.
template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, const Arguments&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "CUDA copies arguments byte by byte");
  const detail::Launch launch{name, grid, block, shared_bytes};
  detail::check_launch(launch);
  (detail::check_argument(launch, arguments), ...);
  detail::enqueue(stream, [launch, kernel, copies = std::tuple<Parameters...>(arguments...)] {
    const auto thread = [&] { std::apply(kernel, copies); };
    detail::run_grid(
        launch, [](const void* call) { (*static_cast<decltype(&thread)>(call))(); }, &thread);
  });
}

/// The dynamic shared memory of the block, 16-byte aligned.
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(detail::dynamic_shared());
}

}  // namespace simt

/// Each lambda has a type of its own, which tells one variable from another.
#define SOTALIGN_SHARED(type, name, dims) \
  auto& name =                            \
      *static_cast<std::add_pointer_t<type dims>>(simt::detail::static_shared_of([] {}, sizeof(type dims)))

#define threadIdx (simt::detail::current->index)
#define blockIdx (simt::detail::current->block)
#define blockDim (simt::detail::running->block)
#define gridDim (simt::detail::running->grid)

#include "simt/intrinsics.h"
