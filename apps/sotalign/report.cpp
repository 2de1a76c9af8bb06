#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace sotalign::app {

using Json = nlohmann::ordered_json;

Json to_json(const SinkhornResult& result) {
  return {{"iterations", result.iterations},
          {"row_error", result.row_error},
          {"column_error", result.column_error},
          {"marginal_error", result.marginal_error},
          {"status", to_string(result.status)}};
}

namespace {
Json to_json(const RecallAtK& recall) {
  return {{"r1", recall.r1},
          {"r5", recall.r5},
          {"r10", recall.r10},
          {"median_rank", recall.median_rank},
          {"queries", recall.queries}};
}
}  // namespace

Json to_json(const RetrievalResult& result) {
  return {{"image_to_text", to_json(result.image_to_text)},
          {"text_to_image", to_json(result.text_to_image)},
          {"mean_r1", result.mean_r1}};
}

Json to_json(const ZeroShotResult& result) {
  Json classes = Json::array();
  for (const ClassAccuracy& own : result.classes)
    classes.push_back({{"id", own.id}, {"images", own.images}, {"top1", own.top1}, {"top5", own.top5}});
  return {{"top1", result.top1},
          {"top5", result.top5},
          {"mean_class_top1", result.mean_class_top1},
          {"images", result.images},
          {"classes", classes}};
}

Json to_json(const StepMetrics& metrics) {
  Json json = {{"step", metrics.step}, {"loss", metrics.loss}, {"siglip", metrics.siglip}};
  if (metrics.divergence) {
    json[to_string(metrics.divergence->kind)] = metrics.divergence->value;
    if (const std::optional<KlotResult>& klot = metrics.divergence->klot) {
      json["student"] = to_json(klot->student);
      json["teacher"] = to_json(klot->teacher);
    }
  }
  json["learning_rate"] = metrics.learning_rate;
  json["logit_scale"] = metrics.logit_scale;
  json["logit_bias"] = metrics.logit_bias;
  return json;
}

std::string duration(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string retrieval_table(const std::vector<RetrievalRow>& rows) {
  size_t width = 8;
  for (const RetrievalRow& row : rows) width = std::max(width, row.name.size());
  const bool timed =
      std::any_of(rows.begin(), rows.end(), [](const RetrievalRow& row) { return row.seconds >= 0; });
  std::string text = fmt::format("  {:{}}  {:^29}  {:>21}\n", "", width, "image to text", "text to image");
  const char* recalls = "   R@1   R@5  R@10  median";
  text += fmt::format("  {:{}}  {:>29}  {:>29}  MeanR@1{}\n", "", width, recalls, recalls,
                      timed ? "     time" : "");
  for (const auto& [name, result, seconds] : rows) {
    const auto cells = [](const RecallAtK& r) {
      return fmt::format("   {:6.1f}{:6.1f}{:6.1f}{:8.1f}", 100 * r.r1, 100 * r.r5, 100 * r.r10,
                         r.median_rank);
    };
    text += fmt::format("  {:{}}  {}  {}  {:7.1f}", name, width, cells(result.image_to_text),
                        cells(result.text_to_image), 100 * result.mean_r1);
    if (seconds >= 0) text += fmt::format("{:>9}", duration(seconds));
    text += '\n';
  }
  return text;
}

std::string describe(const Teacher& teacher, const TeacherOptions& options) {
  const std::vector<double>& c = teacher.correlations;
  const double mean =
      std::accumulate(c.begin(), c.end(), 0.0) / std::max<double>(1.0, static_cast<double>(c.size()));
  const bool cca = teacher.kind == TeacherKind::kCca;
  return fmt::format("{}, {} dimensions{}, {} {:.3f} at most, {:.3f} on average", to_string(teacher.kind),
                     teacher.dim(), cca ? fmt::format(", ridge {}", options.ridge) : "",
                     cca ? "correlations" : "singular values", c.empty() ? 0.0 : c.front(), mean);
}

}  // namespace sotalign::app
