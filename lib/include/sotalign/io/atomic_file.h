// Writes files so that readers never see a partial one.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// Collects output in a temporary file in the target's directory. commit() flushes it to disk and renames it
/// to the target. Without commit() the target does not change and the temporary file is removed.
///
///   AtomicFile file("model.safetensors");
///   file.write(bytes.data(), bytes.size());
///   file.commit();
///
/// Every failure throws IoError with the path and the system's reason. If the target is a symbolic link, the
/// file that it points to is replaced. The new file gets the permissions of the old one and, where the system
/// allows it, its owner and group. The temporary file, ".sotalign-PID-N.tmp", is locked (flock) while it is
/// written, which distinguishes it from one left behind by a killed process.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends `bytes` bytes.
  void write(const void* data, size_t bytes);
  /// Replaces the target. Call it last, and at most once.
  void commit();

 private:
  [[noreturn]] void fail(const char* action) const;

  std::string path_;
  std::string temporary_;
  std::FILE* file_ = nullptr;
};

}  // namespace sotalign
