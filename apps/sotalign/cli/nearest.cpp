#include "cli/nearest.h"

#include <algorithm>
#include <string_view>

namespace sotalign::app {

namespace {

constexpr size_t kCompared = 64;  // the cost is the product of two lengths

/// The optimal string alignment distance of the beginnings.
size_t edit_distance(std::string_view a, std::string_view b) {
  a = a.substr(0, kCompared);
  b = b.substr(0, kCompared);
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = i;
    for (size_t j = 1; j < row.size(); ++j) {
      const size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}

std::string_view without_dashes(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of('-'), text.size()));
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  return *std::min_element(candidates.begin(), candidates.end(),
                           [&](const std::string& a, const std::string& b) {
                             return edit_distance(word, a) < edit_distance(word, b);
                           });
}

std::optional<std::string> near(const std::string& word, const std::vector<std::string>& candidates) {
  constexpr size_t kLeast = 2;  // one character begins too many names
  const std::string_view stem = without_dashes(word);
  const std::string* longer = nullptr;
  for (const std::string& candidate : candidates)
    if (stem.size() >= kLeast && without_dashes(candidate).starts_with(stem) &&
        (longer == nullptr || candidate.size() < longer->size()))
      longer = &candidate;
  if (longer != nullptr) return *longer;
  std::string best = nearest(word, candidates);
  if (3 * edit_distance(stem, without_dashes(best)) > std::min(stem.size(), kCompared)) return std::nullopt;
  return best;
}

}  // namespace sotalign::app
