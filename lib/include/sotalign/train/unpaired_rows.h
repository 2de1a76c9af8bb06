// Chooses the unpaired rows of a training step: none, a random batch, or neighbours of the pairs.
#pragma once

#include <memory>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/train/trainer.h"

namespace SOTALIGN_API sotalign {

/// All preprocessed rows: pairs in the context's memory, unpaired rows there or streamed.
struct AllRows {
  ConstMatrixF pair_images, pair_texts;
  RowSet images, texts;
};

/// What MethodInfo::make_unpaired gets. Unpaired rows may keep references only to the context.
struct UnpairedSetup {
  Context& context;
  const TrainOptions& options;
  AllRows rows;
  int64_t pairs;  ///< per step
};

/// The unpaired rows of each step.
class UnpairedRows {
 public:
  virtual ~UnpairedRows() = default;

  /// Chooses the rows of `step`, counted from 0; the choice depends on nothing else, so that a resumed run
  /// repeats it. Queued, does not synchronize.
  /// @param pair_index [pairs], indices of the step's pairs, in the context's memory
  virtual void pick(int64_t step, const int64_t* pair_index) = 0;
  /// The same choice on the host, ahead of time: another thread calls it while pick() runs. Resizes both
  /// lists.
  /// @param pairs indices of the step's pairs
  virtual void pick(int64_t step, const std::vector<int64_t>& pairs, std::vector<int64_t>& images,
                    std::vector<int64_t>& texts) const = 0;

  /// Whether every step has all rows, in their order.
  virtual bool takes_all() const { return false; }

  /// Rows per step.
  int64_t images() const { return image_index_.size(); }
  int64_t texts() const { return text_index_.size(); }
  /// Indices of the chosen images [images()] and texts [texts()], in the context's memory.
  const int64_t* image_index() const { return image_index_.data(); }
  const int64_t* text_index() const { return text_index_.data(); }

 protected:
  UnpairedRows() = default;
  UnpairedRows(Context& context, int64_t images, int64_t texts)
      : image_index_(context, images), text_index_(context, texts) {}

  Buffer<int64_t> image_index_, text_index_;
};

/// Chooses as the effective method does. Throws InvalidArgument if the options do not fit the rows.
std::unique_ptr<UnpairedRows> make_unpaired_rows(const UnpairedSetup& setup);

}  // namespace sotalign
