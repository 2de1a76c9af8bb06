#include "sotalign/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/gather_rows.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/loss/siglip.h"
#include "train/divergence_options.h"

namespace sotalign {

namespace {

Matrix<float> upload(Context& context, ConstMatrixF host, const char* purpose) {
  Matrix<float> device(context, host.rows, host.cols, purpose);
  if (host.empty()) return device;
  if (host.contiguous()) {
    device.upload(host.data);
  } else {
    for (int64_t i = 0; i < host.rows; ++i)
      context.copy_to_device(device.view().row(i), host.row(i),
                             static_cast<size_t>(host.cols) * sizeof(float));
  }
  return device;
}

void gather(Context& context, ConstMatrixF from, const int64_t* index, MatrixF to) {
  kernels::gather_rows(context.queue(), {.x = from.data,
                                         .x_stride = from.stride,
                                         .index = index,
                                         .y = to.data,
                                         .y_stride = to.stride,
                                         .rows = to.rows,
                                         .cols = to.cols});
}

// K = A B', and given dK the gradients dA = dK B, dB = dK' A.
void cosines(Context& context, ConstMatrixF a, ConstMatrixF b, MatrixF k) {
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, a, b, 0.0f, k);
}
void cosines_backward(Context& context, ConstMatrixF a, ConstMatrixF b, ConstMatrixF dk, MatrixF da,
                      MatrixF db) {
  gemm(context, Op::kNone, Op::kNone, 1.0f, dk, b, 0.0f, da);
  gemm(context, Op::kTranspose, Op::kNone, 1.0f, dk, a, 0.0f, db);
}

// The means come from all training rows of a modality, paired or not.
Preprocessing prepare(Context& context, Matrix<float>& pairs, Matrix<float>& unpaired,
                      Matrix<float>& validation) {
  std::vector<ConstMatrixF> parts = {pairs};
  if (unpaired.rows() > 0) parts.push_back(unpaired);
  Preprocessing preprocessing = fit_preprocessing(context, parts);
  for (Matrix<float>* rows : {&pairs, &unpaired, &validation})
    if (rows->rows() > 0) preprocess(context, preprocessing, *rows, *rows);
  return preprocessing;
}

// Decides what kAuto and a dimension of 0 stand for.
void resolve(TrainOptions& o, int64_t teacher_dim) {
  if (o.initialization == Initialization::kAuto)
    o.initialization = o.klot_weight > 0 && o.hidden.empty() && o.dim == 0 ? Initialization::kTeacher
                                                                           : Initialization::kRandom;
  const bool from_teacher = o.initialization == Initialization::kTeacher;
  if (from_teacher && o.dim != 0 && o.dim != teacher_dim)
    throw InvalidArgument(fmt::format(
        "dim: heads that start from the teacher have its dimension {}, found {}", teacher_dim, o.dim));
  if (o.dim == 0) o.dim = from_teacher ? teacher_dim : 1024;
}

// A linear head with the teacher's cosines. Their scale is free: entries of this root mean square suit the
// learning rates that Lion, whose steps all have one length, takes from a random start as well.
constexpr double kTeacherWeightScale = 0.02;

void start_from_teacher(ParameterSet& parameters, const std::string& head, const Matrix<float>& projection,
                        const Buffer<float>& mean_buffer) {
  const int64_t inputs = projection.rows(), outputs = projection.cols();
  const std::vector<float> w = projection.download(), mean = mean_buffer.download();
  double squares = 0;
  for (const float x : w) squares += static_cast<double>(x) * static_cast<double>(x);
  const double scale = kTeacherWeightScale / std::sqrt(squares / static_cast<double>(w.size()));
  std::vector<float> weight(w.size()), bias(static_cast<size_t>(outputs));
  for (int64_t o = 0; o < outputs; ++o) {
    double sum = 0;
    for (int64_t i = 0; i < inputs; ++i) {
      const double value = scale * static_cast<double>(w[i * outputs + o]);
      weight[o * inputs + i] = static_cast<float>(value);
      sum += value * static_cast<double>(mean[i]);
    }
    bias[o] = static_cast<float>(-sum);
  }
  parameters.upload(head + ".0.weight", weight);
  parameters.upload(head + ".0.bias", bias);
}

int64_t step_rows(const std::optional<BatchSampler>& unpaired, const BatchSampler& pairs) {
  return (unpaired ? unpaired->batch() : 0) + pairs.batch();
}

BatchSampler sampler(int64_t population, int64_t batch, uint64_t seed, const char* stream) {
  return {population, batch, seed, stream_id(stream)};
}

}  // namespace

