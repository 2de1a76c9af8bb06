// Checkpoints of a Trainer: weights, best weights so far, optimizer state, and the step, which determines the
// samplers. A fingerprint of the options and checksums of all rows prevent a checkpoint from continuing
// another run.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>

#include "io/text.h"
#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"
#include "sotalign/io/checksum.h"
#include "sotalign/io/safetensors.h"
#include "sotalign/train/objective.h"
#include "sotalign/train/trainer.h"
#include "train/finite.h"

namespace sotalign {

namespace {

constexpr const char* kCheckpointFormat = "sotalign-checkpoint-2";
constexpr const char* kCheckpointFormatWithoutChecksums = "sotalign-checkpoint-1";  // sotalign 0.1
// What best_score is. Checkpoints without a note have a MeanR@1.
constexpr const char *kByRecall = "mean_r1", *kByReciprocalRank = "mean_reciprocal_rank";
constexpr const char *kDataPrefix = "data.", *kNotePrefix = "note.", *kObjectivePrefix = "objective.";

// FNV-1a over the bits of the means, by which sotalign 0.1 identifies data.
uint64_t hash(const std::vector<float>& values) {
  uint64_t h = 0xCBF29CE484222325;
  for (const float value : values) h = (h ^ std::bit_cast<uint32_t>(value)) * 0x100000001B3;
  return h;
}

// The methods' options in sotalign 0.1, whose checkpoints list them whatever the method.
constexpr const char* kFirstMethodOptions[] = {
    "structure_weight", "structure_temperature", "structure_warmup_steps",
    "nnclr_neighbours", "nnclr_image_weight",    "nnclr_text_weight",
    "sclip_weight",     "sclip_labels",          "sclip_epsilon"};

bool is_first(const std::string& key) {
  return std::find(std::begin(kFirstMethodOptions), std::end(kFirstMethodOptions), key) !=
         std::end(kFirstMethodOptions);
}

std::string text_of(const OptionInfo& option, const OptionValues& given) {
  return std::visit([&]<class T>(const T&) { return fmt::format("{}", option_value<T>(option, given)); },
                    option.initial);
}

std::string first_method_options(const TrainOptions& o) {
  std::vector<std::string> texts;
  for (const OptionInfo& option : declared_method_options())
    if (is_first(option.key)) texts.push_back(text_of(option, o.method_options));
  return fmt::format("{}", fmt::join(texts, " "));
}

// The other options of the method and of the divergence: "; sharpness 2".
std::string other_options(const TrainOptions& o) {
  std::string text;
  const auto add = [&](const std::vector<OptionInfo>& options, const OptionValues& given) {
    for (const OptionInfo& option : options)
      if (!is_first(option.key)) text += fmt::format("; {} {}", option.key, text_of(option, given));
  };
  add(find_method(o.method).options, o.method_options);
  add(find_divergence(o.divergence.name).options, o.divergence.values);
  return text;
}

// Empty without self-training.
std::string self_training_options(const TrainOptions& o) {
  if (o.teacher.kind != TeacherKind::kSelfTraining && o.method != "self_training") return "";
  const SelfTrainingOptions& s = o.self_training;
  return fmt::format("; self-training {} {} {} {} {} {} {} {} {} {}", s.passes, s.batch, s.unpaired_weight,
                     s.rate, s.epsilon, s.solve.iterations, s.solve.tolerance, s.dim, s.change_tolerance,
                     static_cast<int>(s.memory));
}

// Empty for float32, the only precision of checkpoints before there was a choice.
std::string precision(const TrainOptions& o) {
  return o.math == ProductMath::kFp32 ? "" : "; math " + to_string(o.math);
}

// Empty if both plans have the same solver options, so that checkpoints written before the two could differ
// stay valid.
std::string teacher_solve_numbers(const DivergenceOptions& o) {
  const SolveOptions& t = o.teacher;
  if (t == o.student) return "";
  return fmt::format("; teacher's plan {} {} {} {} {} {} {}", t.iterations, t.tolerance, t.check_every,
                     t.relaxation, t.epsilon_scaling, static_cast<int>(t.form), static_cast<int>(t.storage));
}

template <class T>
T number(const std::string& path, const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  const std::string text = found == file.metadata().end() ? "" : found->second;
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw IoError(fmt::format("{}: {}: expected a number, found '{}'", path, key, io::printable(text)));
  return value;
}

// `text` from shortly before its first difference from `other`.
std::string difference(const std::string& text, const std::string& other) {
  const auto at = std::mismatch(text.begin(), text.end(), other.begin(), other.end()).first;
  constexpr std::ptrdiff_t kBefore = 20;
  return io::printable(std::string(at - std::min(kBefore, at - text.begin()), text.end()));
}

}  // namespace

std::map<std::string, std::string> checksums_of(const TrainingData& data) {
  return {{"pairs_images", checksum(data.pair_images)},
          {"pairs_texts", checksum(data.pair_texts)},
          {"images", checksum(data.images)},
          {"texts", checksum(data.texts)},
          {"val_images", checksum(data.validation_images)},
          {"val_texts", checksum(data.validation_texts)}};
}

std::string Trainer::fingerprint() const {
  const TrainOptions& o = options_;
  const DivergenceOptions& divergence = o.divergence;
  const SolveOptions& student = divergence.student;
  return fmt::format(
      "data {}x{} {}x{} {} {} {} {:016x} {:016x}; teacher {} {} {} {} {} {} {}; heads {} {} [{}] {} {}; "
      "steps "
      "{} "
      "schedule "
      "{} {} {} {} {} {}; "
      "optimizer {} {} {} {} {}; batch {} {}; {} {} {} {} {} {} {} {} {} {} {} {} {}; method {} {}; seed "
      "{}{}{}",
      pair_images_.rows(), pair_images_.cols(), pair_texts_.rows(), pair_texts_.cols(), images_.rows(),
      texts_.rows(), validation_images_.rows(), hash(model_.image_preprocessing.mean),
      hash(model_.text_preprocessing.mean), to_string(o.teacher.kind), o.teacher.ridge.value(),
      o.teacher.dim.value(), o.teacher.correlation_power.value(), o.teacher.contrastive.steps,
      o.teacher.contrastive.learning_rate, o.teacher.contrastive.batch, static_cast<int>(o.initialization),
      o.dim, fmt::join(o.hidden, " "), static_cast<int>(o.activation), o.residual, o.steps,
      static_cast<int>(o.schedule.kind), o.schedule.peak, o.schedule.warmup_steps, o.schedule.final_fraction,
      o.image_rate, o.text_rate, static_cast<int>(o.optimizer.kind), o.optimizer.beta1.value_or(-1),
      o.optimizer.beta2.value_or(-1), o.optimizer.epsilon, o.optimizer.weight_decay, o.batch_pairs,
      o.batch_unpaired, divergence.name, o.divergence_weight, divergence.epsilon_student,
      divergence.epsilon_teacher, student.iterations, student.tolerance, student.check_every,
      static_cast<int>(divergence.symmetrize), student.relaxation, student.epsilon_scaling,
      static_cast<int>(student.form), static_cast<int>(student.storage),
      o.affinity_memory ? to_string(*o.affinity_memory) : "none", o.method, first_method_options(o), o.seed,
      teacher_solve_numbers(divergence), other_options(o) + self_training_options(o) + precision(o));
}

void Trainer::save_checkpoint(const std::string& path, const std::map<std::string, std::string>& notes) {
  SafetensorsWriter writer;
  std::vector<std::vector<float>> kept;  // the writer points into these until write()
  const auto add = [&](const std::string& name, std::vector<float> values) {
    // An older checkpoint is worth more than a new one that cannot be continued.
    if (detail::first_not_finite(values))
      throw NumericalError(
          fmt::format("step {}: '{}' is not finite; try a smaller learning rate", step_, name));
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
  const std::map<std::string, std::vector<double>> objective = objective_->state();
  for (const auto& [name, numbers] : objective) {
    if (detail::first_not_finite(numbers))
      throw NumericalError(fmt::format("step {}: '{}' is not finite", step_, name));
    writer.add(kObjectivePrefix + name, {static_cast<int64_t>(numbers.size())}, numbers.data());
  }
  for (const auto& [key, value] : notes) writer.set_metadata(kNotePrefix + key, value);
  for (const auto& [name, sum] : data_checksums_) writer.set_metadata(kDataPrefix + name, sum);
  writer.add_checksums();
  writer.set_metadata("format", kCheckpointFormat);
  writer.set_metadata("fingerprint", fingerprint());
  writer.set_metadata("step", fmt::format("{}", step_));
  writer.set_metadata("optimizer_steps", fmt::format("{}", optimizer_.steps()));
  writer.set_metadata("best_step", fmt::format("{}", best_step_));
  writer.set_metadata("best_score",
                      fmt::format("{}", best_score_));  // fmt prints doubles that read back exactly
  writer.set_metadata("best_by", best_by_recall_ ? kByRecall : kByReciprocalRank);
  writer.write(path);
}

CheckpointInfo Trainer::load_checkpoint(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const auto note = [&](const std::string& key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string() : found->second;
  };
  const std::string format = note("format");
  if (format != kCheckpointFormat && format != kCheckpointFormatWithoutChecksums)
    throw IoError(fmt::format("{}: expected a checkpoint (format {}), found format '{}'", path,
                              kCheckpointFormat, io::printable(format)));
  CheckpointInfo info{.verified = format == kCheckpointFormat || file.has_checksums(), .notes = {}};
  if (info.verified) file.verify();
  if (const std::string mine = fingerprint(), theirs = note("fingerprint"); mine != theirs)
    throw IoError(fmt::format(
        "{}: the checkpoint belongs to a run with other options or data; expected '{}', found '{}'", path,
        difference(mine, theirs), difference(theirs, mine)));
  if (info.verified)
    for (const auto& [name, sum] : data_checksums_)
      if (note(kDataPrefix + name) != sum)
        throw IoError(fmt::format(
            "{}: {}: expected the rows that the run began with, in their order, found others", path, name));
  for (const auto& [key, value] : file.metadata())
    if (key.starts_with(kNotePrefix)) info.notes[key.substr(std::strlen(kNotePrefix))] = value;
  const auto read = [&](const std::string& name) {
    const std::vector<int64_t> expected = {model_.parameters.size()};
    if (!file.contains(name) || file.shape(name) != expected)
      throw IoError(fmt::format("{}: expected a tensor '{}' of {} values", path, name, expected[0]));
    std::vector<float> numbers = file.read_float(name);
    if (const auto bad = detail::first_not_finite(numbers))
      throw IoError(fmt::format("{}: tensor '{}': entry {} is not finite", path, name, *bad));
    return numbers;
  };
  // Read everything before changing anything: errors leave the trainer unchanged.
  const std::vector<float> values = read("values"), best = read("best_values");
  std::vector<OptimizerState> states = optimizer_.state();
  std::vector<std::vector<float>> optimizer_values;
  optimizer_values.reserve(states.size());
  for (const OptimizerState& state : states) optimizer_values.push_back(read("optimizer." + state.name));
  const int64_t step = number<int64_t>(path, file, "step"),
                best_step = number<int64_t>(path, file, "best_step");
  const int64_t optimizer_steps = number<int64_t>(path, file, "optimizer_steps");
  const double best_score = number<double>(path, file, "best_score");
  const std::string best_by = note("best_by");
  std::map<std::string, std::vector<double>> objective;
  for (const std::string& name : file.names())
    if (name.starts_with(kObjectivePrefix))
      objective[name.substr(std::strlen(kObjectivePrefix))] = file.read_double(name);
  file.require_unchanged();
  const auto require = [&](bool sensible, const char* name, const auto& value, const std::string& expected) {
    if (!sensible) throw IoError(fmt::format("{}: {}: expected {}, found {}", path, name, expected, value));
  };
  require(step >= 0 && step <= options_.steps, "step", step, fmt::format("0 to {}", options_.steps));
  const bool closed_form = effective_method(options_).closed_form;  // updates nothing
  require(optimizer_steps == (closed_form ? 0 : step), "optimizer_steps", optimizer_steps,
          closed_form ? "0" : fmt::format("{}, the step", step));
  require(best_step >= -1 && best_step <= (has_validation() ? step : -1), "best_step", best_step,
          has_validation() ? fmt::format("-1 to {}", step) : "-1, as there are no validation pairs");
  require(best_step == -1 ? best_score == -1 : best_score >= 0 && best_score <= 1, "best_score", best_score,
          best_step == -1 ? "-1, as nothing was validated" : "a score from 0 to 1");
  require(best_by.empty() || best_by == kByRecall || best_by == kByReciprocalRank, "best_by",
          io::printable(best_by), fmt::format("{} or {}", kByRecall, kByReciprocalRank));

  try {
    objective_->restore(objective);
  } catch (const InvalidArgument& error) {
    throw IoError(fmt::format("{}: {}", path, error.what()));
  }
  model_.hubness.reset();
  context_->copy_to_device(model_.parameters.values(), values.data(), values.size() * sizeof(float));
  best_values_.upload(best.data());
  for (size_t i = 0; i < states.size(); ++i) states[i].values->upload(optimizer_values[i].data());
  optimizer_.set_steps(optimizer_steps);
  step_ = step, best_step_ = best_step, best_score_ = best_score;
  best_by_recall_ = best_by != kByReciprocalRank;
  return info;
}

}  // namespace sotalign
