// Which file a faulting address belongs to. Reading a mapped file that somebody has shortened raises SIGBUS;
// a program's handler can say which file it was.
#pragma once

namespace sotalign {

/// The path of the mapped file that `address` lies in, or null. Safe to call in a signal handler. Knows the
/// first 64 files that are mapped at a time.
const char* mapped_file_at(const void* address) noexcept;

}  // namespace sotalign
