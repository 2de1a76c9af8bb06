#include "cli/nearest.h"

#include <algorithm>

namespace sotalign::app {

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  constexpr size_t kCompared = 64;  // the cost is the product of two lengths
  const std::string text = word.substr(0, kCompared);
  const auto distance = [&](const std::string& candidate) {
    const std::string other = candidate.substr(0, kCompared);
    std::vector<size_t> row(other.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 1; i <= text.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i;
      for (size_t j = 1; j < row.size(); ++j) {
        const size_t replaced = diagonal + (text[i - 1] == other[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    return row.back();
  };
  return *std::min_element(
      candidates.begin(), candidates.end(),
      [&](const std::string& a, const std::string& b) { return distance(a) < distance(b); });
}

}  // namespace sotalign::app
