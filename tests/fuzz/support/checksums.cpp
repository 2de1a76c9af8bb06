#include "support/checksums.h"

#include <algorithm>

namespace sotalign::fuzz {

Checksums choose_checksums(Dice& dice) {
  const size_t kind = dice.below(8);
  return kind == 0 ? Checksums::kStale : (kind < 3 ? Checksums::kRemade : Checksums::kOlderFormat);
}

void remove_checksums(TensorFile& file, Checksums checksums) {
  if (checksums != Checksums::kOlderFormat) return;
  std::erase_if(file.metadata, [](const auto& note) { return note.first == "checksums"; });
  Json* format = file.find_metadata("format");
  if (format == nullptr || !format->is_string()) return;
  std::string name = format->get<std::string>();
  if (name.ends_with("-2")) *format = name.replace(name.size() - 1, 1, "1");
}

std::string seal(std::string file, Checksums) { return file; }

}  // namespace sotalign::fuzz
