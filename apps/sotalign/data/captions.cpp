#include "data/captions.h"

#include <fmt/format.h>

#include <utility>

#include "cli/files.h"
#include "cli/shown_text.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

Captions::Captions(std::string path, int64_t rows, const std::string& rows_name)
    : path_(std::move(path)), rows_(rows) {
  if (empty()) return;
  const int64_t lines = each_line(path_, [](int64_t, std::string_view) {});
  if (lines != rows)
    throw InvalidArgument(fmt::format("{}: expected {} lines, one for each row of {}, found {}", path_, rows,
                                      rows_name, lines));
}

void Captions::read(const std::vector<int64_t>& rows) {
  if (empty()) return;
  for (const int64_t row : rows) lines_[row];
  const int64_t lines = each_line(path_, [&](int64_t number, std::string_view text) {
    const auto wanted = lines_.find(number);
    if (wanted == lines_.end()) return;
    if (!is_utf8(text)) throw IoError(fmt::format("{}: line {}: expected UTF-8", path_, number + 1));
    wanted->second = text;
  });
  if (lines != rows_) throw IoError(fmt::format("{}: the file was changed while it was in use", path_));
}

}  // namespace sotalign::app
