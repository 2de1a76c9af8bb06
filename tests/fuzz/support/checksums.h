// What a mutation does with a file's checksums. A file whose checksums no longer fit its content is refused
// at once, and nothing behind that check would be tested.
#pragma once

#include <string>

#include "support/tensor_file.h"

namespace sotalign::fuzz {

enum class Checksums {
  kOlderFormat,  ///< removed, and the format's name is that of the version without them
  kRemade,       ///< made again for the changed content
  kStale,        ///< as they were
};

Checksums choose_checksums(Dice& dice);
/// kOlderFormat: takes the metadata's checksums away and puts format 1 in place of a later one.
void remove_checksums(TensorFile& file, Checksums checksums);
/// kRemade: the same file with checksums that fit. A file that the library does not read stays as it is.
std::string seal(std::string file, Checksums checksums);

}  // namespace sotalign::fuzz
