// Linux: reads /proc/meminfo and the memory controllers of control groups, versions 1 and 2.
#include "core/host_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>

namespace sotalign::detail {

namespace {

constexpr int64_t kUnknown = -1;

/// The number at the beginning of a file; kUnknown for "max" and for missing files.
int64_t number_in(const std::string& path) {
  std::ifstream file(path);
  int64_t value = 0;
  return file >> value ? value : kUnknown;
}

/// The number after `key` in a file of "key number" lines.
int64_t number_after(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    int64_t value = 0;
    if (words >> word >> value && word == key) return value;
  }
  return kUnknown;
}

struct Controller {
  std::string base, limit, usage, inactive_file;
};

/// Bytes that a control group and its ancestors leave. Inside a container, the container's own group is at
/// the base, whatever its path.
int64_t left_by_groups(const Controller& controller, std::string path) {
  int64_t left = std::numeric_limits<int64_t>::max();
  for (;;) {
    const std::string folder = controller.base + path + "/";
    const int64_t limit = number_in(folder + controller.limit), usage = number_in(folder + controller.usage);
    // Inactive file cache counts as used but can be reclaimed.
    const int64_t cached =
        std::max<int64_t>(0, number_after(folder + "memory.stat", controller.inactive_file));
    if (limit >= 0 && usage >= 0) left = std::min(left, std::max<int64_t>(0, limit - usage + cached));
    if (path.empty()) return left;
    path.resize(path.find_last_of('/'));
  }
}

}  // namespace

int64_t available_host_bytes(const std::string& root) {
  const int64_t kibibytes = number_after(root + "/proc/meminfo", "MemAvailable:");
  if (kibibytes < 0) return kUnknown;
  int64_t available = kibibytes * 1024;
  // Lines are "number:controllers:path"; version 2 names no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    std::string path = line.substr(second + 1);
    if (path.empty() || path[0] != '/' || path == "/") path.clear();
    const std::string base = root + "/sys/fs/cgroup";
    if (controllers == ",,")
      available =
          std::min(available, left_by_groups({base, "memory.max", "memory.current", "inactive_file"}, path));
    else if (controllers.find(",memory,") != std::string::npos)
      available = std::min(available, left_by_groups({base + "/memory", "memory.limit_in_bytes",
                                                      "memory.usage_in_bytes", "total_inactive_file"},
                                                     path));
  }
  return available;
}

}  // namespace sotalign::detail
