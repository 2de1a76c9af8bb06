// The text of a progress bar. Numbers have fixed widths, so that a bar keeps its width while they change.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sotalign::app {

struct ProgressState {
  std::string name = {};
  int64_t step = 0, total = 0;
  std::string numbers = {};  ///< of the step; the bar keeps its width if this text does
  double steps_per_second = 0;
  std::optional<double> seconds_left = {};  ///< std::nullopt: unknown, and not shown
};

/// "NAME [=====     ]  12/2000  NUMBERS  3.40 steps/s  4:05 left", at most `columns` wide. Where there is
/// little room, the bar becomes shorter first, then the name; then the bar goes, and the end of the line.
/// What is cut ends with "...".
std::string progress_line(const ProgressState& state, int columns);

/// The value in exactly `columns` columns, at least 8, with `decimals` digits behind the point or, where
/// these do not fit, fewer.
std::string fixed_number(double value, int columns, int decimals);

/// "loss   0.1234", for ProgressState::numbers.
std::string loss_text(double loss);

}  // namespace sotalign::app
