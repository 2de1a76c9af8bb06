#pragma once

#include <cstdint>
#include <string>

namespace sotalign::detail {

/// Bytes that this process can still allocate: the smaller of what the system reports as available and what
/// its control groups leave; -1 if the system reports nothing. `root` is the directory that contains /proc
/// and /sys.
int64_t available_host_bytes(const std::string& root = "");

}  // namespace sotalign::detail
