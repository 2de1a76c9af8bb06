#include "io/mapped_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sotalign/core/error.h"
#include "sotalign/io/mapped_file_at.h"

namespace sotalign {

namespace {

// A signal handler may neither lock nor allocate, hence the fixed-size table. `path` is set last and cleared
// first: an entry is valid only if it has a path.
struct Entry {
  std::atomic<bool> taken{false};
  std::atomic<const char*> path{nullptr};
  std::atomic<const char*> begin{nullptr};
  std::atomic<size_t> size{0};
};
std::array<Entry, 1024> entries;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

int take_entry(const char* path, const void* begin, size_t size) {
  for (size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].taken.exchange(true)) continue;
    entries[i].begin = static_cast<const char*>(begin);
    entries[i].size = size;
    entries[i].path = path;
    return static_cast<int>(i);
  }
  return -1;
}

void return_entry(int slot) {
  if (slot < 0) return;
  Entry& entry = entries[static_cast<size_t>(slot)];
  entry.path = nullptr;
  entry.taken = false;
}

}  // namespace

const char* mapped_file_at(const void* address) noexcept {
  const char* at = static_cast<const char*>(address);
  for (const Entry& entry : entries) {
    const char *path = entry.path, *begin = entry.begin;
    if (path != nullptr && at >= begin && at < begin + entry.size) return path;
  }
  return nullptr;
}

namespace io {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  // Without O_NONBLOCK, opening a named pipe would block until a writer opens it.
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd_ < 0) {
    if (errno == ENOENT) throw IoError(fmt::format("{}: no such file", path));
    throw IoError(fmt::format("{}: cannot open: {}", path, std::strerror(errno)));
  }
  map();
}

MappedFile::MappedFile(int descriptor, std::string name)
    : path_(std::move(name)), fd_(fcntl(descriptor, F_DUPFD_CLOEXEC, 0)) {
  if (fd_ < 0) throw IoError(fmt::format("{}: cannot open: {}", path_, std::strerror(errno)));
  map();
}

void MappedFile::map() {
  try {
    const struct stat found = status();
    if (S_ISDIR(found.st_mode)) throw IoError(fmt::format("{}: expected a file, found a directory", path_));
    if (!S_ISREG(found.st_mode))
      throw IoError(fmt::format("{}: expected a regular file, found a device, pipe or socket", path_));
    size_ = static_cast<size_t>(found.st_size);
    modified_ = found.st_mtim;
    if (size_ == 0) return;
    void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd_, 0);
    if (mapped == MAP_FAILED)
      throw IoError(fmt::format("{}: cannot map {} bytes: {}", path_, size_, std::strerror(errno)));
    data_ = mapped;
  } catch (...) {
    close(fd_);
    throw;
  }
  slot_ = take_entry(path_.c_str(), data_, size_);
  // Every reader starts with a sequential pass that converts or checks the file.
  madvise(data_, size_, MADV_SEQUENTIAL);
}

struct stat MappedFile::status() const {
  struct stat result {};
  if (fstat(fd_, &result) != 0)
    throw IoError(fmt::format("{}: cannot read: {}", path_, std::strerror(errno)));
  return result;
}

void MappedFile::expect_random_access() const { madvise(data_, size_, MADV_NORMAL); }

void MappedFile::read(size_t offset, size_t bytes, void* out) const {
  for (size_t done = 0; done < bytes;) {
    const ssize_t count =
        pread(fd_, static_cast<char*>(out) + done, bytes - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw IoError(fmt::format("{}: cannot read: {}", path_, std::strerror(errno)));
    if (count == 0) throw IoError(fmt::format("{}: the file was shortened while it was in use", path_));
    done += static_cast<size_t>(count);
  }
}

void MappedFile::will_read(size_t offset, size_t bytes) const {
  posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
}

void MappedFile::release(const char* first, size_t bytes) const {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t offset = static_cast<size_t>(first - data()), begin = offset / page * page,
               end = offset + bytes == size_ ? size_ : (offset + bytes) / page * page;
  if (end > begin) madvise(static_cast<char*>(data_) + begin, end - begin, MADV_DONTNEED);
}

void MappedFile::require_unchanged() const {
  // Compares mtime, not ctime: renaming another file over this one changes ctime, but not the mapped content.
  const struct stat found = status();
  if (static_cast<size_t>(found.st_size) != size_ || found.st_mtim.tv_sec != modified_.tv_sec ||
      found.st_mtim.tv_nsec != modified_.tv_nsec)
    throw IoError(fmt::format("{}: the file was changed while it was in use", path_));
}

MappedFile::~MappedFile() {
  return_entry(slot_);
  if (data_ != nullptr) munmap(data_, size_);
  if (fd_ >= 0) close(fd_);
}

}  // namespace io
}  // namespace sotalign
