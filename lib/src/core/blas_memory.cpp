// Prevents a hang: when mmap fails, OpenBLAS retries forever (blas_memory_alloc, at least up to 0.3.21), so a
// process short of address space would never return from a call.
//
// OpenBLAS maps one buffer per thread when it is loaded, more when it gets more threads, and one for each
// call in progress. It never unmaps a buffer. Before a call we therefore check that the process can map as
// many buffers as will be in use at once, and make OpenBLAS map them.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "kernels/cpu/blas_threads.h"
#include "sotalign/core/error.h"

extern "C" {
// Every OpenBLAS exports these; no header declares the first two. Other BLAS libraries lack them.
__attribute__((weak)) void* blas_memory_alloc(int);
__attribute__((weak)) void blas_memory_free(void*);
__attribute__((weak)) int openblas_get_num_threads(void);
}

namespace sotalign::kernels::cpu {

namespace {

constexpr size_t kBufferBytes = size_t{128} << 20;  // upper bound for one buffer on any processor
constexpr size_t kHeapBytes = size_t{1} << 20;
constexpr int kMostBlasThreads = 64;  // limit compiled into Debian's OpenBLAS

bool can_map(int count) {
  std::vector<void*> maps;
  maps.reserve(static_cast<size_t>(count));
  while (static_cast<int>(maps.size()) < count) {
    void* map = mmap(nullptr, kBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) break;
    maps.push_back(map);
  }
  for (void* map : maps) munmap(map, kBufferBytes);
  return static_cast<int>(maps.size()) == count;
}

/// OpenBLAS allocates half of kHeapBytes for a multithreaded product, and ends the process if that fails.
void check_heap(size_t scratch_bytes) {
  void* volatile room = std::malloc(scratch_bytes + kHeapBytes);
  if (room == nullptr)
    throw OutOfMemory(fmt::format("out of memory: BLAS and LAPACK need {:.1f} MiB to work in",
                                  static_cast<double>(scratch_bytes + kHeapBytes) / (1 << 20)));
  std::free(room);
}

std::mutex mutex;
int calls = 0;   // in progress
int mapped = 0;  // buffers that OpenBLAS has mapped, at least

void prepare(int threads, int more_calls) {
  if (blas_memory_alloc == nullptr || blas_memory_free == nullptr || openblas_get_num_threads == nullptr)
    return;
  const int own = openblas_get_num_threads();  // threads, each with a buffer
  mapped = std::max(mapped, own);
  const int needed = std::max(own, std::min(threads, kMostBlasThreads)) + calls + more_calls;
  if (needed <= mapped) return;
  // Calls in progress may already hold their buffers; OpenBLAS then maps that many more.
  const int most = needed - mapped + calls;
  if (!can_map(most))
    throw OutOfMemory(fmt::format(
        "out of memory: OpenBLAS needs {} MiB more of address space, which this process may not map; "
        "with fewer threads it needs less",
        static_cast<size_t>(most) * (kBufferBytes >> 20)));
  std::vector<void*> held(static_cast<size_t>(needed - own));
  for (void*& buffer : held) buffer = blas_memory_alloc(0);
  for (void* buffer : held) blas_memory_free(buffer);
  mapped = needed;
}

}  // namespace

void prepare_blas_calls(int threads, int more_calls) {
  const std::lock_guard lock(mutex);
  prepare(threads, more_calls);
}

void begin_blas_call(int threads, size_t scratch_bytes) {
  const std::lock_guard lock(mutex);
  prepare(threads, 1);
  if (threads > 1) check_heap(scratch_bytes);
  ++calls;
}

void end_blas_call() {
  const std::lock_guard lock(mutex);
  --calls;
}

}  // namespace sotalign::kernels::cpu
