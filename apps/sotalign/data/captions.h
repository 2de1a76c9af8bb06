// Text files with one line for each row of a file of embeddings.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace sotalign::app {

/// Holds only the lines that were asked for.
class Captions {
 public:
  Captions() = default;
  /// Throws InvalidArgument, naming both files, unless `path` has `rows` lines. An empty path has no
  /// captions.
  Captions(std::string path, int64_t rows, const std::string& rows_name);

  bool empty() const { return path_.empty(); }
  /// Reads the lines of these rows. Throws IoError for a line that is not UTF-8, and if the file has another
  /// number of lines than before.
  void read(const std::vector<int64_t>& rows);
  /// The line of a row that was read.
  const std::string& operator[](int64_t row) const { return lines_.at(row); }

 private:
  std::string path_;
  int64_t rows_ = 0;
  std::unordered_map<int64_t, std::string> lines_;
};

}  // namespace sotalign::app
