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
      const size_t bytes = read_some(chunk.data(), std::min(chunk.size(), most - text.size()));
      if (bytes == 0) break;
      text.append(chunk.data(), bytes);
    }
    return text;
  }

  /// Reads up to `most` of the next bytes; none at the end.
  size_t read_some(char* bytes, size_t most) const {
    while (true) {
      const ssize_t count = read(fd_, bytes, most);
      if (count >= 0) return static_cast<size_t>(count);
      if (errno != EINTR) fail_as_told();
    }
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

int64_t each_line(const std::string& path, const std::function<void(int64_t, std::string_view)>& line) {
  const RegularFile file(path);
  std::vector<char> chunk(1 << 16);
  std::string begun;  // the part of a line in earlier chunks
  int64_t lines = 0;
  const auto end_line = [&](std::string_view text) {
    if (text.ends_with('\r')) text.remove_suffix(1);
    line(lines++, text);
  };
  while (const size_t bytes = file.read_some(chunk.data(), chunk.size())) {
    std::string_view rest(chunk.data(), bytes);
    for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
      begun.append(rest.substr(0, end));
      end_line(begun);
      begun.clear();
      rest.remove_prefix(end + 1);
    }
    begun.append(rest);
    if (begun.size() > kMostTextBytes)
      file.fail(fmt::format("line {}: expected at most {} MiB, found more", lines + 1, kMostTextBytes >> 20));
  }
  if (!begun.empty()) end_line(begun);
  return lines;
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
