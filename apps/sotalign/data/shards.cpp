#include "data/shards.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>

#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

std::vector<std::string> matches(const std::string& pattern) {
  glob_t found{};
  const int error = glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
  std::vector<std::string> paths(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (error == GLOB_NOSPACE) throw OutOfMemory(fmt::format("{}: out of memory on the host", pattern));
  if (error == GLOB_ABORTED)
    throw IoError(fmt::format("{}: cannot read a directory of the pattern", pattern));
  if (paths.empty()) throw IoError(fmt::format("{}: no file matches this pattern", pattern));
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

std::vector<std::string> shards(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    std::error_code ignored;
    if (path.find_first_of("*?[") == std::string::npos || std::filesystem::exists(path, ignored)) {
      files.push_back(path);
      continue;
    }
    for (std::string& file : matches(path)) files.push_back(std::move(file));
  }
  return files;
}

}  // namespace sotalign::app
