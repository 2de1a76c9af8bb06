// A file mapped read-only into memory.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <memory>
#include <string>

namespace sotalign::io {

/// Neither copyable nor movable. If another process shortens the file, reading it raises SIGBUS: see
/// mapped_file_at(). If one overwrites the file, the new bytes appear: see require_unchanged().
class MappedFile {
 public:
  /// Throws IoError if the file does not exist, is a directory or another non-regular file, or cannot be
  /// opened or mapped; the message then gives the system's reason.
  explicit MappedFile(const std::string& path);
  /// The same for the regular file that is open as `descriptor`, which stays the caller's. `name` stands for
  /// its path in messages.
  MappedFile(int descriptor, std::string name);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  const char* data() const { return static_cast<const char*>(data_); }
  size_t size() const { return size_; }
  /// Readahead is tuned for one sequential pass; call this before keeping the mapping for longer.
  void expect_random_access() const;
  /// Reads bytes [offset, offset + bytes) without the mapping: a file that was shortened, or a failing
  /// device, gives an IoError rather than a signal.
  void read(size_t offset, size_t bytes, void* out) const;
  /// Tells the system that read() will ask for these bytes soon, so that several reads wait at the same time.
  void will_read(size_t offset, size_t bytes) const;
  /// Takes the pages that lie within these bytes out of memory, as far as this process is concerned. They are
  /// read again when they are used again.
  void release(const char* first, size_t bytes) const;
  /// Throws IoError if the file was written to or resized since it was mapped. Call it after reading the
  /// bytes and before using them.
  void require_unchanged() const;

 private:
  struct stat status() const;
  /// Maps the file of `fd_`. Throws IoError.
  void map();

  const std::string path_;
  int fd_ = -1;
  void* data_ = nullptr;  // null for an empty file, which cannot be mapped
  size_t size_ = 0;
  struct timespec modified_ {};
  int slot_ = -1;  // index in the table of mapped_file_at()
};

}  // namespace sotalign::io
