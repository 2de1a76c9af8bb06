// How much of a multiprocessor's memory a kernel gets as shared memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sotalign::kernels::cuda {

/// Lets blocks of `threads` threads of `kernel` take `shared` bytes of dynamic shared memory on `device`,
/// which must be current. Asks for a carve-out that holds as many blocks as the kernel's registers and
/// threads allow, and leaves the rest to L1. Sets the kernel's attributes when it first asks for so much on
/// the device; later calls only look that up. May be called from several threads. Errors name `name`.
void prepare_shared_memory(const void* kernel, int device, int threads, size_t shared, const char* name);

/// Bytes of shared memory that a block of a cooperative launch may take, static and dynamic; 0 if the device
/// has no cooperative launches.
int64_t cooperative_shared_memory(int device);

}  // namespace sotalign::kernels::cuda
