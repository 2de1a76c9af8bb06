// Random choices of a mutator. They depend only on libFuzzer's seed, so a run can be repeated.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sotalign::fuzz {

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  uint64_t next() {  // splitmix64
    uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  /// In [0, count); 0 for an empty range.
  size_t below(size_t count) { return count == 0 ? 0 : static_cast<size_t>(next() % count); }
  bool one_in(size_t count) { return below(count) == 0; }
  /// A random element of a nonempty array or vector.
  template <class Container>
  decltype(auto) pick(Container&& values) {
    return values[below(std::size(values))];
  }

 private:
  uint64_t state_;
};

}  // namespace sotalign::fuzz
