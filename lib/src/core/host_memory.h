#pragma once

#include <cstdint>
#include <string>

namespace sotalign::detail {

/// Memory that this process can still have: what the system says is available, or what its control groups
/// leave, whichever is less; -1 if the system does not say. `root` is where /proc and /sys are.
int64_t available_host_bytes(const std::string& root = "");

}  // namespace sotalign::detail
