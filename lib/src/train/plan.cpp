#include "sotalign/train/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/checked.h"
#include "sotalign/train/siglip_term.h"
#include "teacher/reduced.h"
#include "train/batch_reader.h"
#include "train/resolve_heads.h"
#include "train/teacher_heads.h"

namespace sotalign {

namespace {

constexpr int64_t kFloat = sizeof(float), kDouble = sizeof(double);

/// Pairs of full rank give CCA and Procrustes this many columns.
int64_t closed_form_dim(const TrainingData& data, int64_t asked) {
  const int64_t most = std::min({data.pair_images.cols, data.pair_texts.cols, data.pair_images.rows - 1});
  return std::min(most, asked > 0 ? asked : detail::kLargestDefaultDim);
}

/// The most columns that the teacher can have.
int64_t teacher_dim(const TrainingData& data, const TrainOptions& o) {
  const int64_t asked = o.teacher.dim.value_or(0),
                narrower = std::min(data.pair_images.cols, data.pair_texts.cols);
  const auto self_trained = [&] {
    const int64_t columns = asked > 0 ? asked : o.self_training.dim;
    return std::min(narrower, columns > 0 ? columns : detail::kLargestDefaultDim);
  };
  switch (o.teacher.kind) {
    case TeacherKind::kContrastive:
      return asked > 0 ? asked : detail::kLargestDefaultDim;
    case TeacherKind::kSelfTraining:
      return self_trained();
    case TeacherKind::kAuto:
      return std::max(closed_form_dim(data, asked), self_trained());
    default:
      return closed_form_dim(data, asked);
  }
}

bool self_trains(const TrainOptions& o) {
  return o.teacher.kind == TeacherKind::kSelfTraining || o.teacher.kind == TeacherKind::kAuto;
}

void plan_rows(TrainingPlan& plan, const TrainingData& data) {
  const auto rows = [&](const char* name, ConstMatrixF x) {
    if (x.rows > 0) plan.add(name, x.rows, x.cols, kFloat, BufferLife::kRows);
  };
  rows("paired images", data.pair_images);
  rows("paired texts", data.pair_texts);
  if (plan.row_memory.memory == RowMemory::kStored) {
    const auto unpaired = [&](const char* name, const EmbeddingRows& x) {
      rows(name, {nullptr, x.rows(), x.cols()});
    };
    unpaired("unpaired images", data.images);
    unpaired("unpaired texts", data.texts);
  }
  rows("validation images", data.validation_images);
  rows("validation texts", data.validation_texts);
}

/// By what fit_teacher() and SelfTraining say about their memory.
void plan_teacher_fit(TrainingPlan& plan) {
  const StepShape& s = plan.step;
  const int64_t p = plan.all_pairs, d = std::max(s.image_dim, s.text_dim);
  int64_t bytes = kDouble * (3 * p * d + 4 * std::min(p, d) * d);
  if (self_trains(plan.options)) {
    const int64_t batch = plan.options.self_training.batch, n = std::min(batch, s.images),
                  m = std::min(batch, s.texts);
    const int64_t covariances =
        s.image_dim * s.image_dim + s.text_dim * s.text_dim + s.image_dim * s.text_dim;
    bytes += kDouble * 4 * covariances + kFloat * 3 * (n * s.image_dim + m * s.text_dim) + kFloat * 2 * n * m;
  }
  plan.add_bytes("teacher's fit", bytes, BufferLife::kTeacher);
}

void plan_validation(TrainingPlan& plan, int64_t rows) {
  if (rows == 0) return;
  constexpr int64_t kTile = RetrievalOptions{}.tile;
  const int64_t tile = std::min(rows, kTile);
  plan.add_bytes("validation", kFloat * (4 * rows * plan.step.dim + tile * tile), BufferLife::kScratch);
}

}  // namespace

void TrainingPlan::add(std::string name, int64_t rows, int64_t cols, int64_t element_bytes, BufferLife life) {
  const int64_t bytes = checked_product(name, checked_product(name, rows, cols), element_bytes);
  buffers.push_back({std::move(name), fmt::format("{} x {}", rows, cols), bytes, life});
}

void TrainingPlan::add_bytes(std::string name, int64_t bytes, BufferLife life) {
  buffers.push_back({std::move(name), "", bytes, life});
}

int64_t TrainingPlan::bytes(BufferLife life) const {
  int64_t result = 0;
  for (const PlannedBuffer& buffer : buffers) {
    if (buffer.life != life) continue;
    result = life == BufferLife::kScratch ? std::max(result, buffer.bytes)
                                          : checked_sum("plan", result, buffer.bytes);
  }
  return result;
}

int64_t TrainingPlan::peak_bytes() const {
  return std::max(bytes(BufferLife::kRows) + bytes(BufferLife::kTeacher),
                  kept_bytes() + bytes(BufferLife::kScratch));
}

TrainingPlan plan_training(Context& context, const TrainingData& data, const TrainOptions& options) {
  check_training(context, data, options);
  TrainingPlan plan;
  plan.available_bytes = context.available_bytes();
  plan.options = options;
  plan.all_pairs = data.pair_images.rows;
  TrainOptions& o = plan.options;
  const MethodInfo& method = effective_method(o);
  if (o.teacher.kind == TeacherKind::kAuto && !method.starts_from_teacher) o.teacher.kind = TeacherKind::kCca;
  if (method.resolve) method.resolve(o, data.pair_images.cols, data.pair_texts.cols);
  StepShape& step = plan.step;
  step.image_dim = data.pair_images.cols;
  step.text_dim = data.pair_texts.cols;
  step.images = data.images.rows();
  step.texts = data.texts.rows();
  plan.row_memory = plan_row_memory(context, data.images, data.texts, o.unpaired_memory);
  o.unpaired_memory = plan.row_memory.memory;
  step.teacher_dim = teacher_dim(data, o);
  detail::resolve_heads(o, step.teacher_dim);
  step.dim = o.dim;
  step.pairs = std::min(o.batch_pairs, plan.all_pairs);

  plan_rows(plan, data);
  plan_teacher_fit(plan);
  plan.add("teacher's maps", step.image_dim + step.text_dim, step.teacher_dim + 1, kFloat);
  ParameterSet parameters;  // never allocated
  const Head image_head(head_options(o, step.image_dim), "image_head", parameters),
      text_head(head_options(o, step.text_dim), "text_head", parameters);
  detail::add_loss_parameters(parameters);
  for (int i = 0; i < parameters.count(); ++i) step.parameters += parameters[i].size();
  plan.add("parameters", step.parameters, 1, kFloat);
  plan.add("gradients of the parameters", step.parameters, 1, kFloat);
  plan.add("best parameters so far", step.parameters, 1, kFloat);
  plan.add_bytes("optimizer state", Optimizer::memory_bytes(step.parameters, o.optimizer.kind));

  if (method.plan_unpaired) {
    method.plan_unpaired(plan);
  } else if (method.needs_unpaired && !method.closed_form) {
    step.unpaired_images = std::min(o.batch_unpaired, step.images);
    step.unpaired_texts = std::min(o.batch_unpaired, step.texts);
    step.all_unpaired = step.unpaired_images == step.images && step.unpaired_texts == step.texts;
  }
  const int64_t images = step.batch_images(), texts = step.batch_texts();
  plan.add("indices of a batch", step.pairs + step.unpaired_images + step.unpaired_texts, 1, sizeof(int64_t));
  if (o.unpaired_memory == RowMemory::kStreamed && step.unpaired_images + step.unpaired_texts > 0)
    plan.add_bytes("batches on their way",
                   detail::BatchReader::memory_bytes(step.unpaired_images * step.image_dim +
                                                     step.unpaired_texts * step.text_dim));
  plan.add("batch of images", images, step.image_dim, kFloat);
  plan.add("batch of texts", texts, step.text_dim, kFloat);
  plan.add_bytes("activations of the image head", Activations::memory_bytes(image_head, images));
  plan.add_bytes("activations of the text head", Activations::memory_bytes(text_head, texts));
  plan.add("gradients of a batch", images + texts, step.dim, kFloat);
  plan.add_bytes("scratch of the heads",
                 std::max(image_head.backward_scratch_bytes(images), text_head.backward_scratch_bytes(texts)),
                 BufferLife::kScratch);
  plan_validation(plan, data.validation_images.rows);
  if (method.plan) method.plan(context, plan);
  return plan;
}

}  // namespace sotalign