Trainer::Trainer(Context& context, const TrainingData& data, const TrainOptions& options)
    : context_(&context),
      options_((check_training(context, data, options), options)),
      pair_images_(upload(context, data.pair_images, "paired images")),
      pair_texts_(upload(context, data.pair_texts, "paired texts")),
      images_(upload(context, data.images, "unpaired images")),
      texts_(upload(context, data.texts, "unpaired texts")),
      validation_images_(upload(context, data.validation_images, "validation images")),
      validation_texts_(upload(context, data.validation_texts, "validation texts")),
      model_(build_model()),
      optimizer_(context, model_.parameters.size(), options.optimizer),
      pair_sampler_(sampler(data.pair_images.rows, options.batch_pairs, options.seed, "sampler.pairs")),
      image_sampler_(options.klot_weight > 0 ? std::optional(sampler(data.images.rows, options.batch_unpaired,
                                                                     options.seed, "sampler.images"))
                                             : std::nullopt),
      text_sampler_(options.klot_weight > 0 ? std::optional(sampler(data.texts.rows, options.batch_unpaired,
                                                                    options.seed, "sampler.texts"))
                                            : std::nullopt),
      image_activations_(context, model_.head(Side::kX), step_rows(image_sampler_, pair_sampler_)),
      text_activations_(context, model_.head(Side::kY), step_rows(text_sampler_, pair_sampler_)),
      siglip_value_(context, 1),
      best_values_(context, model_.parameters.size()) {
  const int64_t pairs = pair_sampler_.batch(), dim = options_.dim;
  const int64_t image_rows = step_rows(image_sampler_, pair_sampler_),
                text_rows = step_rows(text_sampler_, pair_sampler_);
  pair_index_ = Buffer<int64_t>(context, pairs);
  pair_affinity_ = Matrix<float>(context, pairs, pairs, "affinity of the pairs");
  image_batch_ = Matrix<float>(context, image_rows, pair_images_.cols(), "batch of images");
  text_batch_ = Matrix<float>(context, text_rows, pair_texts_.cols(), "batch of texts");
  d_image_ = Matrix<float>(context, image_rows, dim, "gradients of a batch");
  d_text_ = Matrix<float>(context, text_rows, dim, "gradients of a batch");
  if (!image_sampler_) return;

  // The teacher is linear and fixed: its projections of all unpaired rows are computed once.
  const Teacher& teacher = *model_.teacher;
  const int64_t n = image_sampler_->batch(), m = text_sampler_->batch();
  teacher_images_ =
      Matrix<float>(context, images_.rows(), teacher.dim(), "teacher's projections of the images");
  teacher_texts_ = Matrix<float>(context, texts_.rows(), teacher.dim(), "teacher's projections of the texts");
  teacher.project(context, Side::kX, images_, teacher_images_);
  teacher.project(context, Side::kY, texts_, teacher_texts_);
  image_index_ = Buffer<int64_t>(context, n);
  text_index_ = Buffer<int64_t>(context, m);
  teacher_image_batch_ = Matrix<float>(context, n, teacher.dim(), "batch of projections");
  teacher_text_batch_ = Matrix<float>(context, m, teacher.dim(), "batch of projections");
  if (options.divergence == DivergenceKind::kKlot) {
    klot_memory_ = plan_memory(n, m);
    options_.klot_memory = klot_memory_->memory;
    klot_.emplace(context, n, m, options.klot, klot_memory_->memory);
    return;
  }
  affinity_ = Matrix<float>(context, n, m, "affinity of the unpaired rows");
  teacher_affinity_ = Matrix<float>(context, n, m, "teacher's affinity of the unpaired rows");
  divergence_.emplace(context, n, m, detail::divergence_options(options));
}

