// Suggests a known name for a misspelt one.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace sotalign::app {

/// The candidate with the smallest edit distance to `word`: characters that are added, missing, replaced, or
/// swapped with their neighbour. Compares only the first 64 bytes of each. `candidates` must not be empty.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

/// The candidate that `word` was probably meant to be: the shortest one that begins with it, else the nearest
/// one, if its distance is at most a third of the word's length. Dashes in front do not count.
std::optional<std::string> near(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace sotalign::app
