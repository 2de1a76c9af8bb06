#include "data/demo_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "cli/files.h"
#include "data/inputs.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> read_lines(const std::string& path, int64_t expected) {
  std::istringstream text(read_text(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  if (static_cast<int64_t>(lines.size()) != expected)
    throw IoError(
        fmt::format("{}: expected {} lines, one for each row, found {}", path, expected, lines.size()));
  return lines;
}

void append_utf8(std::string& text, unsigned long point) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | ((point >> shift) & 0x3f)); };
  if (point < 0x80) {
    text += static_cast<char>(point);
  } else if (point < 0x800) {
    text += static_cast<char>(0xc0 | (point >> 6)), tail(0);
  } else if (point < 0x10000) {
    text += static_cast<char>(0xe0 | (point >> 12)), tail(6), tail(0);
  } else {
    text += static_cast<char>(0xf0 | (point >> 18)), tail(12), tail(6), tail(0);
  }
}

/// "263A-FE0F" to the characters with these code points.
std::string glyph(const std::string& path, const std::string& id) {
  std::string text, part;
  for (std::istringstream parts(id); std::getline(parts, part, '-');) {
    size_t used = 0;
    unsigned long point = 0;
    try {
      point = std::stoul(part, &used, 16);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used == 0 || used != part.size() || point > 0x10ffff)
      throw IoError(fmt::format("{}: expected code points such as 263A-FE0F, found '{}'", path, id));
    append_utf8(text, point);
  }
  return text;
}

}  // namespace

std::string find_demo_data(const std::string& given) {
  if (!given.empty()) return given;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path installed = program.parent_path().parent_path() / "share" / "sotalign";
  for (const fs::path& directory : {fs::path(SOTALIGN_DEMO_DATA), installed})
    if (fs::exists(directory / "emoji" / "images.npy", error)) return directory;
  throw IoError(fmt::format("--data: expected the folders words and emoji in {} or {}, found them in neither",
                            SOTALIGN_DEMO_DATA, installed.string()));
}

namespace {
DemoData read_rows(const std::string& directory) {
  DemoData data{.images = read_embeddings(directory + "/images.npy"),
                .texts = read_embeddings(directory + "/texts.npy")};
  if (data.texts.rows() != data.images.rows())
    throw IoError(fmt::format("{}: expected as many texts as images, found {} and {}", directory,
                              data.texts.rows(), data.images.rows()));
  return data;
}
}  // namespace

DemoData read_words(const std::string& directory) {
  DemoData data = read_rows(directory);
  data.image_labels = read_lines(directory + "/lemmas.txt", data.images.rows());
  data.text_labels = read_lines(directory + "/captions.txt", data.images.rows());
  return data;
}

DemoData read_emoji(const std::string& directory) {
  DemoData data = read_rows(directory);
  const std::string ids = directory + "/ids.txt";
  for (const std::string& id : read_lines(ids, data.images.rows()))
    data.image_labels.push_back(glyph(ids, id));
  for (const std::string& caption : read_lines(directory + "/captions.txt", data.images.rows())) {
    // "flag: France: FR, flag" is the flag of France: the tags follow the last colon.
    data.text_labels.push_back(caption.substr(0, caption.rfind(": ")));
  }
  return data;
}

}  // namespace sotalign::app
