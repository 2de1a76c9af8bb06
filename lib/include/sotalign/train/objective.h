// The loss that a method minimizes: rows of a batch in, gradients out.
//
// An objective allocates in its constructor and in its first run. Later runs queue their work on the
// context's stream and return. This is SAIL, the smallest of them:
//
//   class Sail : public Objective {
//    public:
//     explicit Sail(const ObjectiveSetup& s) : siglip_(s.context, s.batch_images(), s.batch_texts(), s.pairs)
//     {} void run(const Step& step) override {
//       siglip_.run(step.parameters, step.image.f, step.text.f, step.image.d_f, step.text.d_f);
//     }
//     void report(StepMetrics& metrics) const override { metrics.siglip = siglip_.value(); }
//    private:
//     SiglipTerm siglip_;
//   };
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/train/trainer.h"
#include "sotalign/train/unpaired_rows.h"

namespace SOTALIGN_API sotalign {

/// Arguments of an objective's constructor. Objectives may keep references only to the context, and views of
/// the rows.
struct ObjectiveSetup {
  Context& context;
  const TrainOptions& options;
  const Teacher& teacher;
  AllRows rows;
  int64_t pairs, unpaired_images, unpaired_texts;  ///< per step
  bool all_unpaired = false;                       ///< every step has all unpaired rows, in their order

  int64_t batch_images() const { return pairs + unpaired_images; }
  int64_t batch_texts() const { return pairs + unpaired_texts; }
};

/// One modality of a step: the rows of the pairs, then the unpaired rows.
struct StepRows {
  int64_t pairs;
  ConstMatrixF x;                 ///< preprocessed embeddings, [pairs + unpaired, dx]
  ConstMatrixF f;                 ///< unit rows in the shared space, [pairs + unpaired, d]
  MatrixF d_f;                    ///< output: gradient of the loss, same shape as f
  const int64_t* unpaired_index;  ///< [unpaired], indices among all unpaired rows

  template <class T>
  MatrixView<T> paired(MatrixView<T> rows) const {
    return rows.row_range(0, pairs);
  }
  template <class T>
  MatrixView<T> unpaired(MatrixView<T> rows) const {
    return rows.row_range(pairs, rows.rows - pairs);
  }
};

/// A training step.
struct Step {
  int64_t number;  ///< from 0
  StepRows image, text;
  ParameterSet& parameters;  ///< receives the gradients of 'log_scale' and 'bias'
  const Teacher& teacher;
};

/// Zeroes the gradients of the unpaired rows, for terms that accumulate into them.
inline void zero_unpaired(Context& context, const Step& step) {
  for (const StepRows* rows : {&step.image, &step.text}) {
    const MatrixF d = rows->unpaired(rows->d_f);
    context.fill_zero(d.data, static_cast<size_t>(d.size()) * sizeof(float));
  }
}

/// A method's loss.
class Objective {
 public:
  virtual ~Objective() = default;
  /// Sets weights before the first step. Called once; most objectives leave the weights as they are.
  virtual void initialize(ParameterSet& parameters) { static_cast<void>(parameters); }
  /// Computes the gradients of a step: all of d_f of both modalities, and those of 'log_scale' and 'bias'.
  /// Allocates only in the first step; synchronizes only if KLOT computes its affinities in strips.
  virtual void run(const Step& step) = 0;
  /// Fills in the loss terms of the last run; metrics.step is already set. Synchronizes.
  virtual void report(StepMetrics& metrics) const = 0;
  /// What later steps need besides weights, options and data. Checkpoints keep it; restore() gets it back
  /// before the first step, and throws InvalidArgument, changing nothing, if it does not fit.
  virtual std::map<std::string, std::vector<double>> state() const { return {}; }
  virtual void restore(const std::map<std::string, std::vector<double>>& state) {
    if (!state.empty()) throw InvalidArgument("state: expected none, as this objective keeps none");
  }
  /// How affinities are held, if the objective chose a way.
  virtual std::optional<KlotMemoryPlan> affinity_memory() const { return std::nullopt; }
};

}  // namespace sotalign
