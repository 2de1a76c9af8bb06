// A keyed random permutation of [0, n), computed element by element without memory. A Feistel network
// permutes [0, 4^h), the smallest such range that holds n; elements outside [0, n) pass through it again
// until they land inside (cycle walking; fewer than four passes on average). With h > 1 the network makes
// only even permutations of its range, so even and odd orders of [0, n) differ in frequency; within each
// class all are equally likely. Plain integer code, shared by both backends.
#pragma once

#include <cstdint>

namespace sotalign::kernels {

/// Element `index` of the SplitMix64 sequence that starts at `seed`.
constexpr uint64_t split_mix(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

/// Image of `position` in [0, n) under permutation number `epoch` of the family `key`; n < 2^62.
constexpr int64_t random_permutation(uint64_t key, int64_t epoch, int64_t n, int64_t position) {
  const uint64_t epoch_key = split_mix(key, static_cast<uint64_t>(epoch));
  int half_bits = 0;
  while (int64_t{1} << (2 * half_bits) < n) ++half_bits;
  const uint64_t mask = (uint64_t{1} << half_bits) - 1;
  uint64_t element = static_cast<uint64_t>(position);
  do {
    uint64_t left = element >> half_bits, right = element & mask;
    // Four rounds suffice for large n. With two bits per half, one round mixes little: after 8 rounds the
    // orders of six elements still differ by 6 % in frequency, after 12 by no more than chance.
    for (uint64_t round = 0; round < 12; ++round) {
      const uint64_t mixed = split_mix(epoch_key, round << 32 | right);  // a half has at most 31 bits
      const uint64_t next = left ^ (mixed & mask);
      left = right;
      right = next;
    }
    element = left << half_bits | right;
  } while (element >= static_cast<uint64_t>(n));
  return static_cast<int64_t>(element);
}

}  // namespace sotalign::kernels
