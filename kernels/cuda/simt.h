// Included by every .cu file. nvcc compiles kernels for the device; any other C++ compiler compiles the same
// file against an emulator (tests/simt), which runs each CUDA thread as a fiber, so tests execute the kernels
// on machines without a GPU.
//
// For the emulator, kernels keep to a subset of CUDA:
//   * launches go through launch() of launch.h;
//   * static shared memory is declared by SOTALIGN_SHARED, dynamic shared memory is simt::dynamic_shared;
//   * warp operations use the full mask, and no thread returns before a barrier that others reach;
//   * inline PTX is in intrinsics.h only, each function with an emulated twin.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#ifdef __CUDACC__

/// A variable shared by the threads of a block: SOTALIGN_SHARED(float, tile, [32][33]);
#define SOTALIGN_SHARED(type, name, dims) __shared__ type name dims

namespace simt {

/// The block's dynamic shared memory, 16-byte aligned; its size is an argument of the launch.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
  extern __shared__ __align__(16) unsigned char sotalign_dynamic_shared[];
  return reinterpret_cast<T*>(sotalign_dynamic_shared);
}

}  // namespace simt

#else
#include "simt/emulator.h"  // defines the same names, and threadIdx, __syncthreads, __shfl_xor_sync ...
#endif
