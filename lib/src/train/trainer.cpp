#include "sotalign/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/plain_nan.h"
#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"
#include "sotalign/core/random.h"
#include "sotalign/linalg/row_products.h"
#include "sotalign/train/objective.h"
#include "train/batch_reader.h"
#include "train/resolve_heads.h"
#include "train/teacher_heads.h"

namespace sotalign {

using namespace detail;

namespace {

Matrix<float> upload(Context& context, ConstMatrixF host, const char* purpose) {
  Matrix<float> device(context, host.rows, host.cols, purpose);
  device.upload(host);
  return device;
}

// Merges parameters that are adjacent in memory and have the same rate and decay into one range.
std::vector<ParameterRange> ranges_of(const ParameterSet& parameters, const TrainOptions& o) {
  if (o.image_rate == 1.0 && o.text_rate == 1.0) return {};
  std::vector<ParameterRange> ranges;
  for (const bool decay : {true, false})
    for (int i = 0; i < parameters.count(); ++i) {
      const Parameter& parameter = parameters[i];
      if (parameter.decay != decay) continue;
      const double rate = parameter.name.starts_with("image_head.")  ? o.image_rate
                          : parameter.name.starts_with("text_head.") ? o.text_rate
                                                                     : 1.0;
      if (ranges.empty() || ranges.back().decay != decay || ranges.back().rate != rate)
        ranges.push_back({.first = parameters.offset(i), .decay = decay, .rate = rate});
      ranges.back().count += parameter.size();
    }
  return ranges;
}

}  // namespace

Trainer::Trainer(Context& context, const TrainingData& data, const TrainOptions& options)
    : context_(&context),
      options_((check_training(context, data, options), options)),
      row_memory_(plan_row_memory(context, data.images, data.texts, options.unpaired_memory)),
      pair_images_(upload(context, data.pair_images, "paired images")),
      pair_texts_(upload(context, data.pair_texts, "paired texts")),
      validation_images_(upload(context, data.validation_images, "validation images")),
      validation_texts_(upload(context, data.validation_texts, "validation texts")),
      model_(build_model(data)),
      optimizer_(context, model_.parameters.size(), options.optimizer),
      ranges_(ranges_of(model_.parameters, options)),
      pair_sampler_(data.pair_images.rows, options.batch_pairs, options.seed, stream_id("sampler.pairs")),
      unpaired_(make_unpaired_rows(
          {.context = context, .options = options_, .rows = all_rows(), .pairs = pair_sampler_.batch()})),
      reader_(make_reader()),
      pair_index_(context, pair_sampler_.batch()),
      image_batch_(context, pair_sampler_.batch() + unpaired_->images(), pair_images_.cols(),
                   "batch of images"),
      text_batch_(context, pair_sampler_.batch() + unpaired_->texts(), pair_texts_.cols(), "batch of texts"),
      image_activations_(context, model_.head(Side::kX), image_batch_.rows()),
      text_activations_(context, model_.head(Side::kY), text_batch_.rows()),
      d_image_(context, image_batch_.rows(), options_.dim, "gradients of a batch"),
      d_text_(context, text_batch_.rows(), options_.dim, "gradients of a batch"),
      best_values_(context, model_.parameters.size()),
      objective_(effective_method(options_).make({.context = context,
                                                  .options = options_,
                                                  .teacher = *model_.teacher,
                                                  .rows = all_rows(),
                                                  .pairs = pair_sampler_.batch(),
                                                  .unpaired_images = unpaired_->images(),
                                                  .unpaired_texts = unpaired_->texts(),
                                                  .all_unpaired = unpaired_->takes_all()})),
      affinity_memory_(objective_->affinity_memory()) {
  if (affinity_memory_) options_.affinity_memory = affinity_memory_->memory;
  objective_->initialize(model_.parameters);
}

std::unique_ptr<detail::BatchReader> Trainer::make_reader() const {
  if (!images_.streamed() || unpaired_->images() + unpaired_->texts() == 0) return nullptr;
  // The trainer may be moved while the thread runs: `this` must not be captured.
  BatchReader::Pick pick = [sampler = pair_sampler_, unpaired = unpaired_.get(),
                            pairs = std::vector<int64_t>()](int64_t step, std::vector<int64_t>& images,
                                                            std::vector<int64_t>& texts) mutable {
    sampler.sample(step, pairs);
    std::as_const(*unpaired).pick(step, pairs, images, texts);
  };
  return std::make_unique<BatchReader>(*context_, BatchReader::Setup{.images = images_.raw(),
                                                                     .texts = texts_.raw(),
                                                                     .batch_images = unpaired_->images(),
                                                                     .batch_texts = unpaired_->texts(),
                                                                     .steps = options_.steps,
                                                                     .pick = std::move(pick)});
}

Trainer::~Trainer() = default;
Trainer::Trainer(Trainer&&) noexcept = default;

AllRows Trainer::all_rows() const {
  return {.pair_images = pair_images_, .pair_texts = pair_texts_, .images = images_, .texts = texts_};
}

Teacher Trainer::build_teacher() {
  const TeacherOptions& options = options_.teacher;
  if (options.kind == TeacherKind::kAuto) {
    ChosenTeacher chosen = choose_teacher(*context_,
                                          {.pairs_x = pair_images_,
                                           .pairs_y = pair_texts_,
                                           .unpaired_x = images_,
                                           .unpaired_y = texts_,
                                           .validation_x = validation_images_,
                                           .validation_y = validation_texts_},
                                          options, options_.self_training);
    options_.teacher = chosen.choice.options;
    options_.self_training = chosen.choice.self_training;
    teacher_passes_ = chosen.choice.passes;
    teacher_choice_ = std::move(chosen.choice);
    return std::move(chosen.teacher);
  }
  if (options.kind != TeacherKind::kSelfTraining)
    return fit_teacher(*context_, pair_images_, pair_texts_, options);
  SelfTraining training(*context_, pair_images_, pair_texts_, images_, texts_,
                        with_teacher_options(options_.self_training, options));
  while (!training.finished()) {
    training.pass();
    teacher_passes_.push_back(training.last());
  }
  return training.take_teacher();
}

Model Trainer::build_model(const TrainingData& data) {
  TrainingData pairs = data;
  pairs.images = {}, pairs.texts = {};  // prepare() reads them anyway
  data_checksums_ = checksums_of(pairs);
  const auto prepare = [&](Matrix<float>& paired, const EmbeddingRows& raw, RowSet& unpaired,
                           Matrix<float>& validation, const char* purpose) {
    Preprocessing result = prepare_rows(*context_, paired, raw, row_memory_.memory, unpaired, purpose);
    if (validation.rows() > 0) preprocess(*context_, result, validation, validation);
    return result;
  };
  Preprocessing image_preprocessing =
      prepare(pair_images_, data.images, images_, validation_images_, "unpaired images");
  Preprocessing text_preprocessing =
      prepare(pair_texts_, data.texts, texts_, validation_texts_, "unpaired texts");
  data_checksums_["images"] = images_.checksum();
  data_checksums_["texts"] = texts_.checksum();
  TeacherOptions& options = options_.teacher;
  options.seed = options_.seed;
  if (is_open(options)) {
    const TeacherKind kind = options.kind;
    teacher_search_ = search_teacher(*context_, pair_images_, pair_texts_, first_teacher_options(options));
    options = teacher_search_->chosen;
    options.kind = kind;
  }
  const MethodInfo& method = effective_method(options_);
  if (options.kind == TeacherKind::kAuto && !method.starts_from_teacher) options.kind = TeacherKind::kCca;
  if (method.resolve) method.resolve(options_, pair_images_.cols(), pair_texts_.cols());
  Teacher teacher = build_teacher();
  resolve_heads(options_, teacher.dim());
  Model model(*context_, head_options(options_, pair_images_.cols()),
              head_options(options_, pair_texts_.cols()), options_.seed);
  if (options_.initialization == Initialization::kTeacher)
    set_teacher_heads(model.parameters, options_, teacher);
  model.image_preprocessing = std::move(image_preprocessing);
  model.text_preprocessing = std::move(text_preprocessing);
  model.teacher = std::move(teacher);
  return model;
}

void Trainer::train_step() {
  if (finished()) throw InvalidArgument(fmt::format("train_step: all {} steps are done", options_.steps));
  Context& context = *context_;
  model_.hubness.reset();
  if (effective_method(options_).closed_form) {
    objective_->run({.number = step_,
                     .image = {},
                     .text = {},
                     .parameters = model_.parameters,
                     .teacher = *model_.teacher});
    ++step_;
    return;
  }
  const ProductMathScope math(context, options_.math);
  pair_sampler_.sample(context, step_, pair_index_.data());
  unpaired_->pick(step_, pair_index_.data());
  const BatchReader::Batch streamed = reader_ ? reader_->take(step_) : BatchReader::Batch();
  const auto batch_of = [&](const Matrix<float>& paired, const RowSet& unpaired, const int64_t* index,
                            ConstMatrixF raw, Matrix<float>& batch, Matrix<float>& d) {
    const StepRows rows{
        .pairs = pair_sampler_.batch(), .x = batch, .f = {}, .d_f = d, .unpaired_index = index};
    gather_rows(context, paired, pair_index_.data(), rows.paired(batch.view()));
    if (raw.rows > 0)
      unpaired.preprocess_rows(context, raw, rows.unpaired(batch.view()));
    else if (rows.x.rows > rows.pairs)
      gather_rows(context, unpaired.stored(), index, rows.unpaired(batch.view()));
    return rows;
  };
  Step step{
      .number = step_,
      .image =
          batch_of(pair_images_, images_, unpaired_->image_index(), streamed.images, image_batch_, d_image_),
      .text = batch_of(pair_texts_, texts_, unpaired_->text_index(), streamed.texts, text_batch_, d_text_),
      .parameters = model_.parameters,
      .teacher = *model_.teacher};
  if (reader_) reader_->done();

  const Head &image_head = model_.head(Side::kX), &text_head = model_.head(Side::kY);
  step.image.f = image_head.forward(context, model_.parameters, image_batch_, image_activations_);
  step.text.f = text_head.forward(context, model_.parameters, text_batch_, text_activations_);
  objective_->run(step);
  image_head.backward(context, model_.parameters, image_batch_, image_activations_, d_image_);
  text_head.backward(context, model_.parameters, text_batch_, text_activations_, d_text_);

  ParameterSet& parameters = model_.parameters;
  const double rate = learning_rate(options_.schedule, step_, options_.steps);
  if (ranges_.empty())
    optimizer_.step(parameters.values(), parameters.gradients(), parameters.size(), parameters.decayed_size(),
                    rate);
  else
    optimizer_.step(parameters.values(), parameters.gradients(), ranges_, rate);
  if (++step_ == 1) metrics();  // throws at once if the first loss is not finite
}

StepMetrics Trainer::metrics() const {
  if (step_ == 0) throw InvalidArgument("metrics: no step was done yet");
  StepMetrics metrics{.step = step_,
                      .learning_rate = learning_rate(options_.schedule, step_ - 1, options_.steps)};
  metrics.logit_scale = std::exp(static_cast<double>(model_.parameters.download("log_scale")[0]));
  metrics.logit_bias = model_.parameters.download("bias")[0];
  const char* advice = step_ == 1
                           ? "the initial weights give it, whatever the learning rate: look at the other "
                             "options and the data"
                           : "try a smaller learning rate";
  try {
    objective_->report(metrics);
  } catch (const NumericalError& error) {
    // Weights that are not finite also make SigLIP non-finite; the error below reports that.
    if (std::isfinite(metrics.siglip.value_or(0)))
      throw NumericalError(fmt::format("step {}: {}; {}", step_, error.what(), advice));
  }
  std::string parts;
  const auto add = [&](const std::string& name, double value, double weight) {
    metrics.loss += weight * value;
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", name, plain_nan(value));
  };
  if (metrics.siglip) add("siglip", *metrics.siglip, 1.0);
  if (metrics.divergence)
    add(metrics.divergence->name, metrics.divergence->value, options_.divergence_weight);
  for (const TermValue& term : metrics.terms) add(term.name, term.value, term.weight);
  if (!std::isfinite(metrics.loss))
    throw NumericalError(
        fmt::format("step {}: the loss is {} ({}); {}", step_, plain_nan(metrics.loss), parts, advice));
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
  const double score = best_by_recall_ ? result.mean_r1 : result.mean_reciprocal_rank;
  if (score > best_score_) {
    best_score_ = score;
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
  model_.hubness.reset();
  context_->copy_on_device(model_.parameters.values(), best_values_.data(),
                           static_cast<size_t>(best_values_.size()) * sizeof(float));
}

std::optional<HubnessCorrection> Trainer::make_bank(Projection projection,
                                                    const HubnessOptions& options) const {
  if (images_.empty() || texts_.empty()) return std::nullopt;
  return model_.make_bank(projection, images_, texts_, options);
}

void Trainer::add_bank(const HubnessOptions& options) {
  model_.hubness = make_bank(Projection::kHeads, options);
}

}  // namespace sotalign
