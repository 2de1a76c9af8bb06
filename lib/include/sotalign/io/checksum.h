// Checksums that detect damaged files. They do not protect against deliberate changes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// The 64-bit XXH3 (Collet, xxHash) of a sequence of bytes, added in pieces of any size. Runs at memory
/// bandwidth.
class Checksum {
 public:
  Checksum();
  ~Checksum();
  Checksum(const Checksum&) = delete;
  Checksum& operator=(const Checksum&) = delete;

  /// Appends `size` bytes.
  void add(const void* bytes, size_t size);
  /// Appends the length of `text`, then `text`: "ab" and "c" differ from "a" and "bc".
  void add_text(std::string_view text);
  /// 16 hexadecimal digits for everything added so far.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The checksum of a matrix that arrives some rows at a time.
class RowChecksum {
 public:
  /// For rows [rows, cols] in all.
  RowChecksum(int64_t rows, int64_t cols);
  /// The next rows.
  void add(ConstMatrixF rows);
  /// As Checksum::hex().
  std::string hex() const { return sum_.hex(); }

 private:
  Checksum sum_;
};

/// The checksum of `bytes`, 16 hexadecimal digits.
std::string checksum(std::string_view bytes);
/// The checksum of a host matrix: its shape, then its rows in order.
std::string checksum(ConstMatrixF rows);

}  // namespace sotalign
