// Finds the file that a faulting address belongs to. Reading a mapped file that another process has shortened
// raises SIGBUS; the program's signal handler can then name the file.
#pragma once

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// The path of the mapped file that contains `address`, or null. Safe to call in a signal handler. Covers at
/// most 64 files mapped at the same time.
const char* mapped_file_at(const void* address) noexcept;

}  // namespace sotalign
