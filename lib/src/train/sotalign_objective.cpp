// SOTAlign: SigLIP on the pairs, plus a divergence between the student's and the teacher's affinity of the
// unpaired rows.
#include "train/divergence_options.h"
#include "train/objective.h"
#include "train/siglip_term.h"

namespace sotalign::detail {

namespace {

/// The teacher is fixed, so all unpaired rows are projected once.
class TeacherRows {
 public:
  TeacherRows(Context& context, const Teacher& teacher, Side side, ConstMatrixF rows, int64_t batch)
      : context_(&context),
        all_(context, rows.rows, teacher.dim(), "teacher's projections"),
        batch_(context, batch, teacher.dim(), "batch of the teacher's projections") {
    teacher.project(context, side, rows, all_);
  }
  ConstMatrixF of(const StepRows& rows) {
    gather_rows(*context_, all_, rows.unpaired_index, batch_);
    return batch_;
  }

 private:
  Context* context_;
  Matrix<float> all_, batch_;
};

KlotMemoryPlan plan_memory(const Context& context, const TrainOptions& options, int64_t rows, int64_t cols) {
  if (options.klot_memory) return plan_klot_memory(context, rows, cols, *options.klot_memory);
  if (options.klot_memory_mib > 0)
    return plan_klot_memory(context, rows, cols, static_cast<int64_t>(options.klot_memory_mib * (1 << 20)));
  const int64_t available = context.available_bytes();
  return plan_klot_memory(context, rows, cols, available < 0 ? available : available / 8 * 7);
}

/// Common to KLOT and the other divergences.
class Regularised : public Objective {
 public:
  explicit Regularised(const ObjectiveSetup& s)
      : weight_(s.options.klot_weight),
        siglip_(s.context, s.pairs, s.pairs, s.pairs),
        teacher_images_(s.context, s.teacher, Side::kX, s.rows.images, s.unpaired_images),
        teacher_texts_(s.context, s.teacher, Side::kY, s.rows.texts, s.unpaired_texts) {}

  void run(const Step& step) override {
    siglip_.run_on_pairs(step);
    const StepRows &image = step.image, &text = step.text;
    diverge({image.unpaired(image.f), text.unpaired(text.f)},
            {teacher_images_.of(image), teacher_texts_.of(text)}, image.unpaired(image.d_f),
            text.unpaired(text.d_f));
  }
  void report(StepMetrics& metrics) const override {
    metrics.siglip = siglip_.value();
    metrics.divergence = divergence();
  }

 protected:
  virtual void diverge(const Embeddings& student, const Embeddings& teacher, MatrixF d_image,
                       MatrixF d_text) = 0;
  virtual DivergenceResult divergence() const = 0;

  double weight_;

 private:
  SiglipTerm siglip_;
  TeacherRows teacher_images_, teacher_texts_;
};

class WithKlot : public Regularised {
 public:
  explicit WithKlot(const ObjectiveSetup& s)
      : Regularised(s),
        plan_(plan_memory(s.context, s.options, s.unpaired_images, s.unpaired_texts)),
        klot_(s.context, s.unpaired_images, s.unpaired_texts, s.options.klot, plan_.memory) {}

  std::optional<KlotMemoryPlan> klot_memory() const override { return plan_; }

 private:
  void diverge(const Embeddings& student, const Embeddings& teacher, MatrixF d_image,
               MatrixF d_text) override {
    klot_.run(student, teacher, d_image, d_text, weight_);
  }
  DivergenceResult divergence() const override {
    const KlotResult result = klot_.result();
    return {DivergenceKind::kKlot, result.value, result};
  }

  KlotMemoryPlan plan_;
  EmbeddingKlot klot_;
};

/// Stores both affinities; the gradient overwrites the student's.
class WithDivergence : public Regularised {
 public:
  explicit WithDivergence(const ObjectiveSetup& s)
      : Regularised(s),
        context_(&s.context),
        affinity_(s.context, s.unpaired_images, s.unpaired_texts, "affinity of the unpaired rows"),
        teacher_affinity_(s.context, s.unpaired_images, s.unpaired_texts,
                          "teacher's affinity of the unpaired rows"),
        divergence_(s.context, s.unpaired_images, s.unpaired_texts, divergence_options(s.options)) {}

 private:
  void diverge(const Embeddings& student, const Embeddings& teacher, MatrixF d_image,
               MatrixF d_text) override {
    cosines(*context_, student.x, student.y, affinity_);
    cosines(*context_, teacher.x, teacher.y, teacher_affinity_);
    divergence_.run(affinity_, teacher_affinity_, affinity_, weight_);
    cosines_backward(*context_, student.x, student.y, affinity_, d_image, d_text);
  }
  DivergenceResult divergence() const override { return divergence_.result(); }

  Context* context_;
  Matrix<float> affinity_, teacher_affinity_;
  Divergence divergence_;
};

}  // namespace

std::unique_ptr<Objective> make_sotalign(const ObjectiveSetup& setup) {
  if (setup.options.divergence == DivergenceKind::kKlot) return std::make_unique<WithKlot>(setup);
  return std::make_unique<WithDivergence>(setup);
}

}  // namespace sotalign::detail
