// SAIL: SigLIP on the rows of a batch. Unpaired rows, if any, follow the pairs and serve as negatives.
#include "sotalign/train/plan.h"
#include "sotalign/train/siglip_term.h"
#include "train/methods.h"

namespace sotalign::detail {

namespace {

class Sail : public Objective {
 public:
  explicit Sail(const ObjectiveSetup& setup)
      : siglip_(setup.context, setup.batch_images(), setup.batch_texts(), setup.pairs) {}

  void run(const Step& step) override {
    siglip_.run(step.parameters, step.image.f, step.text.f, step.image.d_f, step.text.d_f);
  }
  void report(StepMetrics& metrics) const override { metrics.siglip = siglip_.value(); }

 private:
  SiglipTerm siglip_;
};

std::unique_ptr<Objective> make(const ObjectiveSetup& setup) { return std::make_unique<Sail>(setup); }

void plan_sail(const Context&, TrainingPlan& plan) {
  plan_siglip(plan, "affinity for SigLIP", plan.step.batch_images(), plan.step.batch_texts());
}

}  // namespace

MethodInfo sail_method() { return {.name = "sail", .title = "SAIL", .make = make, .plan = plan_sail}; }
MethodInfo sail_semi_method() {
  return {.name = "sail_semi", .title = "SAIL semi", .needs_unpaired = true, .make = make, .plan = plan_sail};
}

}  // namespace sotalign::detail
