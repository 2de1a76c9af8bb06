// The only place that launches kernels. Checks the launch and, if the queue is synchronous, waits for the
// kernel.
#pragma once

#include "kernels/cuda/check.h"
#include "kernels/cuda/simt.h"
#include "kernels/queue.h"

namespace sotalign::kernels::cuda {

inline cudaStream_t stream_of(const Queue& queue) { return static_cast<cudaStream_t>(queue.stream); }

/// Number of blocks of `block` items that cover `count` items; 0 for none. A grid holds at most
/// 2^31 - 1 blocks in x.
inline unsigned blocks_for(int64_t count, int64_t block) {
  return static_cast<unsigned>((count + block - 1) / block);
}

/// Launches kernel(args...) with `grid` blocks of `block` threads and `shared` bytes of dynamic shared
/// memory. An empty grid launches nothing. `name` appears in errors.
template <class... Parameters, class... Arguments>
void launch(const Queue& queue, const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared, Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check(cudaSetDevice(queue.device), "cudaSetDevice");
#ifdef __CUDACC__
  constexpr size_t kWithoutOptIn = 48 * 1024;
  if (shared > kWithoutOptIn)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
          name);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream_of(queue);
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
#else
  simt::launch(name, kernel, grid, block, shared, stream_of(queue), static_cast<Parameters>(arguments)...);
#endif
  if (queue.synchronous) check(cudaStreamSynchronize(stream_of(queue)), name);
}

}  // namespace sotalign::kernels::cuda
