// STRUCTURE: SigLIP on the pairs, plus a loss for each modality that compares the batch's neighbourhoods in
// the shared space with those in the encoder's space. It needs unit rows, which preprocessed rows are.
#include <algorithm>

#include "sotalign/loss/structure.h"
#include "train/objective.h"
#include "train/siglip_term.h"

namespace sotalign::detail {

namespace {

class Structure : public Objective {
 public:
  explicit Structure(const ObjectiveSetup& s)
      : context_(&s.context),
        options_(s.options.structure),
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
    return {s.context, rows, cols, s.options.dim, {.temperature = s.options.structure.temperature}};
  }
  double weight(int64_t step) const {
    if (step >= options_.warmup_steps) return options_.weight;
    return options_.weight * static_cast<double>(step + 1) / static_cast<double>(options_.warmup_steps);
  }

  Context* context_;
  StructureMethod options_;
  SiglipTerm siglip_;
  StructureLoss image_loss_, text_loss_;
};

}  // namespace

std::unique_ptr<Objective> make_structure(const ObjectiveSetup& setup) {
  return std::make_unique<Structure>(setup);
}

}  // namespace sotalign::detail
