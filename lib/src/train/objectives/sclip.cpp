// S-CLIP: SigLIP on the pairs, plus a cross-entropy for the unpaired rows of each modality: their
// similarities to the pairs' same side give pseudo-labels for their similarities to the pairs' other side.
#include <fmt/format.h>

#include "sotalign/core/checked.h"
#include "sotalign/loss/pseudo_labels.h"
#include "sotalign/train/plan.h"
#include "sotalign/train/siglip_term.h"
#include "train/methods.h"

namespace sotalign::detail {

namespace {

constexpr const char *kSclipWeight = "sclip_weight", *kSclipLabels = "sclip_labels",
                     *kSclipEpsilon = "sclip_epsilon";

/// The cross-entropy of one modality's unpaired rows.
class PseudoLabelTerm {
 public:
  PseudoLabelTerm(const ObjectiveSetup& s, int64_t unpaired)
      : context_(&s.context),
        weight_(method_option<double>(s.options, kSclipWeight) / 2),
        labels_(s.context, unpaired, s.pairs,
                {.kind = parse_pseudo_labels(method_option<std::string>(s.options, kSclipLabels)),
                 .epsilon = method_option<double>(s.options, kSclipEpsilon)}),
        targets_(s.context, unpaired, s.pairs, "pseudo-labels"),
        affinity_(s.context, unpaired, s.pairs, "affinity to the pairs"),
        value_(s.context, 1) {}

  /// Adds to the gradients of the unpaired rows, the pairs' other side and 'log_scale'.
  void run(ParameterSet& parameters, const StepRows& own, const StepRows& other) {
    const int64_t scale = parameters.offset(parameters.find("log_scale"));
    const ConstMatrixF f = own.unpaired(own.f), g = other.paired(other.f);
    labels_.run(own.unpaired(own.x), own.paired(own.x), targets_);
    cosines(*context_, f, g, affinity_);
    soft_cross_entropy_of_cosines(
        *context_, affinity_, targets_, parameters.values() + scale,
        {.weight = static_cast<float>(weight_), .add_grad_log_scale = true},
        {.grad_k = affinity_, .value = value_.data(), .grad_log_scale = parameters.gradients() + scale});
    cosines_backward(*context_, f, g, affinity_, own.unpaired(own.d_f), other.paired(other.d_f), Write::kAdd);
  }
  double value() const { return value_.download()[0]; }

 private:
  Context* context_;
  double weight_;
  PseudoLabelTargets labels_;
  Matrix<float> targets_, affinity_;
  Buffer<double> value_;
};

class Sclip : public Objective {
 public:
  explicit Sclip(const ObjectiveSetup& s)
      : context_(&s.context),
        weight_(method_option<double>(s.options, kSclipWeight)),
        siglip_(s.context, s.pairs, s.pairs, s.pairs),
        image_term_(s, s.unpaired_images),
        text_term_(s, s.unpaired_texts) {}

  void run(const Step& step) override {
    siglip_.run_on_pairs(step);
    zero_unpaired(*context_, step);
    image_term_.run(step.parameters, step.image, step.text);
    text_term_.run(step.parameters, step.text, step.image);
  }

  void report(StepMetrics& metrics) const override {
    metrics.siglip = siglip_.value();
    metrics.terms = {{"sclip", (image_term_.value() + text_term_.value()) / 2, weight_}};
  }

 private:
  Context* context_;
  double weight_;
  SiglipTerm siglip_;
  PseudoLabelTerm image_term_, text_term_;
};

void plan_sclip(const Context&, TrainingPlan& plan) {
  const StepShape& step = plan.step;
  const PseudoLabels kind = parse_pseudo_labels(method_option<std::string>(plan.options, kSclipLabels));
  plan_siglip(plan, "affinity for SigLIP", step.pairs, step.pairs);
  const auto side = [&](const char* name, int64_t unpaired) {
    const int64_t bytes =
        checked_product(name, checked_product(name, unpaired, step.pairs), 2 * sizeof(float));
    plan.add_bytes(name, bytes + PseudoLabelTargets::memory_bytes(unpaired, step.pairs, kind));
  };
  side("pseudo-labels and affinity of images", step.unpaired_images);
  side("pseudo-labels and affinity of texts", step.unpaired_texts);
  plan.objective_known = false;  // its solves are not measured
}

}  // namespace

MethodInfo sclip_method() {
  return {.name = "sclip",
          .title = "S-CLIP",
          .needs_unpaired = true,
          .options = {{.key = kSclipWeight,
                       .help = "weight of the unpaired rows' cross-entropy",
                       .initial = 1.0,
                       .range = OptionRange::kNotNegative},
                      {.key = kSclipLabels,
                       .help = "pseudo-labels: the nearest pair, a softmax, or a transport plan",
                       .initial = to_string(PseudoLabels::kOt),
                       .choices = pseudo_label_names()},
                      {.key = kSclipEpsilon,
                       .help = "softmax temperature, or regularisation of the plan",
                       .initial = 0.05,
                       .range = OptionRange::kPositive}},
          .make = [](const ObjectiveSetup& setup) { return std::make_unique<Sclip>(setup); },
          .describe =
              [](const TrainOptions& options) {
                return fmt::format("{} labels, weight {}", method_option<std::string>(options, kSclipLabels),
                                   method_option<double>(options, kSclipWeight));
              },
          .plan = plan_sclip};
}

}  // namespace sotalign::detail
