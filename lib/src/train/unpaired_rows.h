// Which unpaired rows join the pairs of a training step: none, a random batch of them, or neighbours of the
// pairs.
#pragma once

#include <memory>

#include "sotalign/core/buffer.h"
#include "sotalign/train/trainer.h"

namespace sotalign::detail {

class UnpairedRows {
 public:
  virtual ~UnpairedRows() = default;

  /// Chooses those of a step, counted from 0. Queued, not waited for.
  /// @param pair_index [pairs] the step's pairs, in the memory of the context
  virtual void pick(int64_t step, const int64_t* pair_index) = 0;

  /// How many there are in a step.
  int64_t images() const { return image_index_.size(); }
  int64_t texts() const { return text_index_.size(); }
  /// Rows of the unpaired images [images()] and texts [texts()], in the memory of the context.
  const int64_t* image_index() const { return image_index_.data(); }
  const int64_t* text_index() const { return text_index_.data(); }

 protected:
  UnpairedRows() = default;
  UnpairedRows(Context& context, int64_t images, int64_t texts)
      : image_index_(context, images), text_index_(context, texts) {}

  Buffer<int64_t> image_index_, text_index_;
};

/// Preprocessed rows in the memory of the context, all that there are.
struct AllRows {
  ConstMatrixF pair_images, pair_texts, images, texts;
};

/// As the method in the options wants them; `pairs` are in a step. Throws InvalidArgument for options that do
/// not fit the rows.
std::unique_ptr<UnpairedRows> make_unpaired_rows(Context& context, const TrainOptions& options,
                                                 const AllRows& rows, int64_t pairs);

}  // namespace sotalign::detail
