// Handles of cuBLAS and cuSOLVER on the emulated device.
#pragma once

#include <cstdint>

namespace simt {
/// Handles that are alive. Not defined where kernels run on a real device.
[[gnu::weak, gnu::visibility("default")]] int64_t library_handles();
}  // namespace simt
