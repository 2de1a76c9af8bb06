// Counter-based random numbers, a function of (seed, stream, index): Philox4x32-10 (Salmon et al., "Parallel
// random numbers: as easy as 1, 2, 3", SC 2011). There is no state: any thread can compute any value in any
// order, and a resumed run needs only its step number. The code uses integers and no library types, so that
// device compilers accept it, too.
#pragma once

#include <cstdint>
#include <string_view>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// The input of Philox, and its output.
struct PhiloxCounter {
  uint32_t word[4];
  bool operator==(const PhiloxCounter&) const = default;
};
/// Selects one of 2^64 functions of the counter.
struct PhiloxKey {
  uint32_t word[2];
};

/// Four random words for a counter and a key.
constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  uint32_t x0 = counter.word[0], x1 = counter.word[1], x2 = counter.word[2], x3 = counter.word[3];
  uint32_t k0 = key.word[0], k1 = key.word[1];
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * x0, b = uint64_t{0xCD9E8D57} * x2;
    x0 = static_cast<uint32_t>(b >> 32) ^ x1 ^ k0;
    x1 = static_cast<uint32_t>(b);
    x2 = static_cast<uint32_t>(a >> 32) ^ x3 ^ k1;
    x3 = static_cast<uint32_t>(a);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return {{x0, x1, x2, x3}};
}

/// The stream number of a name (64-bit FNV-1a). Each consumer of random numbers has a name of its own, such
/// as "sampler.images"; no central list of numbers is needed.
constexpr uint64_t stream_id(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return hash;
}

/// One of 2^64 independent sequences for a seed. 32-bit and 64-bit values share the same words: draw only one
/// kind from a stream.
class RandomStream {
 public:
  constexpr RandomStream(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  /// Value `index` of the sequence, uniform over all 32-bit or 64-bit integers.
  constexpr uint32_t bits32(uint64_t index) const { return block(index / 4).word[index % 4]; }
  constexpr uint64_t bits64(uint64_t index) const {
    const PhiloxCounter words = block(index / 2);
    const int first = index % 2 == 0 ? 0 : 2;
    return words.word[first] | static_cast<uint64_t>(words.word[first + 1]) << 32;
  }
  /// A multiple of 2^-24 in [0, 1).
  constexpr float uniform(uint64_t index) const { return static_cast<float>(bits32(index) >> 8) * 0x1p-24f; }

 private:
  constexpr PhiloxCounter block(uint64_t number) const {
    return philox4x32({{static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32),
                        static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)}},
                      {{static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)}});
  }

  uint64_t seed_;
  uint64_t stream_;
};

}  // namespace sotalign