KlotMemoryPlan Trainer::plan_memory(int64_t rows, int64_t cols) const {
  if (options_.klot_memory) return plan_klot_memory(*context_, rows, cols, *options_.klot_memory);
  if (options_.klot_memory_mib > 0)
    return plan_klot_memory(*context_, rows, cols,
                            static_cast<int64_t>(options_.klot_memory_mib * (1 << 20)));
  const int64_t available = context_->available_bytes();
  return plan_klot_memory(*context_, rows, cols, available < 0 ? available : available / 8 * 7);
}

Model Trainer::build_model() {
  Preprocessing image_preprocessing = prepare(*context_, pair_images_, images_, validation_images_);
  Preprocessing text_preprocessing = prepare(*context_, pair_texts_, texts_, validation_texts_);
  TeacherOptions& options = options_.teacher;
  options.seed = options_.seed;
  if (is_open(options)) {
    teacher_search_ = search_teacher(*context_, pair_images_, pair_texts_, options);
    options = teacher_search_->chosen;
  }
  Teacher teacher = fit_teacher(*context_, pair_images_, pair_texts_, options);
  resolve(options_, teacher.dim());
  const auto head = [&](int64_t input_dim) -> HeadOptions {
    return {.input_dim = input_dim,
            .hidden = options_.hidden,
            .output_dim = options_.dim,
            .activation = options_.activation};
  };
  Model model(*context_, head(pair_images_.cols()), head(pair_texts_.cols()), options_.seed);
  if (options_.initialization == Initialization::kTeacher) {
    start_from_teacher(model.parameters, "image_head", teacher.wx, teacher.mean_x);
    start_from_teacher(model.parameters, "text_head", teacher.wy, teacher.mean_y);
  }
  model.image_preprocessing = std::move(image_preprocessing);
  model.text_preprocessing = std::move(text_preprocessing);
  model.teacher = std::move(teacher);
  return model;
}

void Trainer::train_step() {
  if (finished()) throw InvalidArgument(fmt::format("train_step: all {} steps are done", options_.steps));
  Context& context = *context_;
  const int64_t pairs = pair_sampler_.batch();
  const int64_t n = image_sampler_ ? image_sampler_->batch() : 0,
                m = text_sampler_ ? text_sampler_->batch() : 0;

  pair_sampler_.sample(context, step_, pair_index_.data());
  gather(context, pair_images_, pair_index_.data(), image_batch_.view().row_range(n, pairs));
  gather(context, pair_texts_, pair_index_.data(), text_batch_.view().row_range(m, pairs));
  if (image_sampler_) {
    image_sampler_->sample(context, step_, image_index_.data());
    text_sampler_->sample(context, step_, text_index_.data());
    gather(context, images_, image_index_.data(), image_batch_.view().row_range(0, n));
    gather(context, texts_, text_index_.data(), text_batch_.view().row_range(0, m));
  }

  const Head &image_head = model_.head(Side::kX), &text_head = model_.head(Side::kY);
  const ConstMatrixF f = image_head.forward(context, model_.parameters, image_batch_, image_activations_);
  const ConstMatrixF g = text_head.forward(context, model_.parameters, text_batch_, text_activations_);
  siglip_step(f.row_range(n, pairs), g.row_range(m, pairs));
  if (image_sampler_) divergence_step(f.row_range(0, n), g.row_range(0, m));
  image_head.backward(context, model_.parameters, image_batch_, image_activations_, d_image_);
  text_head.backward(context, model_.parameters, text_batch_, text_activations_, d_text_);

  ParameterSet& parameters = model_.parameters;
  optimizer_.step(parameters.values(), parameters.gradients(), parameters.size(), parameters.decayed_size(),
                  learning_rate(options_.schedule, step_, options_.steps));
  ++step_;
}

void Trainer::siglip_step(ConstMatrixF f, ConstMatrixF g) {
  Context& context = *context_;
  ParameterSet& parameters = model_.parameters;
  const int64_t scale = parameters.offset(parameters.find("log_scale")),
                bias = parameters.offset(parameters.find("bias"));
  cosines(context, f, g, pair_affinity_);
  siglip_of_cosines(context, pair_affinity_, parameters.values() + scale, parameters.values() + bias, {},
                    {.grad_k = pair_affinity_,
                     .value = siglip_value_.data(),
                     .grad_log_scale = parameters.gradients() + scale,
                     .grad_bias = parameters.gradients() + bias});
  cosines_backward(context, f, g, pair_affinity_, d_image_.view().row_range(d_image_.rows() - f.rows, f.rows),
                   d_text_.view().row_range(d_text_.rows() - g.rows, g.rows));
}

