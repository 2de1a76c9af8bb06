#include "sotalign/io/checksum.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL  // neither we nor users of the static library link xxHash
#include <xxhash.h>

#include <cstdint>

namespace sotalign {

struct Checksum::State {
  XXH3_state_t xxh3;
};

Checksum::Checksum() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh3); }
Checksum::~Checksum() = default;

void Checksum::add(const void* bytes, size_t size) {
  if (size > 0) XXH3_64bits_update(&state_->xxh3, bytes, size);
}

void Checksum::add_text(std::string_view text) {
  const uint64_t size = text.size();
  add(&size, sizeof size);
  add(text.data(), text.size());
}

std::string Checksum::hex() const { return fmt::format("{:016x}", XXH3_64bits_digest(&state_->xxh3)); }

std::string checksum(std::string_view bytes) {
  return fmt::format("{:016x}", XXH3_64bits(bytes.data(), bytes.size()));
}

RowChecksum::RowChecksum(int64_t rows, int64_t cols) {
  for (const int64_t extent : {rows, cols}) sum_.add(&extent, sizeof extent);
}

void RowChecksum::add(ConstMatrixF rows) {
  for (int64_t i = 0; i < rows.rows; ++i)
    sum_.add(rows.row(i), static_cast<size_t>(rows.cols) * sizeof(float));
}

std::string checksum(ConstMatrixF rows) {
  RowChecksum sum(rows.rows, rows.cols);
  sum.add(rows);
  return sum.hex();
}

}  // namespace sotalign
