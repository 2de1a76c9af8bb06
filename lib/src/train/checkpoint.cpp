// Checkpoints of a Trainer: weights, the best weights so far, optimizer state and the step, which is all that
// the samplers need. A fingerprint of options and data keeps a checkpoint from continuing another run.
#include <fmt/format.h>

#include <bit>
#include <charconv>

#include "sotalign/core/error.h"
#include "sotalign/io/safetensors.h"
#include "sotalign/train/trainer.h"

namespace sotalign {

namespace {

constexpr const char* kFormat = "sotalign-checkpoint-1";

// FNV-1a over the values' bits: equal data, equal hash, wherever the files lie.
uint64_t hash(const std::vector<float>& values) {
  uint64_t h = 0xCBF29CE484222325;
  for (const float value : values) h = (h ^ std::bit_cast<uint32_t>(value)) * 0x100000001B3;
  return h;
}

// What the baselines are told.
std::string method_numbers(const TrainOptions& o) {
  return fmt::format("{} {} {} {} {} {} {} {} {}", o.structure.weight, o.structure.temperature,
                     o.structure.warmup_steps, o.nnclr.neighbours, o.nnclr.image_weight, o.nnclr.text_weight,
                     o.sclip.weight, to_string(o.sclip.labels), o.sclip.epsilon);
}

template <class T>
T number(const std::string& path, const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const std::string text = found == file.metadata().end() ? "" : found->second;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw IoError(fmt::format("{}: {}: expected a number, found '{}'", path, key, text));
  return value;
}

}  // namespace

std::string Trainer::fingerprint() const {
  const TrainOptions& o = options_;
  return fmt::format(
      "data {}x{} {}x{} {} {} {} {:016x} {:016x}; teacher {} {} {} {} {} {} {}; heads {} {} [{}] {}; steps "
      "{} "
      "schedule "
      "{} {} {} {}; "
      "optimizer {} {} {} {} {}; batch {} {}; {} {} {} {} {} {} {} {} {} {} {} {} {}; method {} {}; seed {}",
      pair_images_.rows(), pair_images_.cols(), pair_texts_.rows(), pair_texts_.cols(), images_.rows(),
      texts_.rows(), validation_images_.rows(), hash(model_.image_preprocessing.mean),
      hash(model_.text_preprocessing.mean), to_string(o.teacher.kind), o.teacher.ridge.value(),
      o.teacher.dim.value(), o.teacher.correlation_power.value(), o.teacher.contrastive.steps,
      o.teacher.contrastive.learning_rate, o.teacher.contrastive.batch, static_cast<int>(o.initialization),
      o.dim, fmt::join(o.hidden, " "), static_cast<int>(o.activation), o.steps,
      static_cast<int>(o.schedule.kind), o.schedule.peak, o.schedule.warmup_steps, o.schedule.final_fraction,
      static_cast<int>(o.optimizer.kind), o.optimizer.beta1.value_or(-1), o.optimizer.beta2.value_or(-1),
      o.optimizer.epsilon, o.optimizer.weight_decay, o.batch_pairs, o.batch_unpaired, to_string(o.divergence),
      o.klot_weight, o.klot.epsilon_student, o.klot.epsilon_teacher, o.klot.iterations, o.klot.tolerance,
      o.klot.check_every, static_cast<int>(o.klot.symmetrize), o.klot.relaxation, o.klot.epsilon_scaling,
      static_cast<int>(o.klot.form), static_cast<int>(o.klot.storage),
      o.klot_memory ? to_string(*o.klot_memory) : "none", to_string(o.method), method_numbers(o), o.seed);
}

void Trainer::save_checkpoint(const std::string& path) {
  SafetensorsWriter writer;
  std::vector<std::vector<float>> kept;  // what the writer points to, until write()
  const auto add = [&](const std::string& name, std::vector<float> values) {
    kept.push_back(std::move(values));
    writer.add(name, {static_cast<int64_t>(kept.back().size())}, kept.back().data());
  };
  const ParameterSet& parameters = model_.parameters;
  std::vector<float> values(static_cast<size_t>(parameters.size()));
  context_->copy_to_host(values.data(), parameters.values(), values.size() * sizeof(float));
  add("values", std::move(values));
  add("best_values", best_values_.download());
  for (const OptimizerState& state : optimizer_.state())
    add("optimizer." + state.name, state.values->download());
  writer.set_metadata("format", kFormat);
  writer.set_metadata("fingerprint", fingerprint());
  writer.set_metadata("step", fmt::format("{}", step_));
  writer.set_metadata("optimizer_steps", fmt::format("{}", optimizer_.steps()));
  writer.set_metadata("best_step", fmt::format("{}", best_step_));
  writer.set_metadata("best_score",
                      fmt::format("{}", best_score_));  // fmt prints doubles so that they read back exactly
  writer.write(path);
}

void Trainer::load_checkpoint(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto note = [&](const std::string& key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  if (note("format") != kFormat)
    throw IoError(fmt::format("{}: expected a checkpoint (format {}), found format '{}'", path, kFormat,
                              note("format")));
  if (note("fingerprint") != fingerprint())
    throw IoError(
        fmt::format("{}: the checkpoint belongs to other data or options; expected '{}', found '{}'", path,
                    fingerprint(), note("fingerprint")));
  const auto read = [&](const std::string& name) {
    const std::vector<int64_t> expected = {model_.parameters.size()};
    if (!file.contains(name) || file.shape(name) != expected)
      throw IoError(fmt::format("{}: expected a tensor '{}' of {} values", path, name, expected[0]));
    return file.read_float(name);
  };
  // Everything is read before anything is changed.
  const std::vector<float> values = read("values"), best = read("best_values");
  std::vector<OptimizerState> states = optimizer_.state();
  std::vector<std::vector<float>> optimizer_values;
  optimizer_values.reserve(states.size());
  for (const OptimizerState& state : states) optimizer_values.push_back(read("optimizer." + state.name));
  const int64_t step = number<int64_t>(path, file, "step"),
                best_step = number<int64_t>(path, file, "best_step");
  const int64_t optimizer_steps = number<int64_t>(path, file, "optimizer_steps");
  const double best_score = number<double>(path, file, "best_score");
  if (step < 0 || step > options_.steps)
    throw IoError(fmt::format("{}: step {} of {}", path, step, options_.steps));

  context_->copy_to_device(model_.parameters.values(), values.data(), values.size() * sizeof(float));
  best_values_.upload(best.data());
  for (size_t i = 0; i < states.size(); ++i) states[i].values->upload(optimizer_values[i].data());
  optimizer_.set_steps(optimizer_steps);
  step_ = step, best_step_ = best_step, best_score_ = best_score;
}

}  // namespace sotalign
