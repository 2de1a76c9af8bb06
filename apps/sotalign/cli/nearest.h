// Suggests a known name for a misspelt one.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

/// The candidate with the smallest edit distance to `word`, comparing only the first 64 bytes of each.
/// `candidates` must not be empty.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace sotalign::app
