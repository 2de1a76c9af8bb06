// What kernels may call: barriers, warp operations, atomics, and the mathematical functions that CUDA has and
// glibc lacks. Included by emulator.h. Anything missing here does not compile, which also enforces rules:
// there are no floating-point atomics, because their sums depend on the order.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

namespace simt::detail {

using Location = std::source_location;

enum class Barrier { kPlain, kOr, kAnd, kCount };
/// Waits for all threads of the block; returns the number of threads with nonzero `predicate`.
int block_barrier(Barrier kind, int predicate, Location where);

/// Waits for all threads of `blocks` blocks of a cooperative launch, those that name `key`.
void team_barrier(const void* key, unsigned blocks, Location where);

enum class Collective { kSync, kShuffle, kVote };
/// Waits for the lanes of `mask`. A shuffle returns the value of lane `source`, a vote the set of lanes with
/// a nonzero value.
uint64_t warp_collective(Collective kind, unsigned mask, uint64_t value, unsigned source, Location where);

void memory_fence();
[[noreturn]] void fail(const std::string& what, Location where = Location::current());

template <class T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

template <Shuffled T>
T shuffle(unsigned mask, T value, unsigned source, Location where) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_collective(Collective::kShuffle, mask, bits, source, where);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The lanes that a lane may read from: groups of `width` lanes, a power of two.
struct Group {
  Group(int width, Location where) : lane(current->lane) {
    if (width < 1 || width > 32 || !std::has_single_bit(static_cast<unsigned>(width)))
      fail("the width of a shuffle is a power of two up to 32, found " + std::to_string(width), where);
    first = lane & ~(static_cast<unsigned>(width) - 1);
    last = first + static_cast<unsigned>(width) - 1;
  }
  unsigned lane, first, last;
};

template <class T>
concept AtomicInteger =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;

template <AtomicInteger T, class Change>
T atomic_update(T* address, Change change) {
  std::atomic_ref<T> atom(*address);
  T old = atom.load(std::memory_order_relaxed);
  while (!atom.compare_exchange_weak(old, change(old), std::memory_order_relaxed)) {
  }
  return old;
}

}  // namespace simt::detail

namespace simt {

// A copy completes when its thread waits for it, not before.

inline void copy_async(void* to, const void* from, detail::Location where = detail::Location::current()) {
  detail::Copies& copies = detail::current->copies;
  if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0)
    detail::fail("a 16-byte asynchronous copy from or to an address that is not a multiple of 16", where);
  if (copies.end - copies.first == detail::Copies::kMost)
    detail::fail("a thread has more pending asynchronous copies than the emulator keeps", where);
  copies.pending[copies.end++ % detail::Copies::kMost] = {to, from, copies.group};
}
inline void copy_commit() { ++detail::current->copies.group; }
/// Waits for all groups but the last `pending` ones; the open group is not waited for.
inline void copy_wait(unsigned pending) {
  detail::Copies& copies = detail::current->copies;
  for (; copies.first != copies.end; ++copies.first) {
    const detail::Copies::Copy& copy = copies.pending[copies.first % detail::Copies::kMost];
    if (copy.group + pending >= copies.group) return;
    std::memcpy(copy.to, copy.from, 16);
  }
}

/// A barrier between blocks, as intrinsics.h of the kernels uses it.
inline void team_barrier(const unsigned* arrivals, unsigned blocks,
                         detail::Location where = detail::Location::current()) {
  detail::team_barrier(arrivals, blocks, where);
}

}  // namespace simt

constexpr int warpSize = 32;

// --- barriers ---

