// The rows that each run of the study trains and measures on.
#pragma once

#include <string>

#include "run/experiment.h"
#include "study/cells.h"

namespace sotalign::app {

struct StudyFiles {
  std::string images, texts, other_images, other_texts;
};

/// Spherical sliced Wasserstein distances between the unpaired and the measured rows.
struct StudyShift {
  double images = 0, texts = 0;
};

class StudyData {
 public:
  /// Reads the files. Throws IoError for bad files, and InvalidArgument for files that do not match.
  explicit StudyData(const StudyFiles& files);

  int64_t rows() const { return images_.rows(); }
  bool has_other() const { return other_images_.rows() > 0; }
  int64_t image_dim() const { return images_.cols(); }
  int64_t text_dim() const { return texts_.cols(); }
  /// A hash of every value in the files.
  std::string fingerprint() const;

  struct Rows {
    Dataset data;
    TestPairs measured;
  };
  /// For a given seed, all runs share their test and validation rows, and a smaller set of pairs is a prefix
  /// of a larger one. So two runs differ only in what they compare.
  Rows rows(const StudySizes& sizes, const StudyRun& run) const;

  /// The first rows as pairs and the next ones as unpaired rows, to check options with.
  Dataset first_rows(int64_t pairs, int64_t unpaired) const;

  static StudyShift shift(Context& context, const Rows& rows);

 private:
  HostMatrix images_, texts_, other_images_, other_texts_;
};

}  // namespace sotalign::app
