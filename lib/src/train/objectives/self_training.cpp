// Self-training as a method: the heads are the maps of the self-trained teacher, and each step is a pass. The
// model's teacher is the one that the passes begin with, so a run shows what they add to it.
#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/error.h"
#include "sotalign/train/plan.h"
#include "teacher/reduced.h"
#include "train/methods.h"
#include "train/teacher_heads.h"

namespace sotalign::detail {

namespace {

SelfTrainingOptions options_of(const TrainOptions& options) {
  SelfTrainingOptions result = with_teacher_options(options.self_training, options.teacher);
  result.dim = options.dim;  // the heads have room for no more
  return result;
}

class SelfTrainingPasses : public Objective {
 public:
  explicit SelfTrainingPasses(const ObjectiveSetup& s)
      : options_(s.options),
        training_(s.context, s.rows.pair_images, s.rows.pair_texts, s.rows.images, s.rows.texts,
                  options_of(s.options)) {}

  void initialize(ParameterSet& parameters) override {
    set_teacher_heads(parameters, options_, training_.teacher());
  }
  void run(const Step& step) override {
    training_.pass();
    set_teacher_heads(step.parameters, options_, training_.teacher());
  }
  void report(StepMetrics& metrics) const override {
    const PassReport& pass = training_.last();
    // The plan maximizes <P, K> + epsilon H(P): its negative is the cost, and the loss.
    metrics.terms = {{"transport_cost", -pass.transport, 1.0},
                     {"change", pass.change, 0.0},
                     {"effective_matches", pass.effective_matches, 0.0},
                     {"correlation_sum", pass.correlation_sum, 0.0}};
  }
  std::map<std::string, std::vector<double>> state() const override { return training_.state(); }
  void restore(const std::map<std::string, std::vector<double>>& state) override { training_.restore(state); }

 private:
  TrainOptions options_;
  SelfTraining training_;
};

/// Covariances of the pairs and their running averages, in double.
void plan_self_training(const Context&, TrainingPlan& plan) {
  const int64_t x = plan.step.image_dim, y = plan.step.text_dim;
  plan.add("covariances of self-training", 2 * (x * x + y * y + x * y), 1, sizeof(double));
}

void check_passes(Context&, const TrainingData&, const TrainOptions& o) {
  if (o.teacher.kind != TeacherKind::kCca && o.teacher.kind != TeacherKind::kAuto)
    throw InvalidArgument(
        fmt::format("teacher: method self_training starts from cca, found {}", to_string(o.teacher.kind)));
  if (!o.hidden.empty() && !o.residual)
    throw InvalidArgument(fmt::format(
        "method self_training: expected linear or residual heads, found {} hidden layers", o.hidden.size()));
}

void resolve(TrainOptions& o, int64_t image_dim, int64_t text_dim) {
  o.steps = o.self_training.passes;
  o.initialization = Initialization::kRandom;  // initialize() sets all weights
  const int64_t columns = o.teacher.dim.value() > 0 ? o.teacher.dim.value() : o.self_training.dim;
  if (o.dim == 0) o.dim = std::min({columns == 0 ? kLargestDefaultDim : columns, image_dim, text_dim});
}

}  // namespace

MethodInfo self_training_method() {
  return {.name = "self_training",
          .title = "Self-training",
          .needs_unpaired = true,
          .make = [](const ObjectiveSetup& setup) { return std::make_unique<SelfTrainingPasses>(setup); },
          .check = check_passes,
          .describe =
              [](const TrainOptions& o) {
                return fmt::format("{} passes, unpaired weight {}", o.self_training.passes,
                                   o.self_training.unpaired_weight);
              },
          .closed_form = true,
          .resolve = resolve,
          .plan = plan_self_training};
}

}  // namespace sotalign::detail
