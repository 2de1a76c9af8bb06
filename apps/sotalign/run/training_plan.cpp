#include "run/training_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/duration.h"
#include "cli/files.h"
#include "cli/report.h"
#include "data/inputs.h"
#include "data/shards.h"
#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"
#include "sotalign/train/plan.h"
#include "sotalign/train/step_time.h"

namespace sotalign::app {

namespace {

using Json = nlohmann::ordered_json;

std::string readable(int64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  if (mib < 1) return fmt::format("{:.1f} KiB", 1024 * mib);
  return mib < 1024 ? fmt::format("{:.1f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

std::string readable_seconds(double seconds) {
  return seconds < 1 ? fmt::format("{:.3g} ms", 1e3 * seconds) : fmt::format("{:.3g} s", seconds);
}

/// What a run reads, opened.
class OpenFiles {
 public:
  explicit OpenFiles(const DataPaths& paths) {
    data_.pair_images = open(paths.pairs_images);
    data_.pair_texts = open(paths.pairs_texts);
    data_.images = open_unpaired(paths.images, paths.pairs_images, data_.pair_images.cols);
    data_.texts = open_unpaired(paths.texts, paths.pairs_texts, data_.pair_texts.cols);
    data_.validation_images = open(paths.val_images);
    data_.validation_texts = open(paths.val_texts);
    require_both({paths.val_images, "val_images"}, {paths.val_texts, "val_texts"});
    require_pairs(paths.pairs_images, data_.pair_images.rows, paths.pairs_texts, data_.pair_texts.rows);
    require_pairs(paths.val_images, data_.validation_images.rows, paths.val_texts,
                  data_.validation_texts.rows);
    require_cols(paths.val_images, data_.validation_images, paths.pairs_images, data_.pair_images);
    require_cols(paths.val_texts, data_.validation_texts, paths.pairs_texts, data_.pair_texts);
  }

  /// Shapes without values; unpaired rows are in their files.
  const TrainingData& data() const { return data_; }
  /// Bytes of the pairs that become float32 on the host; files of float32 are mapped.
  int64_t host_bytes() const { return host_bytes_; }

 private:
  static void require_cols(const std::string& path, ConstMatrixF rows, const std::string& like_path,
                           ConstMatrixF like) {
    if (rows.rows > 0) app::require_cols(path, rows.cols, like_path, like.cols);
  }

  static EmbeddingRows open_unpaired(const std::vector<std::string>& paths, const std::string& like_path,
                                     int64_t like) {
    return paths.empty() ? EmbeddingRows() : EmbeddingRows(open_shards(shards(paths), like_path, like));
  }

  ConstMatrixF open(const std::string& path) {
    if (path.empty()) return {};
    const MatrixRows file = open_rows(path);
    if (file.type() != ElementType::kFloat32)
      host_bytes_ += file.rows() * file.cols() * static_cast<int64_t>(sizeof(float));
    return {nullptr, file.rows(), file.cols()};
  }

  TrainingData data_;
  int64_t host_bytes_ = 0;
};

const char* to_string(BufferLife life) {
  switch (life) {
    case BufferLife::kRows:
      return "rows";
    case BufferLife::kRun:
      return "run";
    case BufferLife::kTeacher:
      return "teacher";
    case BufferLife::kScratch:
      return "scratch";
  }
  return "";
}

class Report {
 public:
  Report(Context& context, const TrainConfig& config)
      : context_(context),
        config_(config),
        files_(config.data),
        plan_(naming_pairs(config.data.pairs_images, config.data.pairs_texts,
                           [&] { return plan_training(context, files_.data(), config.train); })) {
    // On the CPU, rows on the host and the context's memory are the same memory.
    on_cpu_ = context.device().kind == DeviceKind::kCpu;
    total_ = plan_.peak_bytes() + (on_cpu_ ? files_.host_bytes() : 0);
    fits_ = plan_.available_bytes < 0 || total_ <= plan_.available_bytes;
    try {
      time_ = predict_step_time(context, plan_);
    } catch (const InvalidArgument& error) {
      no_time_ = error.what();
    } catch (const OutOfMemory& error) {
      no_time_ = error.what();
    }
  }

  Json json() const {
    Json buffers = Json::array();
    for (const PlannedBuffer& buffer : plan_.buffers)
      buffers.push_back({{"name", buffer.name},
                         {"shape", buffer.shape},
                         {"bytes", buffer.bytes},
                         {"life", to_string(buffer.life)}});
    const StepShape& s = plan_.step;
    Json result = {{"device", sotalign::to_string(context_.device())},
                   {"threads", context_.threads()},
                   {"buffers", buffers},
                   {"kept_bytes", plan_.kept_bytes()},
                   {"teacher_bytes", plan_.bytes(BufferLife::kTeacher)},
                   {"scratch_bytes", plan_.bytes(BufferLife::kScratch)},
                   {"peak_bytes", plan_.peak_bytes()},
                   {"host_bytes", files_.host_bytes()},
                   {"total_bytes", total_},
                   {"available_bytes", plan_.available_bytes},
                   {"fits", fits_},
                   {"step",
                    {{"pairs", s.pairs},
                     {"unpaired_images", s.unpaired_images},
                     {"unpaired_texts", s.unpaired_texts},
                     {"dim", s.dim},
                     {"teacher_dim_at_most", s.teacher_dim},
                     {"parameters", s.parameters}}}};
    result["row_memory"] = plan_.row_memory.reason;
    if (plan_.affinity_memory) result["affinity_memory"] = plan_.affinity_memory->reason;
    result["time"] = time_ ? time_json() : Json{{"unknown", no_time_}};
    return result;
  }

  void print() const {
    print_memory();
    if (time_)
      print_time();
    else
      fmt::print("step      {}\n", no_time_);
  }

 private:
  Json time_json() const {
    Json parts = Json::array();
    for (const StepPart& part : time_->parts)
      parts.push_back({{"name", part.name}, {"seconds", part.seconds}, {"how", part.how}});
    const auto with = [&](StepIterations iterations) -> Json {
      return {{"student_iterations", iterations.student},
              {"teacher_iterations", iterations.teacher},
              {"seconds", time_->seconds(iterations)}};
    };
    return {{"parts", parts},
            {"seconds_per_iteration", time_->seconds_per_iteration},
            {"iteration_bytes", time_->iteration_bytes},
            {"typical", with(time_->typical)},
            {"most", with(time_->most)}};
  }

  static void line(const std::string& name, const std::string& shape, int64_t bytes) {
    fmt::print("  {:46} {:>19} {:>12}\n", name, shape, readable(bytes));
  }

  void print_memory() const {
    fmt::print("memory    of {}\n", describe_device(context_, config_.machine));
    for (const PlannedBuffer& buffer : plan_.buffers)
      if (buffer.life == BufferLife::kRows || buffer.life == BufferLife::kRun)
        line(buffer.name, buffer.shape, buffer.bytes);
    line("kept during the run", "", plan_.kept_bytes());
    line("scratch of a step, estimated", "", plan_.bytes(BufferLife::kScratch));
    line("or, before it, scratch of the teacher's fit", "", plan_.bytes(BufferLife::kTeacher));
    if (on_cpu_ && files_.host_bytes() > 0)
      line("pairs from files that are not float32", "", files_.host_bytes());
    line("most at a time", "", total_);
    if (!on_cpu_) {
      line("on the host: pairs from files that are not float32", "", files_.host_bytes());
      fmt::print("  cuBLAS and cuSOLVER take several hundred MiB of the device besides\n");
    }
    if (plan_.step.images + plan_.step.texts > 0) fmt::print("unpaired  rows {}\n", plan_.row_memory.reason);
    if (plan_.affinity_memory) fmt::print("klot      affinities {}\n", plan_.affinity_memory->reason);
    if (plan_.available_bytes < 0)
      fmt::print("fits      not known: the available memory is not\n");
    else
      fmt::print("fits      {}: {} of {} available\n", fits_ ? "yes" : "no", readable(total_),
                 readable(plan_.available_bytes));
  }

  void print_time() const {
    const StepTime& time = *time_;
    fmt::print("step      {} pairs, {} unpaired images, {} unpaired texts; rates measured now\n",
               plan_.step.pairs, plan_.step.unpaired_images, plan_.step.unpaired_texts);
    const auto line = [](const std::string& name, double seconds, const std::string& how) {
      fmt::print("  {:27} {:>9}  {}\n", name, readable_seconds(seconds), how);
    };
    for (const StepPart& part : time.parts) line(part.name, part.seconds, part.how);
    if (plan_.has_klot)
      line("a Sinkhorn iteration", time.seconds_per_iteration,
           time.iteration_bytes > 0
               ? fmt::format("{} at {:.3g} GB/s", readable(static_cast<int64_t>(time.iteration_bytes)),
                             1e-9 * time.iteration_bytes / time.seconds_per_iteration)
               : "with the products of both affinities");
    const auto total = [&](const char* name, StepIterations iterations) {
      const double seconds = time.seconds(iterations);
      line(name, seconds,
           fmt::format("{}{} steps {}",
                       plan_.has_klot ? fmt::format("{} + {} iterations of student and teacher; ",
                                                    iterations.student, iterations.teacher)
                                      : "",
                       plan_.options.steps, duration(seconds * static_cast<double>(plan_.options.steps))));
    };
    total(plan_.has_klot ? "a step, typically" : "a step", time.typical);
    if (plan_.has_klot) total("a step at the limit", time.most);
    fmt::print("not included: reading files, the teacher's fit, validation, checkpoints\n");
  }

  Context& context_;
  const TrainConfig& config_;
  const OpenFiles files_;
  const TrainingPlan plan_;
  bool on_cpu_ = true, fits_ = true;
  int64_t total_ = 0;
  std::optional<StepTime> time_;
  std::string no_time_;
};

}  // namespace

void print_training_plan(const TrainConfig& config, const std::string& json) {
  Context context = make_training_context(config.machine);
  const Report report(context, config);
  if (!json.empty()) write_json(json, report.json());
  if (json != "-" && !config.machine.quiet) report.print();
}

}  // namespace sotalign::app