void Trainer::divergence_step(ConstMatrixF f, ConstMatrixF g) {
  Context& context = *context_;
  gather(context, teacher_images_, image_index_.data(), teacher_image_batch_);
  gather(context, teacher_texts_, text_index_.data(), teacher_text_batch_);
  const MatrixF d_image = d_image_.view().row_range(0, f.rows), d_text = d_text_.view().row_range(0, g.rows);
  if (klot_) {
    klot_->run({f, g}, {teacher_image_batch_, teacher_text_batch_}, d_image, d_text, options_.klot_weight);
    return;
  }
  cosines(context, f, g, affinity_);
  cosines(context, teacher_image_batch_, teacher_text_batch_, teacher_affinity_);
  divergence_->run(affinity_, teacher_affinity_, affinity_, options_.klot_weight);
  cosines_backward(context, f, g, affinity_, d_image, d_text);
}

StepMetrics Trainer::metrics() const {
  if (step_ == 0) throw InvalidArgument("metrics: no step was done yet");
  StepMetrics metrics{.step = step_,
                      .learning_rate = learning_rate(options_.schedule, step_ - 1, options_.steps)};
  metrics.siglip = metrics.loss = siglip_value_.download()[0];
  metrics.logit_scale = std::exp(static_cast<double>(model_.parameters.download("log_scale")[0]));
  metrics.logit_bias = model_.parameters.download("bias")[0];
  if (klot_) {
    const KlotResult result = klot_->result();
    metrics.divergence = {DivergenceKind::kKlot, result.value, result};
  } else if (divergence_) {
    metrics.divergence = divergence_->result();
  }
  if (metrics.divergence) metrics.loss += options_.klot_weight * metrics.divergence->value;
  if (!std::isfinite(metrics.loss))
    throw NumericalError(
        fmt::format("step {}: the loss is {} (siglip {}, {} {}); try a smaller learning rate", step_,
                    metrics.loss, metrics.siglip, to_string(options_.divergence),
                    metrics.divergence ? metrics.divergence->value : 0.0));
  return metrics;
}

RetrievalResult Trainer::validate() {
  if (!has_validation()) throw InvalidArgument("validate: expected validation pairs, found none");
  const int64_t rows = validation_images_.rows();
  Workspace workspace(*context_);
  const MatrixF images = workspace.take_matrix<float>(rows, options_.dim),
                texts = workspace.take_matrix<float>(rows, options_.dim);
  model_.head(Side::kX).embed(*context_, model_.parameters, validation_images_, images);
  model_.head(Side::kY).embed(*context_, model_.parameters, validation_texts_, texts);
  const RetrievalResult result = retrieval(*context_, images, texts);
  if (result.mean_r1 > best_score_) {
    best_score_ = result.mean_r1;
    best_step_ = step_;
    context_->copy_on_device(best_values_.data(), model_.parameters.values(),
                             static_cast<size_t>(best_values_.size()) * sizeof(float));
  }
  return result;
}

RetrievalResult Trainer::validate_teacher() {
  if (!has_validation()) throw InvalidArgument("validate_teacher: expected validation pairs, found none");
  const Teacher& teacher = *model_.teacher;
  const int64_t rows = validation_images_.rows();
  Workspace workspace(*context_);
  const MatrixF images = workspace.take_matrix<float>(rows, teacher.dim()),
                texts = workspace.take_matrix<float>(rows, teacher.dim());
  teacher.project(*context_, Side::kX, validation_images_, images);
  teacher.project(*context_, Side::kY, validation_texts_, texts);
  return retrieval(*context_, images, texts);
}

void Trainer::restore_best() {
  if (best_step_ < 0) throw InvalidArgument("restore_best: validate() was never called");
  context_->copy_on_device(model_.parameters.values(), best_values_.data(),
                           static_cast<size_t>(best_values_.size()) * sizeof(float));
}

}  // namespace sotalign
