// Experiments on embeddings whose pairs are all known: training gets a few of them as pairs, and the rest as
// unpaired images and texts.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
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

/// Disjoint row indices of a data set, except that the unpaired images and texts are the same rows, each in
/// its own random order.
struct Split {
  std::vector<int64_t> pairs, test, validation, unpaired_images, unpaired_texts;
};
/// A random split, determined by the seed. All rows beyond `sizes` are unpaired; throws InvalidArgument if
/// there are none.
Split split_rows(int64_t rows, const SplitSizes& sizes, uint64_t seed);

HostMatrix take_rows(const HostMatrix& matrix, const std::vector<int64_t>& rows);
/// Evenly spaced indices, `count` out of `rows`, in order; all of them if there are fewer.
std::vector<int64_t> evenly_spaced(int64_t count, int64_t rows);

/// Rows to measure retrieval on; row i of the images belongs to row i of the texts.
struct TestPairs {
  HostMatrix images, texts;
};

/// A signal ended the run early (run/interrupt.h).
struct Interrupted : std::exception {
  const char* what() const noexcept override { return "interrupted"; }
};

/// Trains with `options` on `data`. The model is that of the last step, or of the step that retrieves best
/// among the validation rows, if there are any. `progress` draws a bar with the title `name`. Throws
/// NumericalError if training diverges and, if signals are caught, Interrupted after the step in which one
/// arrived.
Trainer train_experiment(Context& context, const Dataset& data, const TrainOptions& options,
                         const std::string& name, Progress& progress);

struct Measured {
  RetrievalResult plain;
  /// With a hubness correction; empty if none was asked for, or if there are no unpaired rows for a bank.
  std::optional<RetrievalResult> corrected = std::nullopt;
};
/// Measures one projection of a trained model. The bank of `hubness` is drawn from the unpaired rows that it
/// was trained on.
Measured measure_trained(Context& context, const Trainer& trainer, Projection projection,
                         const TestPairs& test, const HubnessOptions& hubness);

struct Outcome {
  Measured heads, teacher;
  double seconds = 0;  ///< of the trainer's setup and all its steps
};
/// train_experiment(), then measures the heads and the teacher.
Outcome run_experiment(Context& context, const Dataset& data, const TestPairs& test,
                       const TrainOptions& options, const std::string& name, Progress& progress,
                       const HubnessOptions& hubness = {.kind = Hubness::kNone});

}  // namespace sotalign::app
