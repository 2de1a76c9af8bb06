// The SIMT emulator: kernels/cuda/*.cu compiled by the host compiler and executed on the CPU, with one fiber
// per CUDA thread. Kernels include it through kernels/cuda/simt.h; tests include it to configure and inspect
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

// CUDA annotations that mean nothing here, and one that would silently mean something else: a shared variable
// would become a local one.
#undef __global__
#define __global__
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __shared__
#define __shared__ declare_shared_variables_by_SOTALIGN_SHARED

namespace simt {

/// Settings of the process. The environment sets the initial values; tests may change them between launches.
struct Config {
  /// SIMT_SEED. 0: threads, warps and blocks run in order, as far as barriers allow. Otherwise: random order.
  uint64_t seed = 0;
  /// SIMT_DEFERRED=1. Queued work runs only when something waits for it, in a random order that streams and
  /// events allow. Otherwise it runs at once.
  bool deferred = false;
  /// SIMT_DEVICES. With none, cudaGetDeviceCount fails as on a machine without a GPU.
  int devices = 0;
  /// SIMT_GUARD=0 turns it off. Only kernels, copies and library calls can access device memory. Read at the
  /// first allocation; without effect under the sanitizers, which have their own guards.
  bool guard = true;
  /// The device's memory. Requests beyond it fail with cudaErrorMemoryAllocation.
  size_t memory_bytes = size_t{8} << 30;
  /// SIMT_PINNED_BYTES. Larger requests for pinned memory fail with cudaErrorMemoryAllocation.
  size_t pinned_bytes = size_t{1} << 40;
  /// Largest static plus dynamic shared memory of a block: what every supported architecture offers (sm_86).
  size_t max_shared_bytes = size_t{99} << 10;
  /// The multiprocessor count that the device reports.
  int multiprocessors = 4;
  /// Whether the device reports that it supports cooperative launches.
  bool cooperative_launch = true;
  /// SIMT_LIBRARY_VERSION. The major version that cuBLAS and cuSOLVER report; 0: that of their headers.
  int library_version = 0;
  /// Work on the default stream is an error: a stream was forgotten. A test that means the default stream
  /// sets this.
  bool default_stream = false;
  /// The process fails at exit if device memory, streams, events or library handles are still alive.
  bool check_leaks = true;
};
extern Config config;

/// A bug in the emulated program: a divergent barrier, a copy out of bounds, ...
struct Error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// Operations since the process began.
struct Counters {
  int64_t launches = 0;
  int64_t mallocs = 0, frees = 0;
  int64_t copies_to_device = 0, copies_to_host = 0, copies_on_device = 0, memsets = 0;
  int64_t synchronisations = 0;  ///< of a stream, an event or the device
};
const Counters& counters();

/// What cudaFuncSetAttribute has set for a kernel on the current device.
struct FunctionAttributes {
  int64_t calls = 0;
  int dynamic_shared_bytes = 0;  ///< the largest that the kernel may ask for
  int carveout_percent = -1;     ///< of a multiprocessor's shared memory; -1: left to the driver
};
FunctionAttributes function_attributes(const void* kernel);

/// Restarts the sequence of random schedules, so that a test gets the same ones alone and after others.
/// `test` appears in leak reports.
void restart_schedule(const std::string& test = "");

/// Device and pinned memory, streams, events and library handles that are alive, one line each.
std::vector<std::string> live_objects();

namespace detail {

/// A thread's asynchronous copies that have not completed, oldest first, in groups.
struct Copies {
  static constexpr unsigned kMost = 128;
  struct Copy {
    void* to;
    const void* from;
    unsigned group;
  };
  Copy pending[kMost];
  unsigned first = 0, end = 0;  ///< into `pending`, modulo kMost
  unsigned group = 0;           ///< the one still open
};

/// What a kernel sees of its own thread.
struct Thread {
  uint3 index{};
  uint3 block{};
  unsigned lane = 0;  ///< index within the warp
  Copies copies;
};
/// The running thread; null outside kernels.
extern Thread* current;

struct Launch {
  const char* name;
  dim3 grid, block;
  size_t shared_bytes;
  bool cooperative = false;  ///< all blocks live at once and may wait for each other
};
/// The running kernel.
extern const Launch* running;

/// Throws if no device accepts the grid or the block.
void check_launch(const Launch& launch);
/// Throws unless `pointer` is null or points into device memory.
void check_pointer(const Launch& launch, const void* pointer);
template <class T>
void check_argument([[maybe_unused]] const Launch& launch, [[maybe_unused]] const T& argument) {
  if constexpr (std::is_pointer_v<T>) check_pointer(launch, argument);
}
/// Calls body(arguments) once for each thread of the grid.
void run_grid(const Launch& launch, void (*body)(const void*), const void* arguments);

/// Appends `work` to a stream. Unless config.deferred is set, it has run when this returns.
void enqueue(cudaStream_t stream, std::function<void()> work);

/// The block's memory for the static shared variable identified by `key`.
void* static_shared(const void* key, size_t bytes, std::source_location where);
void* dynamic_shared();

template <class Declaration>
void* static_shared_of(Declaration, size_t bytes,
                       std::source_location where = std::source_location::current()) {
  static const char key = 0;
  return static_shared(&key, bytes, where);
}

}  // namespace detail

/// How a kernel is launched.
enum class Blocks { kIndependent, kCooperative };

/// Queues kernel(arguments...). Copies the arguments now, as CUDA does.
template <class... Parameters, class... Arguments>
void launch(const char* name, Blocks blocks, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, cudaStream_t stream, const Arguments&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "CUDA copies arguments byte by byte");
  const detail::Launch launch{name, grid, block, shared_bytes, blocks == Blocks::kCooperative};
  detail::check_launch(launch);
  (detail::check_argument(launch, arguments), ...);
  detail::enqueue(stream, [launch, kernel, copies = std::tuple<Parameters...>(arguments...)] {
    const auto thread = [&] { std::apply(kernel, copies); };
    detail::run_grid(
        launch, [](const void* call) { (*static_cast<decltype(&thread)>(call))(); }, &thread);
  });
}

template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, const Arguments&... arguments) {
  launch(name, Blocks::kIndependent, kernel, grid, block, shared_bytes, stream, arguments...);
}

/// The block's dynamic shared memory, 16-byte aligned.
template <class T>
T* dynamic_shared() {
  return static_cast<T*>(detail::dynamic_shared());
}

}  // namespace simt

/// Each lambda has its own type, which distinguishes one variable from another.
#define SOTALIGN_SHARED(type, name, dims) \
  auto& name =                            \
      *static_cast<std::add_pointer_t<type dims>>(simt::detail::static_shared_of([] {}, sizeof(type dims)))

#define threadIdx (simt::detail::current->index)
#define blockIdx (simt::detail::current->block)
#define blockDim (simt::detail::running->block)
#define gridDim (simt::detail::running->grid)

#include "simt/intrinsics.h"
