// Unpaired rows in several files.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

/// The files that these paths name, in order. A path with *, ? or [ that is no file is a pattern, as in a
/// shell: it stands for all matching files, ordered by the bytes of their names. Throws IoError for a pattern
/// that matches none.
std::vector<std::string> shards(const std::vector<std::string>& paths);

}  // namespace sotalign::app
