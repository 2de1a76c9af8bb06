// What a method minimises, as the trainer sees it: rows of a batch in, gradients out. A method is a file of
// its own, NAME_objective.cpp, and a line in make_objective().
#pragma once

#include <memory>
#include <optional>

#include "sotalign/train/trainer.h"
#include "train/unpaired_rows.h"

namespace sotalign::detail {

/// What an objective is made for. Only the context outlives the call.
struct ObjectiveSetup {
  Context& context;
  const TrainOptions& options;
  const Teacher& teacher;
  AllRows rows;
  int64_t pairs, unpaired_images, unpaired_texts;  // in a step

  int64_t batch_images() const { return pairs + unpaired_images; }
  int64_t batch_texts() const { return pairs + unpaired_texts; }
};

/// One modality of a step: first the rows of the pairs, then the unpaired ones.
struct StepRows {
  int64_t pairs;
  ConstMatrixF x;                 // preprocessed embeddings, [pairs + unpaired, dx]
  ConstMatrixF f;                 // unit rows in the shared space, [pairs + unpaired, d]
  MatrixF d_f;                    // the gradient of the loss, to be written; the shape of f
  const int64_t* unpaired_index;  // [unpaired] which unpaired rows they are

  template <class T>
  MatrixView<T> paired(MatrixView<T> rows) const {
    return rows.row_range(0, pairs);
  }
  template <class T>
  MatrixView<T> unpaired(MatrixView<T> rows) const {
    return rows.row_range(pairs, rows.rows - pairs);
  }
};

struct Step {
  int64_t number;  // from 0
  StepRows image, text;
  ParameterSet& parameters;  // the gradients of 'log_scale' and 'bias' are written, too
};

/// The gradients of the unpaired rows, for terms that add theirs.
inline void zero_unpaired(Context& context, const Step& step) {
  for (const StepRows* rows : {&step.image, &step.text}) {
    const MatrixF d = rows->unpaired(rows->d_f);
    context.fill_zero(d.data, static_cast<size_t>(d.size()) * sizeof(float));
  }
}

class Objective {
 public:
  virtual ~Objective() = default;
  /// The gradients of a step. Allocates nothing after the first one; queued, and not waited for unless KLOT's
  /// affinities come in strips.
  virtual void run(const Step& step) = 0;
  /// Fills in what the loss of the last run consists of; the step's number is there. Waits.
  virtual void report(StepMetrics& metrics) const = 0;
  virtual std::optional<KlotMemoryPlan> klot_memory() const { return std::nullopt; }
};

/// Of the method in the options. Throws InvalidArgument for options that do not fit.
std::unique_ptr<Objective> make_objective(const ObjectiveSetup& setup);

std::unique_ptr<Objective> make_sail(const ObjectiveSetup& setup);  // with and without unpaired rows
std::unique_ptr<Objective> make_sotalign(const ObjectiveSetup& setup);
std::unique_ptr<Objective> make_structure(const ObjectiveSetup& setup);  // of the rows of the batch
std::unique_ptr<Objective> make_nnclr(const ObjectiveSetup& setup);
std::unique_ptr<Objective> make_sclip(const ObjectiveSetup& setup);

}  // namespace sotalign::detail
