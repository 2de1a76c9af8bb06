// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <string>

namespace sotalign::io {

/// Move-only. The bytes stay valid until destruction, provided that nobody shortens the file meanwhile.
class MappedFile {
 public:
  /// Throws IoError: no such file, a directory, not a regular file, or the system's reason.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  const std::string& path() const { return path_; }
  const char* data() const { return static_cast<const char*>(data_); }
  size_t size() const { return size_; }
  /// Reading ahead is set for one pass from front to back; call this before keeping the mapping beyond that.
  void expect_random_access() const;

 private:
  std::string path_;
  void* data_ = nullptr;  // null for an empty file, which cannot be mapped
  size_t size_ = 0;
};

}  // namespace sotalign::io
