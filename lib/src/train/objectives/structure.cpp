// STRUCTURE: SigLIP on the pairs, plus a loss for each modality that compares the batch's neighbourhoods in
// the shared space with those in the encoder's space. It needs unit rows, which preprocessed rows are.
#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/error.h"
#include "sotalign/loss/structure.h"
#include "sotalign/train/plan.h"
#include "sotalign/train/siglip_term.h"
#include "train/methods.h"

namespace sotalign::detail {

namespace {

constexpr const char *kStructureWeight = "structure_weight", *kStructureTemperature = "structure_temperature",
                     *kStructureWarmupSteps = "structure_warmup_steps";

class Structure : public Objective {
 public:
  explicit Structure(const ObjectiveSetup& s)
      : context_(&s.context),
        weight_(method_option<double>(s.options, kStructureWeight)),
        warmup_steps_(method_option<int64_t>(s.options, kStructureWarmupSteps)),
        siglip_(s.context, s.pairs, s.pairs, s.pairs),
        image_loss_(make_loss(s, s.batch_images(), s.rows.pair_images.cols)),
        text_loss_(make_loss(s, s.batch_texts(), s.rows.pair_texts.cols)) {}

  void run(const Step& step) override {
    siglip_.run_on_pairs(step);
    zero_unpaired(*context_, step);
    const double half = weight(step.number) / 2;  // each loss adds `half` times its gradient
    image_loss_.run(step.image.x, step.image.f, step.image.d_f, half);
    text_loss_.run(step.text.x, step.text.f, step.text.d_f, half);
  }

  void report(StepMetrics& metrics) const override {
    metrics.siglip = siglip_.value();
    metrics.terms = {{"structure", (image_loss_.value() + text_loss_.value()) / 2, weight(metrics.step - 1)}};
  }

 private:
  static StructureLoss make_loss(const ObjectiveSetup& s, int64_t rows, int64_t cols) {
    return {s.context,
            rows,
            cols,
            s.options.dim,
            {.temperature = method_option<double>(s.options, kStructureTemperature)}};
  }
  double weight(int64_t step) const {
    if (step >= warmup_steps_) return weight_;
    return weight_ * static_cast<double>(step + 1) / static_cast<double>(warmup_steps_);
  }

  Context* context_;
  double weight_;
  int64_t warmup_steps_;
  SiglipTerm siglip_;
  StructureLoss image_loss_, text_loss_;
};

/// The loss of a side holds vectors; its strips are scratch.
void plan_structure(const Context&, TrainingPlan& plan) {
  const StepShape& step = plan.step;
  plan_siglip(plan, "affinity for SigLIP", step.pairs, step.pairs);
  const int64_t rows = std::max(step.batch_images(), step.batch_texts());
  plan.add("centred rows of STRUCTURE", rows, std::max(step.image_dim, step.text_dim) + 2 * step.dim,
           sizeof(float), BufferLife::kScratch);
  plan.objective_known = false;  // its strips are not measured
}

/// Common to both methods.
MethodInfo method(const char* name, const char* title, bool needs_unpaired) {
  return {.name = name,
          .title = title,
          .needs_unpaired = needs_unpaired,
          .options = {{.key = kStructureWeight,
                       .help = "weight of the loss that preserves neighbourhoods",
                       .initial = 10.0,
                       .range = OptionRange::kNotNegative},
                      {.key = kStructureTemperature,
                       .help = "softmax temperature of that loss",
                       .initial = 0.07,
                       .range = OptionRange::kPositive},
                      {.key = kStructureWarmupSteps,
                       .help = "steps of linear warmup of that weight",
                       .initial = int64_t{0},
                       .range = OptionRange::kNotNegative}},
          .make = [](const ObjectiveSetup& setup) { return std::make_unique<Structure>(setup); },
          .check =
              [](Context&, const TrainingData&, const TrainOptions& options) {
                const auto warmup = method_option<int64_t>(options, kStructureWarmupSteps);
                if (warmup > options.steps)
                  throw InvalidArgument(fmt::format("{}: expected 0 to {} (all steps), found {}",
                                                    kStructureWarmupSteps, options.steps, warmup));
              },
          .describe =
              [](const TrainOptions& options) {
                return fmt::format("weight {}", method_option<double>(options, kStructureWeight));
              },
          .plan = plan_structure};
}

}  // namespace

MethodInfo structure_method() { return method("structure", "STRUCTURE", false); }
MethodInfo structure_semi_method() { return method("structure_semi", "STRUCTURE semi", true); }

}  // namespace sotalign::detail
