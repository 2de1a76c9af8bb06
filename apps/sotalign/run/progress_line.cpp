#include "run/progress_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/duration.h"

namespace sotalign::app {

namespace {

constexpr int kLongestBar = 30, kShortestBar = 5, kFrame = 3;  // the frame: a space and two brackets
constexpr int kShortestName = 8;

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// Columns of the UTF-8 character that starts with this byte. Counts 2 for all scripts from U+1000 on, which
/// have the wide characters.
int columns_of(char first) {
  return is_continuation(first) ? 0 : static_cast<unsigned char>(first) >= 0xe1 ? 2 : 1;
}

int width_of(const std::string& text) {
  int width = 0;
  for (const char c : text) width += columns_of(c);
  return width;
}

/// The text; if it is wider than `columns`, its beginning and "...".
std::string shorten(const std::string& text, int columns) {
  if (width_of(text) <= columns) return text;
  const std::string dots(static_cast<size_t>(std::clamp(columns, 0, 3)), '.');
  int width = static_cast<int>(dots.size());
  size_t end = 0;
  while (width + columns_of(text[end]) <= columns) width += columns_of(text[end++]);
  return text.substr(0, end) + dots;
}

/// "     4:05 left"; as many spaces if it is unknown.
std::string left_text(const std::optional<double>& seconds) {
  constexpr double kMost = 999 * 3600.0;
  const std::string text = !seconds ? "" : *seconds > kMost ? "> 999 h" : duration(*seconds);
  return fmt::format("{:>9}{}", text, seconds ? " left" : "     ");
}

}  // namespace

std::string fixed_number(double value, int columns, int decimals) {
  std::string text;
  for (int digits = decimals; digits >= 0; --digits)
    if (text = fmt::format("{:.{}f}", value, digits); static_cast<int>(text.size()) <= columns)
      return fmt::format("{:>{}}", text, columns);
  for (int digits = 3; digits >= 0; --digits)
    if (text = fmt::format("{:.{}e}", value, digits); static_cast<int>(text.size()) <= columns) break;
  return fmt::format("{:>{}}", text, columns);
}

std::string loss_text(double loss) { return "loss " + fixed_number(loss, 8, 4); }

std::string progress_line(const ProgressState& state, int columns) {
  const std::string total = fmt::format("{}", state.total);
  const std::string tail =
      fmt::format("  {:>{}}/{}  {}  {} steps/s  {}", state.step, total.size(), total, state.numbers,
                  fixed_number(state.steps_per_second, 8, 2), left_text(state.seconds_left));
  const int room = columns - width_of(tail);
  const std::string name = shorten(state.name, std::max(kShortestName, room - kShortestBar - kFrame));
  const int length = std::min(kLongestBar, room - width_of(name) - kFrame);
  if (length < kShortestBar)
    return shorten(shorten(state.name, std::max(kShortestName, room)) + tail, columns);
  const int64_t filled =
      state.total > 0 ? length * std::clamp<int64_t>(state.step, 0, state.total) / state.total : 0;
  return fmt::format("{} [{:<{}}]{}", name, std::string(static_cast<size_t>(filled), '='), length, tail);
}

}  // namespace sotalign::app
