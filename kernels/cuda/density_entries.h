// Loads of a density (kernels/density.h) by the kernels of the scaling form, in packets of 16 bytes.
#pragma once

#include <type_traits>

#include "kernels/bfloat16.h"
#include "kernels/cuda/intrinsics.h"
#include "kernels/density.h"

namespace sotalign::kernels::cuda {

/// A 16-byte load.
struct alignas(16) Packet {
  uint32_t words[4];
};

/// Entries per packet. T is float, or uint16_t for bfloat16.
template <class T>
inline constexpr int kPacketEntries = 16 / static_cast<int>(sizeof(T));

__device__ __forceinline__ float to_float(float entry) { return entry; }
__device__ __forceinline__ float to_float(uint16_t entry) { return from_bfloat16(entry); }
template <class T>
__device__ __forceinline__ float entry_of(const Packet& packet, int index) {
  if constexpr (std::is_same_v<T, float>) {
    return __uint_as_float(packet.words[index]);
  } else {
    const uint32_t pair = packet.words[index / 2];
    return __uint_as_float(index % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
  }
}

/// Ways to load factors. Constant and ReadOnly: nothing writes them while the kernel runs; ReadOnly leaves
/// the compiler free to move and split loads. Fresh: blocks write them before a barrier.
struct Constant {
  __device__ __forceinline__ float4 operator()(const float4* from) const { return load_constant(from); }
};
struct ReadOnly {
  __device__ __forceinline__ float4 operator()(const float4* from) const { return __ldg(from); }
};
struct Fresh {
  __device__ __forceinline__ float4 operator()(const float4* from) const { return *from; }
};

/// The column factors of a packet. Every block of a problem reads them once per group of rows; they stay in
/// L1, which copy_async bypasses.
template <class T>
struct Factors {
  float values[kPacketEntries<T>];
};
template <class T, class Load>
__device__ __forceinline__ Factors<T> load_factors(const float4* factors, int64_t packet, Load load) {
  Factors<T> f;
#pragma unroll
  for (int q = 0; q < kPacketEntries<T> / 4; ++q) {
    const float4 four = load(factors + packet * (kPacketEntries<T> / 4) + q);
    f.values[4 * q] = four.x, f.values[4 * q + 1] = four.y;
    f.values[4 * q + 2] = four.z, f.values[4 * q + 3] = four.w;
  }
  return f;
}

}  // namespace sotalign::kernels::cuda
