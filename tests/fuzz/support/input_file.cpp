#include "support/input_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace sotalign::fuzz {

const std::string& input_file(const uint8_t* data, size_t size) {
  static const int fd = memfd_create("input", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size))
    std::abort();
  return path;
}

void finding(const char* what, const std::string& detail) {
  std::fprintf(stderr, "finding: %s: %s\n", what, detail.substr(0, 300).c_str());
  std::abort();
}

void check_message(const std::string& message) {
  constexpr size_t kLongest = 2000;
  if (message.empty()) finding("a message without text", "");
  if (message.size() > kLongest) finding("a message that is too long", message);
  for (const char c : message)
    if (c == '\n' || c == '\r' || c == '\0') finding("a message of more than one line", message);
}

}  // namespace sotalign::fuzz
