// NNCLR: SigLIP on the pairs, and on pairs with one side replaced by a neighbour. Unpaired row i of a batch
// is a neighbour of pair i.
#include "train/objective.h"
#include "train/siglip_term.h"

namespace sotalign::detail {

namespace {

class Nnclr : public Objective {
 public:
  explicit Nnclr(const ObjectiveSetup& setup)
      : context_(&setup.context),
        options_(setup.options.nnclr),
        siglip_(setup.context, setup.pairs, setup.pairs, setup.pairs),
        image_term_(setup.context, setup.pairs, setup.pairs, setup.pairs),
        text_term_(setup.context, setup.pairs, setup.pairs, setup.pairs) {}

  void run(const Step& step) override {
    siglip_.run_on_pairs(step);
    zero_unpaired(*context_, step);
    // The other two terms add to these gradients.
    const auto& [number, image, text, parameters] = step;
    image_term_.run(parameters, image.unpaired(image.f), text.paired(text.f), image.unpaired(image.d_f),
                    text.paired(text.d_f), options_.image_weight, Write::kAdd);
    text_term_.run(parameters, image.paired(image.f), text.unpaired(text.f), image.paired(image.d_f),
                   text.unpaired(text.d_f), options_.text_weight, Write::kAdd);
  }

  void report(StepMetrics& metrics) const override {
    metrics.siglip = siglip_.value();
    metrics.terms = {{"nnclr_image", image_term_.value(), options_.image_weight},
                     {"nnclr_text", text_term_.value(), options_.text_weight}};
  }

 private:
  Context* context_;
  NnclrMethod options_;
  SiglipTerm siglip_, image_term_, text_term_;
};

}  // namespace

std::unique_ptr<Objective> make_nnclr(const ObjectiveSetup& setup) { return std::make_unique<Nnclr>(setup); }

}  // namespace sotalign::detail
