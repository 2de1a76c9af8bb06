#include "io/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "sotalign/core/error.h"

namespace sotalign::io {

namespace {
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};
}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) {
    if (errno == ENOENT) throw IoError(fmt::format("{}: no such file", path));
    throw IoError(fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  }
  struct stat status;
  if (fstat(file.fd, &status) != 0)
    throw IoError(fmt::format("{}: cannot read: {}", path, std::strerror(errno)));
  if (S_ISDIR(status.st_mode)) throw IoError(fmt::format("{}: expected a file, found a directory", path));
  if (!S_ISREG(status.st_mode))
    throw IoError(fmt::format("{}: expected a regular file, found a device, pipe or socket", path));
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (mapped == MAP_FAILED)
    throw IoError(fmt::format("{}: cannot map {} bytes: {}", path, size_, std::strerror(errno)));
  data_ = mapped;
  // Every reader first converts or checks the file from front to back.
  madvise(data_, size_, MADV_SEQUENTIAL);
}

void MappedFile::expect_random_access() const { madvise(data_, size_, MADV_NORMAL); }

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace sotalign::io
