// How a mutation treats a file's checksums. The library rejects a file with wrong checksums at once, so
// nothing behind that check would be tested.
#pragma once

#include <string>

#include "support/tensor_file.h"

namespace sotalign::fuzz {

enum class Checksums {
  kOlderFormat,  ///< removed; the format name is that of the version without checksums
  kRemade,       ///< computed again for the changed content
  kStale,        ///< left unchanged
};

Checksums choose_checksums(Dice& dice);
/// kOlderFormat: removes the checksums from the metadata and replaces a later format name by that of format
/// 1.
void remove_checksums(TensorFile& file, Checksums checksums);
/// kRemade: returns the file with matching checksums, or unchanged if the library cannot read it.
std::string seal(std::string file, Checksums checksums);

}  // namespace sotalign::fuzz
