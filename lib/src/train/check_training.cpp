// Checks data and options before anything is computed from them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sotalign/core/error.h"
#include "sotalign/train/trainer.h"
#include "teacher/reduced.h"
#include "train/divergence_options.h"

namespace sotalign {

namespace {

void check_data(const TrainingData& d, Method method) {
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
  columns("unpaired images", d.images, "pair images", d.pair_images);
  columns("unpaired texts", d.texts, "pair texts", d.pair_texts);
  columns("validation images", d.validation_images, "pair images", d.pair_images);
  columns("validation texts", d.validation_texts, "pair texts", d.pair_texts);
  if (needs_unpaired(method) && (d.images.rows < 1 || d.texts.rows < 1))
    throw InvalidArgument(fmt::format("unpaired rows: method {} needs images and texts, found {} and {}",
                                      to_string(method), d.images.rows, d.texts.rows));
}

void check_weight(const char* name, double weight) {
  if (!(weight >= 0) || !std::isfinite(weight))
    throw InvalidArgument(fmt::format("{}: expected a number >= 0, found {}", name, weight));
}

void check_positive(const char* name, double value) {
  if (!(value > 0) || !std::isfinite(value))
    throw InvalidArgument(fmt::format("{}: expected a number > 0, found {}", name, value));
}

void check_options(const TrainOptions& o) {
  if (o.steps < 1) throw InvalidArgument(fmt::format("steps: expected at least 1, found {}", o.steps));
  if (o.batch_pairs < 1)
    throw InvalidArgument(fmt::format("batch_pairs: expected at least 1, found {}", o.batch_pairs));
  if (o.batch_unpaired < 1)
    throw InvalidArgument(fmt::format("batch_unpaired: expected at least 1, found {}", o.batch_unpaired));
  check_weight("klot_weight", o.klot_weight);
  check_weight("structure_weight", o.structure.weight);
  check_weight("nnclr_image_weight", o.nnclr.image_weight);
  check_weight("nnclr_text_weight", o.nnclr.text_weight);
  check_weight("sclip_weight", o.sclip.weight);
  check_positive("structure_temperature", o.structure.temperature);
  check_positive("sclip_epsilon", o.sclip.epsilon);
  if (o.structure.warmup_steps < 0 || o.structure.warmup_steps > o.steps)
    throw InvalidArgument(fmt::format("structure_warmup_steps: expected 0 to {} (all steps), found {}",
                                      o.steps, o.structure.warmup_steps));
  if (!(o.klot_memory_mib >= 0 && o.klot_memory_mib <= 1e9))
    throw InvalidArgument(fmt::format("klot_memory_mib: expected 0 to 1e9, found {}", o.klot_memory_mib));
  if (o.initialization == Initialization::kTeacher && !o.hidden.empty() && !o.residual)
    throw InvalidArgument(fmt::format(
        "initialization: only linear and residual heads can start from the teacher, found {} hidden layers",
        o.hidden.size()));
  check_weight("image_rate", o.image_rate);
  check_weight("text_rate", o.text_rate);
  learning_rate(o.schedule, 0, o.steps);  // throws for a bad schedule
}

void check_divergence(Context& context, const TrainingData& d, const TrainOptions& o) {
  const Divergence divergence(context, 1, 1, detail::divergence_options(o));  // throws for bad options
  if (o.divergence == DivergenceKind::kKlot) return;
  const std::string name = to_string(o.divergence);
  if (o.klot_memory && *o.klot_memory != KlotMemory::kStored)
    throw InvalidArgument(fmt::format("klot_memory: {} stores its affinities, expected stored, found {}",
                                      name, to_string(*o.klot_memory)));
  const auto batch = [&](ConstMatrixF rows) {
    return static_cast<double>(std::min(o.batch_unpaired, rows.rows));
  };
  const double mib = 2.0 * batch(d.images) * batch(d.texts) * sizeof(float) / (1 << 20);
  if (o.klot_memory_mib > 0 && mib > o.klot_memory_mib)
    throw InvalidArgument(
        fmt::format("klot_memory_mib: {} stores its affinities, expected at least {}, found {}", name, mib,
                    o.klot_memory_mib));
}

void check_neighbours(const char* side, int64_t neighbours, int64_t rows) {
  if (neighbours < 1 || neighbours > rows)
    throw InvalidArgument(
        fmt::format("nnclr_neighbours: expected 1 to {} (unpaired {}), found {}", rows, side, neighbours));
}

}  // namespace

void check_training(Context& context, const TrainingData& data, const TrainOptions& options) {
  const Method method = effective_method(options);
  check_data(data, method);
  check_options(options);
  detail::check_teacher(data.pair_images, data.pair_texts, options.teacher);
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
  if (method == Method::kSotalign) check_divergence(context, data, options);
  if (method == Method::kNnclr) {
    check_neighbours("images", options.nnclr.neighbours, data.images.rows);
    check_neighbours("texts", options.nnclr.neighbours, data.texts.rows);
  }
}

}  // namespace sotalign
