// Checksums that find damage to files. They do not protect against someone who changes a file on purpose.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "sotalign/core/matrix_view.h"

namespace sotalign {

/// XXH3 with 64 bits (Collet, xxHash) of bytes that come in pieces; how they are cut does not matter. Runs at
/// the speed of reading memory.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  void add(const void* bytes, size_t size);
  /// The text with its length in front, so that "ab" and "c" differ from "a" and "bc".
  void add_text(std::string_view text);
  /// 16 hexadecimal digits, of all that was added so far.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string checksum(std::string_view bytes);
/// Covers the shape, and the rows in their order.
std::string checksum(ConstMatrixF rows);

}  // namespace sotalign
