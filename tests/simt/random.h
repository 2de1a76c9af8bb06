// Random numbers for schedules: small, fast, and identical on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace simt::detail {

/// splitmix64
class Random {
 public:
  explicit Random(uint64_t seed = 0) : state_(seed) {}

  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// Uniform in 0 .. n - 1, for n up to 2^32. The bias at large n does not matter here.
  size_t below(size_t n) { return static_cast<size_t>(((next() >> 32) * n) >> 32); }

  template <class T>
  void shuffle(std::vector<T>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  uint64_t state_;
};

/// A generator for the next launch or the next choice among streams. Depends on config.seed and on the number
/// taken since restart_schedule.
Random next_random();

}  // namespace simt::detail
