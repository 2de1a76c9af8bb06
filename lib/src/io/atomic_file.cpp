#include "sotalign/io/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "sotalign/core/error.h"

namespace sotalign {

namespace fs = std::filesystem;

namespace {
std::string directory_of(const std::string& path) {
  const std::string parent = fs::path(path).parent_path();
  return parent.empty() ? "." : parent;
}

/// Gives `file` the owner, group and permissions of the file it will replace, as far as the system allows. If
/// the group cannot be kept, the new group gets no more permissions than everybody has.
void take_over(int file, const struct stat& replaced) {
  mode_t mode = replaced.st_mode & 0777;  // drops set-user-ID and the like: the content is new
  if (fchown(file, replaced.st_uid, replaced.st_gid) != 0 &&
      fchown(file, static_cast<uid_t>(-1), replaced.st_gid) != 0) {
    const mode_t others = mode & 07;
    mode = (mode & 0707) | (mode & (others << 3));
  }
  fchmod(file, mode);  // ignores errors: some file systems have no permissions
}
}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  std::error_code ignored;
  if (fs::is_symlink(path_, ignored)) {
    const fs::path target = fs::canonical(path_, ignored);
    if (!target.empty()) path_ = target;
  }
  // Check now: rename() would report these only after hours of work.
  if (fs::is_directory(path_, ignored))
    throw IoError(fmt::format("{}: cannot write: it is a directory", path_));
  if (fs::exists(path_, ignored) && !fs::is_regular_file(path_, ignored))
    throw IoError(fmt::format("{}: cannot write: expected a regular file, found a device or pipe", path_));

  // The name omits the target's, which may already have the maximum length. O_EXCL makes it unique even among
  // machines that share the directory.
  static std::atomic<unsigned> counter{0};
  struct stat replaced {};
  const bool replaces = stat(path_.c_str(), &replaced) == 0;
  int fd = -1;
  do {
    temporary_ = fmt::format("{}/.sotalign-{}-{}.tmp", directory_of(path_), getpid(), counter++);
    fd = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, replaces ? 0600 : 0666);
  } while (fd < 0 && errno == EEXIST);
  if (fd < 0) fail("create");
  flock(fd, LOCK_EX | LOCK_NB);
  if (replaces) take_over(fd, replaced);
  file_ = fdopen(fd, "wb");
  if (file_ == nullptr) {
    const int reason = errno;
    close(fd);
    unlink(temporary_.c_str());
    errno = reason;
    fail("create");
  }
}

AtomicFile::~AtomicFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(const void* data, size_t bytes) {
  if (bytes > 0 && std::fwrite(data, 1, bytes, file_) != bytes) fail("write");
}

void AtomicFile::commit() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) fail("write");
  if (std::fclose(std::exchange(file_, nullptr)) != 0) fail("write");
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail("replace");
  temporary_.clear();
  // Sync the directory, so that the new name survives a power failure, too. Errors are ignored: the file is
  // already in place, and some file systems cannot sync a directory.
  const int directory = open(directory_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0) {
    fsync(directory);
    close(directory);
  }
}

void AtomicFile::fail(const char* action) const {
  throw IoError(fmt::format("{}: cannot {}: {}", path_, action, std::strerror(errno)));
}

}  // namespace sotalign
