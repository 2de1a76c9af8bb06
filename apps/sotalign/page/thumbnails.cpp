#include "page/thumbnails.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <string_view>
#include <utility>

#include "cli/files.h"
#include "plot/markup.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

constexpr size_t kMost = size_t{1} << 20;

constexpr std::array<std::pair<const char*, const char*>, 6> kTypes = {{{"jpg", "image/jpeg"},
                                                                        {"jpeg", "image/jpeg"},
                                                                        {"png", "image/png"},
                                                                        {"webp", "image/webp"},
                                                                        {"gif", "image/gif"},
                                                                        {"svg", "image/svg+xml"}}};

[[noreturn]] void too_large(const std::string& path) {
  throw IoError(fmt::format("{}: expected a thumbnail of at most {} KiB, found more", path, kMost >> 10));
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63];
  }
  return text;
}

/// The path and the type of a row's image; an empty path if the folder has no image of it.
std::pair<std::string, const char*> file_of(const std::string& folder, int64_t row) {
  for (const auto& [extension, type] : kTypes) {
    std::string path = fmt::format("{}/{}.{}", folder, row, extension);
    std::error_code ignored;
    if (std::filesystem::exists(path, ignored)) return {std::move(path), type};
  }
  return {"", ""};
}

}  // namespace

Thumbnails::Thumbnails(std::string folder, const std::string& flag) : folder_(std::move(folder)) {
  std::error_code ignored;
  if (!folder_.empty() && !std::filesystem::is_directory(folder_, ignored))
    throw InvalidArgument(fmt::format("{}: expected a directory, found none at {}", flag, folder_));
}

void Thumbnails::check(const std::vector<int64_t>& rows) const {
  if (empty()) return;
  for (const int64_t row : rows) {
    const std::string path = file_of(folder_, row).first;
    std::error_code ignored;
    if (!path.empty() && std::filesystem::is_regular_file(path, ignored) &&
        std::filesystem::file_size(path, ignored) > kMost)
      too_large(path);
  }
}

std::string Thumbnails::image(int64_t row, const std::string& caption) const {
  if (empty()) return "";
  const auto [path, type] = file_of(folder_, row);
  if (path.empty()) return "";
  const std::string bytes = read_beginning(path, kMost + 1);
  if (bytes.size() > kMost) too_large(path);
  return fmt::format("<img alt=\"{}\" src=\"data:{};base64,{}\">", escaped(caption), type, base64(bytes));
}

}  // namespace sotalign::app
