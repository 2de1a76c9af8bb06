// Writing a file so that its name never shows a partial one.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

namespace sotalign {

/// Collects output in a temporary file beside the target; commit() makes it durable and puts it in place of
/// the target in one step. Without commit() the target stays as it was and the temporary file is removed.
///
///   AtomicFile file("model.safetensors");
///   file.write(bytes.data(), bytes.size());
///   file.commit();
///
/// Every failure throws IoError with the path and the system's reason. A symbolic link is followed: the file
/// it points to is replaced. A file that is replaced keeps its permissions and, where this process may give
/// files away, its owner and group. The temporary file, ".sotalign-PID-N.tmp", is locked (flock) while it is
/// written, so that one without a writer can be told.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  /// At most once, and the last call.
  void commit();

 private:
  [[noreturn]] void fail(const char* action) const;

  std::string path_;
  std::string temporary_;
  std::FILE* file_ = nullptr;
};

}  // namespace sotalign