inline void __syncthreads(simt::detail::Location where = simt::detail::Location::current()) {
  simt::detail::block_barrier(simt::detail::Barrier::kPlain, 0, where);
}
inline int __syncthreads_count(int predicate,
                               simt::detail::Location where = simt::detail::Location::current()) {
  return simt::detail::block_barrier(simt::detail::Barrier::kCount, predicate, where);
}
inline int __syncthreads_or(int predicate, simt::detail::Location where = simt::detail::Location::current()) {
  return simt::detail::block_barrier(simt::detail::Barrier::kOr, predicate, where) != 0;
}
inline int __syncthreads_and(int predicate,
                             simt::detail::Location where = simt::detail::Location::current()) {
  return simt::detail::block_barrier(simt::detail::Barrier::kAnd, predicate == 0, where) == 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu,
                       simt::detail::Location where = simt::detail::Location::current()) {
  simt::detail::warp_collective(simt::detail::Collective::kSync, mask, 0, 0, where);
}
inline void __threadfence() { simt::detail::memory_fence(); }
inline void __threadfence_block() { simt::detail::memory_fence(); }

// --- warp operations ---
// Rules of the PTX instruction shfl: a lane whose source lies outside its group gets its own value, except
// that xor may reach into earlier groups.

template <simt::detail::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              simt::detail::Location where = simt::detail::Location::current()) {
  const simt::detail::Group group(width, where);
  const unsigned offset = static_cast<unsigned>(source) & (group.last - group.first);
  return simt::detail::shuffle(mask, value, group.first + offset, where);
}
template <simt::detail::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32,
                  simt::detail::Location where = simt::detail::Location::current()) {
  const simt::detail::Group group(width, where);
  const unsigned source = group.lane ^ (static_cast<unsigned>(bits) & 31);
  return simt::detail::shuffle(mask, value, source <= group.last ? source : group.lane, where);
}
template <simt::detail::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned distance, int width = 32,
                 simt::detail::Location where = simt::detail::Location::current()) {
  const simt::detail::Group group(width, where);
  const bool inside = group.lane - group.first >= (distance & 31);
  return simt::detail::shuffle(mask, value, inside ? group.lane - (distance & 31) : group.lane, where);
}
template <simt::detail::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance, int width = 32,
                   simt::detail::Location where = simt::detail::Location::current()) {
  const simt::detail::Group group(width, where);
  const unsigned source = group.lane + (distance & 31);
  return simt::detail::shuffle(mask, value, source <= group.last ? source : group.lane, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate,
                              simt::detail::Location where = simt::detail::Location::current()) {
  return static_cast<unsigned>(
      simt::detail::warp_collective(simt::detail::Collective::kVote, mask, predicate != 0, 0, where));
}
inline int __any_sync(unsigned mask, int predicate,
                      simt::detail::Location where = simt::detail::Location::current()) {
  return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate,
                      simt::detail::Location where = simt::detail::Location::current()) {
  return __ballot_sync(mask, predicate, where) == mask;
}

// --- memory ---

template <simt::detail::AtomicInteger T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).fetch_add(value, std::memory_order_relaxed);
}
template <simt::detail::AtomicInteger T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T old) { return old < value ? value : old; });
}
template <simt::detail::AtomicInteger T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return simt::detail::atomic_update(address, [=](T old) { return value < old ? value : old; });
}
template <simt::detail::AtomicInteger T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*address).exchange(value, std::memory_order_relaxed);
}
template <simt::detail::AtomicInteger T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*address).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;
}

// Cache hints.
template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
T __ldcs(const T* address) {
  return *address;
}
template <class T>
T __ldcg(const T* address) {
  return *address;
}
template <class T>
void __stcs(T* address, std::type_identity_t<T> value) {
  *address = value;
}

// --- mathematics ---

// CUDA also overloads these for two arguments of one type. As there, the other argument wins over a NaN.
template <std::integral T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <std::integral T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }

// These fast versions are more accurate than a device's. glibc declares the first two names without defining
// them, hence macros.
#define __expf(x) ::expf(x)
#define __logf(x) ::logf(x)
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }

inline int __float2int_rn(float x) { return static_cast<int>(nearbyintf(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64);
}
