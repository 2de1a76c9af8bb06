#include "files.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>

#include "sotalign/core/error.h"
#include "sotalign/io/atomic_file.h"

namespace sotalign::app {

std::string read_text(const std::string& path) {
  const auto fail = [&] { throw IoError(fmt::format("{}: cannot read: {}", path, std::strerror(errno))); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) fail();
  std::string text;
  char chunk[1 << 16];
  while (const size_t bytes = std::fread(chunk, 1, sizeof chunk, file.get())) text.append(chunk, bytes);
  if (std::ferror(file.get())) fail();
  return text;
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
    throw NumericalError(fmt::format("{}: expected a finite number, found {}", name, value.get<double>()));
  if (value.is_structured())
    for (const auto& [key, part] : value.items()) require_finite(part, key);
}

}  // namespace sotalign::app
