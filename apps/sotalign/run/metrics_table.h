// The metrics.jsonl of a run as a table with a row for each step: the source of the page's curves, and
// metrics.csv.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cli/json.h"

namespace sotalign::app {

class MetricsTable {
 public:
  /// Reads a file that is complete. Throws IoError.
  static MetricsTable read(const std::string& path);

  /// Adds a line of metrics.jsonl. Lines of the same step share a row. Nested keys are joined: the column
  /// student_iterations has {"student": {"iterations": 100}}. "type" is left out. A value that the row has
  /// already stays: a step is logged before it is validated.
  void add(const Json& line);

  /// In the order in which they first appeared; "step" is the first.
  const std::vector<std::string>& columns() const { return columns_; }
  size_t rows() const { return rows_; }
  /// Null where the row has none.
  const Json& at(size_t row, size_t column) const;

  /// Steps and numbers of a column, where it has numbers. Empty for an unknown column.
  struct Curve {
    std::vector<double> steps, values;
  };
  Curve curve(const std::string& column) const;

  /// A header, then a line for each row; empty cells where there is no value. For pandas.read_csv() and other
  /// readers of RFC 4180, with LF as line end.
  std::string csv() const;

 private:
  void set(const std::string& column, const Json& value);

  size_t rows_ = 0;
  std::vector<std::string> columns_ = {"step"};
  std::vector<std::vector<Json>> values_ = {{}};  // of each column; may be shorter than rows_
};

}  // namespace sotalign::app
