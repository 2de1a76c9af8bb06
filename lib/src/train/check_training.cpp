// Checks data and options before anything is computed from them.
#include <fmt/format.h>

#include <cmath>

#include "sotalign/core/error.h"
#include "sotalign/train/trainer.h"
#include "teacher/check_self_training.h"
#include "teacher/reduced.h"

namespace sotalign {

namespace {

void check_data(const TrainingData& d, const MethodInfo& method, TeacherKind teacher) {
  const auto same = [](const char* left, ConstMatrixF a, const char* right, ConstMatrixF b) {
    if (a.rows != b.rows)
      throw InvalidArgument(
          fmt::format("{} and {}: expected as many rows, found {} and {}", left, right, a.rows, b.rows));
  };
  const auto columns = [](const char* name, ConstMatrixF a, const char* of, ConstMatrixF b) {
    if (a.rows > 0 && a.cols != b.cols)
      throw InvalidArgument(
          fmt::format("{}: expected {} columns like the {}, found {}", name, b.cols, of, a.cols));
  };
  same("pair images", d.pair_images, "pair texts", d.pair_texts);
  same("validation images", d.validation_images, "validation texts", d.validation_texts);
  if (d.pair_images.rows < 2)
    throw InvalidArgument(fmt::format("pairs: expected at least 2, found {}", d.pair_images.rows));
  const auto shape = [](const EmbeddingRows& rows) {
    return ConstMatrixF(nullptr, rows.rows(), rows.cols());
  };
  columns("unpaired images", shape(d.images), "pair images", d.pair_images);
  columns("unpaired texts", shape(d.texts), "pair texts", d.pair_texts);
  columns("validation images", d.validation_images, "pair images", d.pair_images);
  columns("validation texts", d.validation_texts, "pair texts", d.pair_texts);
  const bool self_training = teacher == TeacherKind::kSelfTraining;
  if ((method.needs_unpaired || self_training) && (d.images.empty() || d.texts.empty()))
    throw InvalidArgument(fmt::format("unpaired rows: {} {} needs images and texts, found {} and {}",
                                      method.needs_unpaired ? "method" : "teacher",
                                      method.needs_unpaired ? method.name : to_string(teacher),
                                      d.images.rows(), d.texts.rows()));
}

void check_weight(const char* name, double weight) {
  if (!(weight >= 0) || !std::isfinite(weight))
    throw InvalidArgument(fmt::format("{}: expected a number >= 0, found {}", name, weight));
}

void check_options(const TrainOptions& o) {
  if (o.steps < 1) throw InvalidArgument(fmt::format("steps: expected at least 1, found {}", o.steps));
  if (o.batch_pairs < 1)
    throw InvalidArgument(fmt::format("batch_pairs: expected at least 1, found {}", o.batch_pairs));
  if (o.batch_unpaired < 1)
    throw InvalidArgument(fmt::format("batch_unpaired: expected at least 1, found {}", o.batch_unpaired));
  check_weight("divergence_weight", o.divergence_weight);
  check_method_options(o);
  if (!(o.affinity_memory_mib >= 0 && o.affinity_memory_mib <= 1e9))
    throw InvalidArgument(
        fmt::format("affinity_memory_mib: expected 0 to 1e9, found {}", o.affinity_memory_mib));
  if (o.initialization == Initialization::kTeacher && !o.hidden.empty() && !o.residual)
    throw InvalidArgument(fmt::format(
        "initialization: only linear and residual heads can start from the teacher, found {} hidden layers",
        o.hidden.size()));
  check_weight("image_rate", o.image_rate);
  check_weight("text_rate", o.text_rate);
  learning_rate(o.schedule, 0, o.steps);  // throws for a bad schedule
}

void check_passes(const SelfTrainingOptions& options) {
  try {
    detail::check_self_training(options);
  } catch (const InvalidArgument& error) {
    throw InvalidArgument(fmt::format("self_training_{}", error.what()));
  }
}

}  // namespace

void check_training(Context& context, const TrainingData& data, const TrainOptions& options) {
  const MethodInfo& method = effective_method(options);
  check_data(data, method, options.teacher.kind);
  check_options(options);
  detail::check_teacher(data.pair_images, data.pair_texts, options.teacher);
  check_passes(options.self_training);
  ParameterSet parameters;  // never allocated
  const auto check_head = [&](const char* name, int64_t columns) {
    const Head head({.input_dim = columns,
                     .hidden = options.hidden,
                     .output_dim = options.dim == 0 ? 1 : options.dim,
                     .residual = options.residual},
                    name, parameters);
  };
  check_head("image_head", data.pair_images.cols);
  check_head("text_head", data.pair_texts.cols);
  const Optimizer optimizer(context, 0, options.optimizer);
  if (method.check) method.check(context, data, options);
}

}  // namespace sotalign
