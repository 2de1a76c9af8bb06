// The loss that a method minimizes: rows of a batch in, gradients out. Each method is a file,
// NAME_objective.cpp, and a case in make_objective().
#pragma once

#include <memory>
#include <optional>

#include "sotalign/train/trainer.h"
#include "train/unpaired_rows.h"

namespace sotalign::detail {

/// Arguments of an objective's constructor. Objectives may keep references only to the context.
struct ObjectiveSetup {
  Context& context;
  const TrainOptions& options;
  const Teacher& teacher;
  AllRows rows;
  int64_t pairs, unpaired_images, unpaired_texts;  // per step

  int64_t batch_images() const { return pairs + unpaired_images; }
  int64_t batch_texts() const { return pairs + unpaired_texts; }
};

/// One modality of a step: the rows of the pairs, then the unpaired rows.
struct StepRows {
  int64_t pairs;
  ConstMatrixF x;                 // preprocessed embeddings, [pairs + unpaired, dx]
  ConstMatrixF f;                 // unit rows in the shared space, [pairs + unpaired, d]
  MatrixF d_f;                    // output: gradient of the loss, same shape as f
  const int64_t* unpaired_index;  // [unpaired], indices among all unpaired rows

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
  ParameterSet& parameters;  // receives the gradients of 'log_scale' and 'bias'
};

/// Zeroes the gradients of the unpaired rows, for terms that accumulate into them.
inline void zero_unpaired(Context& context, const Step& step) {
  for (const StepRows* rows : {&step.image, &step.text}) {
    const MatrixF d = rows->unpaired(rows->d_f);
    context.fill_zero(d.data, static_cast<size_t>(d.size()) * sizeof(float));
  }
}

class Objective {
 public:
  virtual ~Objective() = default;
  /// Computes the gradients of a step. Allocates only in the first step; synchronizes only if KLOT computes
  /// its affinities in strips.
  virtual void run(const Step& step) = 0;
  /// Fills in the loss terms of the last run; metrics.step is already set. Synchronizes.
  virtual void report(StepMetrics& metrics) const = 0;
  virtual std::optional<KlotMemoryPlan> klot_memory() const { return std::nullopt; }
};

/// The objective of the options' method. Throws InvalidArgument for invalid options.
std::unique_ptr<Objective> make_objective(const ObjectiveSetup& setup);

std::unique_ptr<Objective> make_sail(const ObjectiveSetup& setup);  // also SAIL semi
std::unique_ptr<Objective> make_sotalign(const ObjectiveSetup& setup);
std::unique_ptr<Objective> make_structure(const ObjectiveSetup& setup);  // also STRUCTURE semi
std::unique_ptr<Objective> make_nnclr(const ObjectiveSetup& setup);
std::unique_ptr<Objective> make_sclip(const ObjectiveSetup& setup);

}  // namespace sotalign::detail
