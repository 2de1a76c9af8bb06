// Launches on the emulated device.
#pragma once

#include <cstdint>

namespace simt {
/// Kernels launched since the process began. Not defined where kernels run on a real device.
[[gnu::weak, gnu::visibility("default")]] int64_t launch_count();
}  // namespace simt
