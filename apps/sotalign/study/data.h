// The rows of each run of the study.
#pragma once

#include <string>

#include "run/experiment.h"
#include "study/cells.h"

namespace sotalign::app {

struct StudyFiles {
  std::string images, texts, other_images, other_texts;
};

/// Spherical sliced Wasserstein distances of the unpaired from the measured rows.
struct StudyShift {
  double images = 0, texts = 0;
};

class StudyData {
 public:
  /// Reads the files. Throws InvalidArgument and IoError for files that do not fit.
  explicit StudyData(const StudyFiles& files);

  int64_t rows() const { return images_.rows(); }
  bool has_other() const { return other_images_.rows() > 0; }
  int64_t image_dim() const { return images_.cols(); }
  int64_t text_dim() const { return texts_.cols(); }
  /// Of every number in the files.
  std::string fingerprint() const;

  struct Rows {
    Dataset data;
    TestPairs measured;
  };
  /// For a seed, test and validation rows are the same for every number of pairs, and fewer pairs are the
  /// first of more: so what differs between two runs is what they are to show.
  Rows rows(const StudySizes& sizes, const StudyRun& run) const;

  /// The first rows as pairs and those behind them as unpaired ones, to try options on.
  Dataset first_rows(int64_t pairs, int64_t unpaired) const;

  static StudyShift shift(Context& context, const Rows& rows);

 private:
  HostMatrix images_, texts_, other_images_, other_texts_;
};

}  // namespace sotalign::app
