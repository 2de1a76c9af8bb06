// Experiments on embeddings whose true pairs are all known: a few are given to the training as pairs, the
// rest as images and texts that nobody matched.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "data/inputs.h"
#include "run/progress.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/io/array.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

struct SplitSizes {
  int64_t pairs = 0, test = 0, validation = 0;
};

/// Rows of a data set, disjoint but for the unpaired images and texts, which are the same rows in orders of
/// their own.
struct Split {
  std::vector<int64_t> pairs, test, validation, unpaired_images, unpaired_texts;
};
/// Chosen by the seed; everything that is not asked for is unpaired. Throws InvalidArgument if nothing is
/// left.
Split split_rows(int64_t rows, const SplitSizes& sizes, uint64_t seed);

HostMatrix take_rows(const HostMatrix& matrix, const std::vector<int64_t>& rows);

/// Rows to measure retrieval on; row i of the images belongs to row i of the texts.
struct TestPairs {
  HostMatrix images, texts;
};

/// A run was left because of a signal (run/interrupt.h).
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

struct Outcome {
  RetrievalResult heads, teacher;
  double seconds = 0;  ///< of making the trainer and all its steps
};
/// Trains with `options` on `data`, whose validation rows are not looked at, and measures the last step's
/// heads and the teacher. `progress` draws a bar under `name`. Throws NumericalError if the numbers go wild,
/// and Interrupted after the step in which a signal came, if signals are caught.
Outcome run_experiment(Context& context, const Dataset& data, const TestPairs& test,
                       const TrainOptions& options, const std::string& name, Progress& progress);

}  // namespace sotalign::app
