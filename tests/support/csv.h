// CSV files that the program writes.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace sotalign::testing {

/// Rows, as text by column name. Quotes may enclose commas. Expects every row to have all columns.
inline std::vector<std::map<std::string, std::string>> csv_rows(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(file, line);) {
    lines.emplace_back(1);
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') {
        quoted = !quoted;
      } else if (c == ',' && !quoted) {
        lines.back().emplace_back();
      } else {
        lines.back().back() += c;
      }
    }
  }
  std::vector<std::map<std::string, std::string>> rows;
  for (size_t i = 1; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].size(), lines[0].size());
    rows.emplace_back();
    for (size_t j = 0; j < lines[0].size(); ++j) rows.back()[lines[0][j]] = lines[i][j];
  }
  return rows;
}

}  // namespace sotalign::testing
