// NNCLR: SigLIP on the pairs, and on pairs with one side replaced by a neighbour. Unpaired row i of a batch
// is a neighbour of pair i.
#include <fmt/format.h>

#include "kernels/pick_neighbours.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/eval/top_k.h"
#include "sotalign/train/plan.h"
#include "sotalign/train/siglip_term.h"
#include "train/methods.h"

namespace sotalign::detail {

namespace {

constexpr const char *kNeighbours = "nnclr_neighbours", *kImageWeight = "nnclr_image_weight",
                     *kTextWeight = "nnclr_text_weight";

class Nnclr : public Objective {
 public:
  explicit Nnclr(const ObjectiveSetup& setup)
      : context_(&setup.context),
        image_weight_(method_option<double>(setup.options, kImageWeight)),
        text_weight_(method_option<double>(setup.options, kTextWeight)),
        siglip_(setup.context, setup.pairs, setup.pairs, setup.pairs),
        image_term_(setup.context, setup.pairs, setup.pairs, setup.pairs),
        text_term_(setup.context, setup.pairs, setup.pairs, setup.pairs) {}

  void run(const Step& step) override {
    siglip_.run_on_pairs(step);
    zero_unpaired(*context_, step);
    // The other two terms add to these gradients.
    const StepRows &image = step.image, &text = step.text;
    ParameterSet& parameters = step.parameters;
    image_term_.run(parameters, image.unpaired(image.f), text.paired(text.f), image.unpaired(image.d_f),
                    text.paired(text.d_f), image_weight_, Write::kAdd);
    text_term_.run(parameters, image.paired(image.f), text.unpaired(text.f), image.paired(image.d_f),
                   text.unpaired(text.d_f), text_weight_, Write::kAdd);
  }

  void report(StepMetrics& metrics) const override {
    metrics.siglip = siglip_.value();
    metrics.terms = {{"nnclr_image", image_term_.value(), image_weight_},
                     {"nnclr_text", text_term_.value(), text_weight_}};
  }

 private:
  Context* context_;
  double image_weight_, text_weight_;
  SiglipTerm siglip_, image_term_, text_term_;
};

/// Picks, for each pair, an unpaired image near its image and an unpaired text near its text.
class NeighbourRows : public UnpairedRows {
 public:
  explicit NeighbourRows(const UnpairedSetup& s)
      : UnpairedRows(s.context, s.pairs, s.pairs),
        context_(&s.context),
        neighbours_(method_option<int64_t>(s.options, kNeighbours)),
        host_image_neighbours_(nearest(s.rows.pair_images, s.rows.images)),
        host_text_neighbours_(nearest(s.rows.pair_texts, s.rows.texts)),
        image_neighbours_(s.context, host_image_neighbours_, "neighbours of the pairs"),
        text_neighbours_(s.context, host_text_neighbours_, "neighbours of the pairs"),
        image_key_(RandomStream(s.options.seed, stream_id("nnclr.images")).bits64(0)),
        text_key_(RandomStream(s.options.seed, stream_id("nnclr.texts")).bits64(0)) {}

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
  void pick(int64_t step, const std::vector<int64_t>& pairs, std::vector<int64_t>& images,
            std::vector<int64_t>& texts) const override {
    const auto pick_from = [&](const std::vector<int64_t>& neighbours, uint64_t key,
                               std::vector<int64_t>& picked) {
      picked.resize(pairs.size());
      kernels::cpu::pick_neighbours({}, {.neighbours = neighbours.data(),
                                         .k = neighbours_,
                                         .queries = pairs.data(),
                                         .picked = picked.data(),
                                         .count = static_cast<int64_t>(picked.size()),
                                         .step = step,
                                         .key = key});
    };
    pick_from(host_image_neighbours_, image_key_, images);
    pick_from(host_text_neighbours_, text_key_, texts);
  }

 private:
  std::vector<int64_t> nearest(ConstMatrixF queries, const RowSet& gallery) const {
    constexpr int64_t kRowsAtOnce = 2 * TopKOptions{}.tile;
    TopKSearch search(*context_, queries, neighbours_);
    gallery.for_each(*context_, kRowsAtOnce, [&](int64_t, ConstMatrixF rows) { search.add(rows); });
    return search.result().indices;
  }

  Context* context_;
  int64_t neighbours_;
  std::vector<int64_t> host_image_neighbours_, host_text_neighbours_;  // [all pairs, neighbours]
  Buffer<int64_t> image_neighbours_, text_neighbours_;                 // the same
  uint64_t image_key_, text_key_;
};

void plan_neighbours(TrainingPlan& plan) {
  StepShape& step = plan.step;
  step.unpaired_images = step.unpaired_texts = step.pairs;
  plan.add("neighbours of the pairs", 2 * plan.all_pairs, method_option<int64_t>(plan.options, kNeighbours),
           sizeof(int64_t));
}

void plan_terms(const Context&, TrainingPlan& plan) {
  for (const char* name :
       {"affinity for SigLIP", "affinity with neighbours of images", "affinity with neighbours of texts"})
    plan_siglip(plan, name, plan.step.pairs, plan.step.pairs);
}

void check_neighbours(const char* side, int64_t neighbours, int64_t rows) {
  if (neighbours < 1 || neighbours > rows)
    throw InvalidArgument(
        fmt::format("{}: expected 1 to {} (unpaired {}), found {}", kNeighbours, rows, side, neighbours));
}

}  // namespace

MethodInfo nnclr_method() {
  return {.name = "nnclr",
          .title = "NNCLR",
          .needs_unpaired = true,
          .options = {{.key = kNeighbours,
                       .help = "nearest unpaired rows, one of which replaces a pair's own row",
                       .initial = int64_t{5}},
                      {.key = kImageWeight,
                       .help = "weight of the pairs with replaced image",
                       .initial = 1.0,
                       .range = OptionRange::kNotNegative},
                      {.key = kTextWeight,
                       .help = "weight of the pairs with replaced text",
                       .initial = 1.0,
                       .range = OptionRange::kNotNegative}},
          .make = [](const ObjectiveSetup& setup) { return std::make_unique<Nnclr>(setup); },
          .make_unpaired = [](const UnpairedSetup& setup) { return std::make_unique<NeighbourRows>(setup); },
          .check =
              [](Context&, const TrainingData& data, const TrainOptions& options) {
                const auto neighbours = method_option<int64_t>(options, kNeighbours);
                check_neighbours("images", neighbours, data.images.rows());
                check_neighbours("texts", neighbours, data.texts.rows());
              },
          .describe =
              [](const TrainOptions& options) {
                return fmt::format("{} neighbours, weights {} and {}",
                                   method_option<int64_t>(options, kNeighbours),
                                   method_option<double>(options, kImageWeight),
                                   method_option<double>(options, kTextWeight));
              },
          .plan = plan_terms,
          .plan_unpaired = plan_neighbours};
}

}  // namespace sotalign::detail
