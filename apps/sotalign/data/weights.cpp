#include "data/weights.h"

#include <fmt/format.h>

#include "sotalign/core/error.h"
#include "sotalign/io/npy_vector.h"

namespace sotalign::app {

std::vector<double> read_weights(const std::string& path, int64_t expected) {
  if (path.empty()) return {};
  std::vector<double> weights = read_npy_vector(path);
  if (static_cast<int64_t>(weights.size()) != expected)
    throw InvalidArgument(fmt::format("{}: expected {} weights, found {}", path, expected, weights.size()));
  return weights;
}

}  // namespace sotalign::app
