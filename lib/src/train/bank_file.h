// The bank in a model file: tensors 'hubness.images' and 'hubness.texts' (unit rows), for dbs and
// inverted_softmax also 'hubness.image_potentials' and 'hubness.text_potentials' (float64), and the options
// as JSON in the metadata entry 'hubness'. Files without that entry have no bank.
#pragma once

#include <string>
#include <vector>

#include "sotalign/eval/hubness.h"
#include "sotalign/io/safetensors.h"

namespace sotalign::detail {

/// Copies of the bank's rows and potentials on the host; the writer points into them.
class BankTensors {
 public:
  explicit BankTensors(Context& context, const HubnessCorrection& bank);
  /// Adds tensors and metadata. This object has to outlive the writer's write().
  void add_to(SafetensorsWriter& writer) const;

 private:
  const HubnessCorrection& bank_;
  std::vector<float> images_, texts_;
};

/// Restores the bank of a file that has one, to the bit. Throws IoError, naming the file and what is damaged,
/// also for rows of another dimension than `dim`.
HubnessCorrection read_bank(Context& context, const SafetensorsFile& file, const std::string& path,
                            int64_t dim);

}  // namespace sotalign::detail
