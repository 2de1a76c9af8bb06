// The only place that launches kernels. Checks the launch and, if the queue is synchronous, waits for the
// kernel.
#pragma once

#include "kernels/cuda/check.h"
#include "kernels/cuda/shared_memory.h"
#include "kernels/cuda/simt.h"
#include "kernels/queue.h"

namespace sotalign::kernels::cuda {

inline cudaStream_t stream_of(const Queue& queue) { return static_cast<cudaStream_t>(queue.stream); }

/// Number of blocks of `block` items that cover `count` items; 0 for none. A grid holds at most
/// 2^31 - 1 blocks in x.
inline unsigned blocks_for(int64_t count, int64_t block) {
  return static_cast<unsigned>((count + block - 1) / block);
}

/// Whether blocks may wait for each other (team_barrier of intrinsics.h), which takes a cooperative launch:
/// all blocks are resident at once, or the launch fails.
enum class Blocks { kIndependent, kCooperative };

template <class... Parameters, class... Arguments>
void launch_blocks(const Queue& queue, const char* name, [[maybe_unused]] Blocks blocks,
                   void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
                   Arguments&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  if (shared > 0)
    prepare_shared_memory(reinterpret_cast<const void*>(kernel), queue.device,
                          static_cast<int>(block.x * block.y * block.z), shared, name);
#ifdef __CUDACC__
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream_of(queue);
  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  config.attrs = &cooperative;
  config.numAttrs = blocks == Blocks::kCooperative ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
#else
  const auto kind = blocks == Blocks::kCooperative ? simt::Blocks::kCooperative : simt::Blocks::kIndependent;
  simt::launch(name, kind, kernel, grid, block, shared, stream_of(queue),
               static_cast<Parameters>(arguments)...);
#endif
  if (queue.synchronous) check(cudaStreamSynchronize(stream_of(queue)), name);
}

/// Launches kernel(args...) with `grid` blocks of `block` threads and `shared` bytes of dynamic shared
/// memory. An empty grid launches nothing. `name` appears in errors.
template <class... Parameters, class... Arguments>
void launch(const Queue& queue, const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared, Arguments&&... arguments) {
  launch_blocks(queue, name, Blocks::kIndependent, kernel, grid, block, shared, arguments...);
}
/// The same for blocks that wait for each other.
template <class... Parameters, class... Arguments>
void launch_cooperative(const Queue& queue, const char* name, void (*kernel)(Parameters...), dim3 grid,
                        dim3 block, size_t shared, Arguments&&... arguments) {
  launch_blocks(queue, name, Blocks::kCooperative, kernel, grid, block, shared, arguments...);
}

}  // namespace sotalign::kernels::cuda
