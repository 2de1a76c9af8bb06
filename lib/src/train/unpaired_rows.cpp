#include "train/unpaired_rows.h"

#include <algorithm>

#include "kernels/pick_neighbours.h"
#include "sotalign/core/random.h"
#include "sotalign/eval/top_k.h"

namespace sotalign::detail {

namespace {

class NoRows : public UnpairedRows {
 public:
  void pick(int64_t, const int64_t*) override {}
};

/// Draws images and texts independently of each other.
class SampledRows : public UnpairedRows {
 public:
  SampledRows(Context& context, int64_t images, int64_t texts, int64_t batch, uint64_t seed)
      : UnpairedRows(context, std::min(batch, images), std::min(batch, texts)),
        context_(&context),
        image_sampler_(images, batch, seed, stream_id("sampler.images")),
        text_sampler_(texts, batch, seed, stream_id("sampler.texts")) {}

  void pick(int64_t step, const int64_t*) override {
    image_sampler_.sample(*context_, step, image_index_.data());
    text_sampler_.sample(*context_, step, text_index_.data());
  }

 private:
  Context* context_;
  BatchSampler image_sampler_, text_sampler_;
};

/// Picks, for each pair, an unpaired image near its image and an unpaired text near its text.
class NeighbourRows : public UnpairedRows {
 public:
  NeighbourRows(Context& context, const AllRows& rows, int64_t pairs, int64_t neighbours, uint64_t seed)
      : UnpairedRows(context, pairs, pairs),
        context_(&context),
        neighbours_(neighbours),
        image_neighbours_(nearest(rows.pair_images, rows.images)),
        text_neighbours_(nearest(rows.pair_texts, rows.texts)),
        image_key_(RandomStream(seed, stream_id("nnclr.images")).bits64(0)),
        text_key_(RandomStream(seed, stream_id("nnclr.texts")).bits64(0)) {}

  void pick(int64_t step, const int64_t* pair_index) override {
    const auto pick_from = [&](const Buffer<int64_t>& neighbours, uint64_t key, Buffer<int64_t>& picked) {
      kernels::pick_neighbours(context_->queue(), {.neighbours = neighbours.data(),
                                                   .k = neighbours_,
                                                   .queries = pair_index,
                                                   .picked = picked.data(),
                                                   .count = picked.size(),
                                                   .step = step,
                                                   .key = key});
    };
    pick_from(image_neighbours_, image_key_, image_index_);
    pick_from(text_neighbours_, text_key_, text_index_);
  }

 private:
  Buffer<int64_t> nearest(ConstMatrixF queries, ConstMatrixF gallery) const {
    return Buffer<int64_t>(*context_, top_k(*context_, queries, gallery, neighbours_).indices,
                           "neighbours of the pairs");
  }

  Context* context_;
  int64_t neighbours_;
  Buffer<int64_t> image_neighbours_, text_neighbours_;  // [all pairs, neighbours]
  uint64_t image_key_, text_key_;
};

}  // namespace

std::unique_ptr<UnpairedRows> make_unpaired_rows(Context& context, const TrainOptions& options,
                                                 const AllRows& rows, int64_t pairs) {
  const Method method = effective_method(options);
  if (!needs_unpaired(method)) return std::make_unique<NoRows>();
  if (method == Method::kNnclr)
    return std::make_unique<NeighbourRows>(context, rows, pairs, options.nnclr.neighbours, options.seed);
  return std::make_unique<SampledRows>(context, rows.images.rows, rows.texts.rows, options.batch_unpaired,
                                       options.seed);
}

}  // namespace sotalign::detail
