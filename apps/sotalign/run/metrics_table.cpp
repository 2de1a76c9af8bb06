#include "run/metrics_table.h"

#include <algorithm>
#include <functional>

#include "cli/csv.h"
#include "cli/files.h"
#include "cli/json_reader.h"
#include "cli/parse_json.h"

namespace sotalign::app {

namespace {

/// Calls `value` with the joined key of every value that is not an object.
void flatten(const std::string& key, const Json& json,
             const std::function<void(const std::string&, const Json&)>& value) {
  if (!json.is_object()) return value(key, json);
  const std::string prefix = key.empty() ? "" : key + "_";
  for (const auto& [name, child] : json.items()) flatten(prefix + name, child, value);
}

}  // namespace

MetricsTable MetricsTable::read(const std::string& path) {
  MetricsTable table;
  each_line(path, [&](int64_t number, std::string_view line) {
    const std::string where = path + ": line " + std::to_string(number + 1);
    const Json json = parse_json(std::string(line), where);
    JsonReader(json, where).count("step", 0);
    table.add(json);
  });
  return table;
}

void MetricsTable::add(const Json& line) {
  const Json& step = line.at("step");
  if (rows_ == 0 || at(rows_ - 1, 0) != step) {
    ++rows_;
    set("step", step);
  }
  flatten("", line, [&](const std::string& key, const Json& value) {
    if (key != "type") set(key, value);
  });
}

void MetricsTable::set(const std::string& column, const Json& value) {
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  const auto index = static_cast<size_t>(found - columns_.begin());
  if (found == columns_.end()) {
    columns_.push_back(column);
    values_.emplace_back();
  }
  std::vector<Json>& values = values_[index];
  values.resize(rows_);
  if (values.back().is_null()) values.back() = value;
}

const Json& MetricsTable::at(size_t row, size_t column) const {
  static const Json kNone;
  return row < values_[column].size() ? values_[column][row] : kNone;
}

MetricsTable::Curve MetricsTable::curve(const std::string& column) const {
  Curve curve;
  const auto found = std::find(columns_.begin(), columns_.end(), column);
  if (found == columns_.end()) return curve;
  for (size_t row = 0; row < rows_; ++row)
    if (const Json& value = at(row, static_cast<size_t>(found - columns_.begin())); value.is_number()) {
      curve.steps.push_back(at(row, 0).get<double>());
      curve.values.push_back(value.get<double>());
    }
  return curve;
}

std::string MetricsTable::csv() const {
  std::string text;
  const auto add_row = [&](const auto& cell) {
    for (size_t column = 0; column < columns_.size(); ++column) {
      if (column > 0) text += ',';
      text += csv_quoted(cell(column));
    }
    text += '\n';
  };
  add_row([&](size_t column) { return columns_[column]; });
  for (size_t row = 0; row < rows_; ++row)
    add_row([&](size_t column) -> std::string {
      const Json& value = at(row, column);
      return value.is_null() ? "" : value.is_string() ? value.get<std::string>() : value.dump();
    });
  return text;
}

}  // namespace sotalign::app
