// Small images of rows, which pages hold within themselves.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sotalign::app {

/// A folder with an image for each row that has one, named by the row from 0: 7.jpg, or .jpeg, .png, .webp,
/// .gif, .svg.
class Thumbnails {
 public:
  Thumbnails() = default;
  /// Throws InvalidArgument, beginning with `flag`, unless the folder exists. An empty name has no images.
  Thumbnails(std::string folder, const std::string& flag);

  bool empty() const { return folder_.empty(); }
  /// Throws IoError for an image of more than 1 MiB.
  void check(const std::vector<int64_t>& rows) const;
  /// The image element of a row; empty without a file. Throws IoError as check().
  /// @param caption for screen readers, as text
  std::string image(int64_t row, const std::string& caption) const;

 private:
  std::string folder_;
};

}  // namespace sotalign::app
