// A file mapped read-only into memory.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <string>

namespace sotalign::io {

/// Neither copied nor moved. Reading the bytes of a file that somebody shortens raises SIGBUS, see
/// mapped_file_at(); a file that somebody overwrites shows the new bytes, see require_unchanged().
class MappedFile {
 public:
  /// Throws IoError: no such file, a directory, not a regular file, or the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const char* data() const { return static_cast<const char*>(data_); }
  size_t size() const { return size_; }
  /// Reading ahead is set for one pass from front to back; call this before keeping the mapping beyond that.
  void expect_random_access() const;
  /// Throws IoError if the file was written to or changed its size since it was mapped. To be called after
  /// the bytes were read and before anything is done with what they said.
  void require_unchanged() const;

 private:
  struct stat status() const;

  const std::string path_;
  int fd_ = -1;
  void* data_ = nullptr;  // null for an empty file, which cannot be mapped
  size_t size_ = 0;
  struct timespec modified_ {};
  int slot_ = -1;  // in the table of mapped_file_at()
};

}  // namespace sotalign::io
