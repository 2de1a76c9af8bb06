// What a training run will need, before it begins: every buffer of a Trainer with its bytes.
//
//   const TrainingPlan plan = plan_training(context, data, options);
//   if (!plan.fits()) use_a_smaller_batch();
//
// The sizes come from the functions that size the buffers themselves. Scratch memory is an estimate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/train/trainer.h"

namespace SOTALIGN_API sotalign {

/// Numbers of rows and columns of a training step.
struct StepShape {
  int64_t image_dim = 0, text_dim = 0;              ///< columns of the rows
  int64_t images = 0, texts = 0;                    ///< all unpaired rows
  int64_t pairs = 0;                                ///< per step
  int64_t unpaired_images = 0, unpaired_texts = 0;  ///< per step
  bool all_unpaired = false;                        ///< every step has all unpaired rows
  int64_t dim = 0;                                  ///< of the shared space
  int64_t teacher_dim = 0;                          ///< at most; pairs of lower rank determine fewer columns
  int64_t parameters = 0;

  int64_t batch_images() const { return pairs + unpaired_images; }
  int64_t batch_texts() const { return pairs + unpaired_texts; }
};

/// When a buffer exists.
enum class BufferLife {
  kRows,     ///< the whole run, teacher's fit included
  kRun,      ///< from the end of the teacher's fit to the end of the run
  kTeacher,  ///< while the teacher is fitted; an estimate
  kScratch,  ///< parts of a step or of a validation; an estimate. The largest of them counts.
};

struct PlannedBuffer {
  std::string name;   ///< "unpaired images"
  std::string shape;  ///< "3700 x 768", or empty
  int64_t bytes = 0;
  BufferLife life = BufferLife::kRun;
};

/// Matrix products of a step: `count` products that take 2 m n k operations each.
struct PlannedProduct {
  std::string name;
  int64_t m = 0, n = 0, k = 0, count = 1;

  double operations() const {
    return 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) *
           static_cast<double>(count);
  }
};

struct TrainingPlan {
  StepShape step;
  TrainOptions
      options;  ///< those given, with `dim`, `initialization` and the two ways to keep memory resolved
  std::vector<PlannedBuffer> buffers;
  RowMemoryPlan row_memory;  ///< of the unpaired rows
  std::optional<KlotMemoryPlan> affinity_memory;
  int64_t all_pairs = 0;
  int64_t available_bytes = -1;  ///< Context::available_bytes() at the time of the plan; -1: unknown
  /// What the objective computes besides heads and updates, for predict_step_time(). Not known of every
  /// method.
  bool objective_known = false;
  std::vector<PlannedProduct> products;
  double siglip_entries = 0;  ///< entries of SigLIP's affinities
  bool has_klot = false;      ///< KLOT of [unpaired_images, unpaired_texts]

  void add(std::string name, int64_t rows, int64_t cols, int64_t element_bytes,
           BufferLife life = BufferLife::kRun);
  void add_bytes(std::string name, int64_t bytes, BufferLife life = BufferLife::kRun);

  /// Bytes of the buffers with this life; of kScratch the largest.
  int64_t bytes(BufferLife life) const;
  /// What a constructed Trainer holds: kRows and kRun.
  int64_t kept_bytes() const { return bytes(BufferLife::kRows) + bytes(BufferLife::kRun); }
  /// The most that exists at any time, with the estimates.
  int64_t peak_bytes() const;
  /// True also if the available memory is unknown.
  bool fits() const { return available_bytes < 0 || peak_bytes() <= available_bytes; }
};

/// Plans the training without reading a value of `data`; keeps no memory of the context. Throws what
/// check_training() throws.
TrainingPlan plan_training(Context& context, const TrainingData& data, const TrainOptions& options);

}  // namespace sotalign
