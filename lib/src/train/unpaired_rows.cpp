#include "sotalign/train/unpaired_rows.h"

#include <algorithm>

#include "sotalign/core/random.h"

namespace sotalign {

namespace {

class NoRows : public UnpairedRows {
 public:
  void pick(int64_t, const int64_t*) override {}
  void pick(int64_t, const std::vector<int64_t>&, std::vector<int64_t>& images,
            std::vector<int64_t>& texts) const override {
    images.clear(), texts.clear();
  }
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
  void pick(int64_t step, const std::vector<int64_t>&, std::vector<int64_t>& images,
            std::vector<int64_t>& texts) const override {
    image_sampler_.sample(step, images);
    text_sampler_.sample(step, texts);
  }
  bool takes_all() const override {
    return image_sampler_.batch() == image_sampler_.population() &&
           text_sampler_.batch() == text_sampler_.population();
  }

 private:
  Context* context_;
  BatchSampler image_sampler_, text_sampler_;
};

}  // namespace

std::unique_ptr<UnpairedRows> make_unpaired_rows(const UnpairedSetup& s) {
  const MethodInfo& method = effective_method(s.options);
  if (method.make_unpaired) return method.make_unpaired(s);
  if (!method.needs_unpaired || method.closed_form) return std::make_unique<NoRows>();
  return std::make_unique<SampledRows>(s.context, s.rows.images.rows(), s.rows.texts.rows(),
                                       s.options.batch_unpaired, s.options.seed);
}

}  // namespace sotalign
