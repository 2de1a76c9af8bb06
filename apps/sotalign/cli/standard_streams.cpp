#include "cli/standard_streams.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {
[[noreturn]] void fail_input(const char* action) {
  throw IoError(fmt::format("standard input: cannot {}: {}", action, std::strerror(errno)));
}

/// Reads until `bytes` is full or the input ends.
size_t read_input(char* bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t count = read(STDIN_FILENO, bytes + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_input("read");
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}
}  // namespace

bool open_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    if (open("/dev/null", O_RDWR) != stream) return false;  // open() returns the lowest free number
  }
  return true;
}

std::unique_ptr<std::FILE, int (*)(std::FILE*)> open_standard_input(std::string_view beginning,
                                                                    const char* expected) {
  using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
  if (isatty(STDIN_FILENO))
    throw IoError(fmt::format("standard input: expected {} from a pipe or file, found a terminal", expected));
  struct stat status = {};
  if (fstat(STDIN_FILENO, &status) != 0) fail_input("read");
  if (S_ISREG(status.st_mode) && lseek(STDIN_FILENO, 0, SEEK_CUR) == 0) {
    const int copy = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) fail_input("read");
    File file(fdopen(copy, "rb"), std::fclose);
    if (!file) fail_input("read");
    return file;
  }
  File file(std::tmpfile(), std::fclose);
  if (!file) fail_input("create a temporary file");
  std::vector<char> chunk(1 << 20);
  size_t bytes = read_input(chunk.data(), beginning.size());
  // What is something else may never end.
  if (std::string_view(chunk.data(), bytes) != beginning)
    throw IoError(fmt::format("standard input: expected {}, found {}", expected,
                              bytes == 0 ? "nothing" : "other content"));
  while (bytes > 0) {
    if (std::fwrite(chunk.data(), 1, bytes, file.get()) != bytes) fail_input("write a temporary file");
    bytes = read_input(chunk.data(), chunk.size());
  }
  if (std::fflush(file.get()) != 0) fail_input("write a temporary file");
  return file;
}

}  // namespace sotalign::app
