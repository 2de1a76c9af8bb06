#include "cli/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/io/atomic_file.h"

namespace sotalign::app {

namespace {

constexpr size_t kMostTextBytes = size_t{64} << 20;

/// A regular file, open for reading. Anything else could block the program.
class RegularFile {
 public:
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  explicit RegularFile(const std::string& path)
      : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) fail_as_told();
    try {
      struct stat status = {};
      if (fstat(fd_, &status) != 0) fail_as_told();
      if (S_ISDIR(status.st_mode)) fail("expected a file, found a directory");
      if (!S_ISREG(status.st_mode)) fail("expected a regular file, found a device, pipe or socket");
    } catch (...) {
      close(fd_);
      throw;
    }
  }
  ~RegularFile() { close(fd_); }
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;

  /// Up to `most` bytes; fewer if the file is shorter.
  std::string read_up_to(size_t most) const {
    std::string text;
    std::vector<char> chunk(1 << 16);
    while (text.size() < most) {  // files in /proc report no size
      const ssize_t bytes = read(fd_, chunk.data(), std::min(chunk.size(), most - text.size()));
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes < 0) fail_as_told();
      if (bytes == 0) break;
      text.append(chunk.data(), static_cast<size_t>(bytes));
    }
    return text;
  }

  [[noreturn]] void fail(const std::string& text) const { throw IoError(fmt::format("{}: {}", path_, text)); }

 private:
  [[noreturn]] void fail_as_told() const { fail(fmt::format("cannot read: {}", std::strerror(errno))); }

  const std::string& path_;
  int fd_;
};

}  // namespace

std::string read_text(const std::string& path) {
  const RegularFile file(path);
  std::string text = file.read_up_to(kMostTextBytes + 1);
  if (text.size() > kMostTextBytes)
    file.fail(fmt::format("expected at most {} MiB of text, found more", kMostTextBytes >> 20));
  return text;
}

std::string read_beginning(const std::string& path, size_t bytes) {
  return RegularFile(path).read_up_to(bytes);
}

void write_text(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

void write_json(const std::string& path, const nlohmann::ordered_json& value) {
  require_finite(value);
  if (path == "-") {
    fmt::print("{}\n", value.dump());
  } else {
    write_text(path, value.dump(2) + "\n");
  }
}

void require_finite(const nlohmann::ordered_json& value, const std::string& name) {
  if (value.is_number_float() && !std::isfinite(value.get<double>()))
    throw NumericalError(fmt::format("{}: expected a finite number, found {}", name,
                                     std::isnan(value.get<double>()) ? "nan" : "inf"));
  if (value.is_structured())
    for (const auto& [key, part] : value.items()) require_finite(part, key);
}

}  // namespace sotalign::app
