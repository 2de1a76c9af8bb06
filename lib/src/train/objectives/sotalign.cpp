// SOTAlign: SigLIP on the pairs, plus a divergence between the student's and the teacher's affinity of the
// unpaired rows.
#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/error.h"
#include "sotalign/ot/embedding_klot.h"
#include "sotalign/train/plan.h"
#include "sotalign/train/siglip_term.h"
#include "train/methods.h"
#include "train/teacher_rows.h"

namespace sotalign::detail {

namespace {

/// @param available bytes that all other buffers leave free; negative: unknown
std::optional<KlotMemoryPlan> plan_memory(const Context& context, const TrainOptions& o, int64_t images,
                                          int64_t texts, int64_t available) {
  if (!find_divergence(o.divergence.name).make_on_embeddings) return std::nullopt;
  const auto plan = [&](auto limit) { return plan_klot_memory(context, images, texts, limit); };
  if (o.affinity_memory) return plan(*o.affinity_memory);
  if (o.affinity_memory_mib > 0) return plan(static_cast<int64_t>(o.affinity_memory_mib * (1 << 20)));
  return plan(available < 0 ? available : available / 8 * 7);
}

class Sotalign : public Objective {
 public:
  explicit Sotalign(const ObjectiveSetup& s)
      : weight_(s.options.divergence_weight),
        siglip_(s.context, s.pairs, s.pairs, s.pairs),
        teacher_images_(s.context, s.teacher, Side::kX, s.rows.images, s.unpaired_images, s.all_unpaired),
        teacher_texts_(s.context, s.teacher, Side::kY, s.rows.texts, s.unpaired_texts, s.all_unpaired),
        memory_(plan_memory(s.context, s.options, s.unpaired_images, s.unpaired_texts,
                            s.context.available_bytes())),
        divergence_(make_embedding_divergence(s.context, s.unpaired_images, s.unpaired_texts,
                                              s.options.divergence,
                                              memory_ ? memory_->memory : KlotMemory::kStored)) {
    if (s.all_unpaired) divergence_->keep_teacher();
  }

  void run(const Step& step) override {
    siglip_.run_on_pairs(step);
    const StepRows &image = step.image, &text = step.text;
    divergence_->run(
        {image.unpaired(image.f), text.unpaired(text.f)},
        {teacher_images_.project(step.teacher, image), teacher_texts_.project(step.teacher, text)},
        image.unpaired(image.d_f), text.unpaired(text.d_f), weight_);
  }
  void report(StepMetrics& metrics) const override {
    metrics.siglip = siglip_.value();
    metrics.divergence = divergence_->result();
  }
  std::optional<KlotMemoryPlan> affinity_memory() const override { return memory_; }

 private:
  double weight_;
  SiglipTerm siglip_;
  TeacherRows teacher_images_, teacher_texts_;
  std::optional<KlotMemoryPlan> memory_;
  std::unique_ptr<EmbeddingDivergence> divergence_;
};

void plan_sotalign(const Context& context, TrainingPlan& plan) {
  const StepShape& step = plan.step;
  const int64_t rows = step.unpaired_images, cols = step.unpaired_texts;
  plan_siglip(plan, "affinity for SigLIP", step.pairs, step.pairs);
  const auto project = [&](const char* name, int64_t all) {
    if (TeacherRows::projects_all(all, step.teacher_dim, step.all_unpaired))
      plan.add(name, all, step.teacher_dim, sizeof(float));
  };
  project("teacher's projections of images", step.images);
  project("teacher's projections of texts", step.texts);
  if (!step.all_unpaired) {
    plan.add("batch of the teacher's projections, images", rows, step.teacher_dim, sizeof(float));
    plan.add("batch of the teacher's projections, texts", cols, step.teacher_dim, sizeof(float));
  }
  const int64_t available = plan.available_bytes;
  plan.affinity_memory =
      plan_memory(context, plan.options, rows, cols,
                  available < 0 ? available : std::max<int64_t>(available - plan.kept_bytes(), 0));
  if (plan.affinity_memory) {
    const KlotMemory memory = plan.affinity_memory->memory;
    plan.options.affinity_memory = memory;
    const int64_t kept = EmbeddingKlot::kept_bytes(rows, cols, memory);
    plan.add_bytes("affinities and potentials of KLOT, " + to_string(memory), kept);
    plan.add_bytes("scratch of KLOT", plan.affinity_memory->bytes - kept, BufferLife::kScratch);
    plan.has_klot = true;
  } else {
    plan.add("affinities of " + plan.options.divergence.name, rows, 2 * cols, sizeof(float));
  }
  if (plan.options.affinity_memory == KlotMemory::kStreamed) return;  // every iteration has products
  // K, and the gradients of both sides; the teacher's affinity, unless it is kept.
  plan.products.push_back(
      {.name = "affinity and its gradients", .m = rows, .n = cols, .k = step.dim, .count = 3});
  if (!step.all_unpaired)
    plan.products.push_back({.name = "teacher's affinity", .m = rows, .n = cols, .k = step.teacher_dim});
}

void check_divergence(Context& context, const TrainingData& data, const TrainOptions& o) {
  make_divergence(context, 1, 1, o.divergence);  // throws for bad options
  const DivergenceInfo& info = find_divergence(o.divergence.name);
  if (info.make_on_embeddings) return;
  if (o.affinity_memory && *o.affinity_memory != KlotMemory::kStored)
    throw InvalidArgument(fmt::format("affinity_memory: {} stores its affinities, expected stored, found {}",
                                      info.name, to_string(*o.affinity_memory)));
  const auto batch = [&](const EmbeddingRows& rows) {
    return static_cast<double>(std::min(o.batch_unpaired, rows.rows()));
  };
  const double mib = 2.0 * batch(data.images) * batch(data.texts) * sizeof(float) / (1 << 20);
  if (o.affinity_memory_mib > 0 && mib > o.affinity_memory_mib)
    throw InvalidArgument(
        fmt::format("affinity_memory_mib: {} stores its affinities, expected at least {}, found {}",
                    info.name, mib, o.affinity_memory_mib));
}

}  // namespace

MethodInfo sotalign_method() {
  return {.name = "sotalign",
          .title = "SOTAlign",
          .needs_unpaired = true,
          .starts_from_teacher = true,
          .make = [](const ObjectiveSetup& setup) { return std::make_unique<Sotalign>(setup); },
          .check = check_divergence,
          .describe =
              [](const TrainOptions& o) {
                return fmt::format("{} weight {}", o.divergence.name, o.divergence_weight);
              },
          .plan = plan_sotalign,
          // Without the divergence, SigLIP on the pairs remains.
          .instead = [](const TrainOptions& o) -> std::string {
            return o.divergence_weight > 0 ? "sotalign" : "sail";
          }};
}

}  // namespace sotalign::detail
