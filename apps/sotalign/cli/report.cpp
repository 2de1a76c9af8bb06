#include "cli/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "cli/duration.h"
#include "cli/json.h"
#include "cli/json_reader.h"

namespace sotalign::app {

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
          {"mean_reciprocal_rank", recall.mean_reciprocal_rank},
          {"queries", recall.queries}};
}

/// Files of sotalign 0.1 have none.
double reciprocal_rank_of_json(const JsonReader& reader) {
  constexpr const char* kKey = "mean_reciprocal_rank";
  return reader.has(kKey) ? reader.number(kKey, 0, 1) : 0;
}

RecallAtK recall_of_json(const Json& json, const std::string& where) {
  const JsonReader reader(json, where, {"r1", "r5", "r10", "median_rank", "mean_reciprocal_rank", "queries"});
  const auto recall = [&](const char* key) { return reader.number(key, 0, 1); };
  constexpr double kMostRows = 0x1p40;
  return {.r1 = recall("r1"),
          .r5 = recall("r5"),
          .r10 = recall("r10"),
          .median_rank = reader.number("median_rank", 0, kMostRows),
          .queries = reader.count("queries", 0),
          .mean_reciprocal_rank = reciprocal_rank_of_json(reader)};
}
}  // namespace

Json to_json(const RetrievalResult& result) {
  return {{"image_to_text", to_json(result.image_to_text)},
          {"text_to_image", to_json(result.text_to_image)},
          {"mean_r1", result.mean_r1},
          {"mean_reciprocal_rank", result.mean_reciprocal_rank}};
}

RetrievalResult retrieval_of_json(const Json& json, const std::string& where) {
  const JsonReader reader(json, where, {"image_to_text", "text_to_image", "mean_r1", "mean_reciprocal_rank"});
  const auto recall = [&](const char* key) { return recall_of_json(reader.at(key), reader.where(key)); };
  return {.image_to_text = recall("image_to_text"),
          .text_to_image = recall("text_to_image"),
          .mean_r1 = reader.number("mean_r1", 0, 1),
          .mean_reciprocal_rank = reciprocal_rank_of_json(reader)};
}

Json to_json(const RetrievalIntervals& intervals, const BootstrapOptions& options) {
  const auto interval = [](const Interval& i) { return Json{i.low, i.high}; };
  const auto direction = [&](const RecallIntervals& all) {
    return Json{{"r1", interval(all.r1)},
                {"r5", interval(all.r5)},
                {"r10", interval(all.r10)},
                {"mean_reciprocal_rank", interval(all.mean_reciprocal_rank)}};
  };
  return {{"image_to_text", direction(intervals.image_to_text)},
          {"text_to_image", direction(intervals.text_to_image)},
          {"mean_r1", interval(intervals.mean_r1)},
          {"mean_reciprocal_rank", interval(intervals.mean_reciprocal_rank)},
          {"level", options.level},
          {"items", intervals.items},
          {"resamples", options.resamples},
          {"seed", options.seed}};
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
  Json json = {{"step", metrics.step}, {"loss", metrics.loss}};
  if (metrics.siglip) json["siglip"] = *metrics.siglip;
  if (metrics.divergence) {
    json[metrics.divergence->name] = metrics.divergence->value;
    if (const std::optional<KlotResult>& klot = metrics.divergence->klot) {
      json["student"] = to_json(klot->student);
      json["teacher"] = to_json(klot->teacher);
    }
  }
  for (const TermValue& term : metrics.terms) json[term.name] = term.value;
  json["learning_rate"] = metrics.learning_rate;
  json["logit_scale"] = metrics.logit_scale;
  json["logit_bias"] = metrics.logit_bias;
  return json;
}

namespace {
/// A line of retrieval_table(): recalls of both directions, MeanR@1 and MRR, as fractions.
struct TableLine {
  std::string name;
  std::array<double, 8> figures;
  std::array<std::string, 2> medians = {};
};

TableLine figures_line(const RetrievalRow& row) {
  const auto& [i, t, mean_r1, mean_reciprocal_rank] = row.result;
  TableLine line{row.name, {i.r1, i.r5, i.r10, t.r1, t.r5, t.r10, mean_r1, mean_reciprocal_rank}};
  if (row.kind == RetrievalRow::Kind::kFigures)
    line.medians = {fmt::format("{:.1f}", i.median_rank), fmt::format("{:.1f}", t.median_rank)};
  return line;
}

TableLine interval_line(const std::string& name, const RetrievalIntervals& all, double Interval::*end) {
  const RecallIntervals &i = all.image_to_text, &t = all.text_to_image;
  return {name,
          {i.r1.*end, i.r5.*end, i.r10.*end, t.r1.*end, t.r5.*end, t.r10.*end, all.mean_r1.*end,
           all.mean_reciprocal_rank.*end}};
}

std::string text_of(const TableLine& line, size_t width, RetrievalRow::Kind kind) {
  const std::string sign = kind == RetrievalRow::Kind::kDifferences ? "+" : "-";
  const auto number = [&](double value, int columns, int decimals) {
    return fmt::format(fmt::runtime("{:" + sign + "{}.{}f}"), value, columns, decimals);
  };
  std::string text = fmt::format("  {:{}}", line.name, width);
  for (const size_t side : {0, 1}) {
    text += "     ";
    for (const size_t k : {0, 1, 2}) text += number(100 * line.figures[3 * side + k], 6, 1);
    text += fmt::format("{:>8}", line.medians[side]);
  }
  return text + "  " + number(100 * line.figures[6], 7, 1) + "  " + number(line.figures[7], 5, 3);
}
}  // namespace

std::string retrieval_table(const std::vector<RetrievalRow>& rows) {
  const std::string from = "  95 % from", to = "         to";
  size_t width = 8;
  for (const RetrievalRow& row : rows)
    width = std::max({width, row.name.size(), row.intervals ? from.size() : 0});
  const bool timed =
      std::any_of(rows.begin(), rows.end(), [](const RetrievalRow& row) { return row.seconds >= 0; });
  std::string text = fmt::format("  {:{}}  {:^29}  {:>21}\n", "", width, "image to text", "text to image");
  const char* recalls = "   R@1   R@5  R@10  median";
  text += fmt::format("  {:{}}  {:>29}  {:>29}  MeanR@1    MRR{}\n", "", width, recalls, recalls,
                      timed ? "     time" : "");
  for (const RetrievalRow& row : rows) {
    text += text_of(figures_line(row), width, row.kind);
    if (row.seconds >= 0) text += fmt::format("{:>9}", duration(row.seconds));
    text += '\n';
    if (!row.intervals) continue;
    text += text_of(interval_line(from, *row.intervals, &Interval::low), width, row.kind) + '\n';
    text += text_of(interval_line(to, *row.intervals, &Interval::high), width, row.kind) + '\n';
  }
  return text;
}

Json to_json(const TeacherSearch& search, const TeacherOptions& asked) {
  const auto numbers = [](const TeacherOptions& options) {
    const auto number = [](const auto& value) { return value ? Json(*value) : Json("auto"); };
    return Json{{"ridge", number(options.ridge)},
                {"teacher_dim", number(options.dim)},
                {"correlation_power", number(options.correlation_power)}};
  };
  Json candidates = Json::array();
  for (const TeacherCandidate& c : search.candidates)
    candidates.push_back({{"ridge", c.ridge},
                          {"teacher_dim", c.dim},
                          {"correlation_power", c.correlation_power},
                          {"mean_r1", c.mean_r1},
                          {"mean_reciprocal_rank", c.mean_reciprocal_rank}});
  return {{"asked", numbers(asked)},     {"chosen", numbers(search.chosen)}, {"folds", search.folds},
          {"left_out", search.left_out}, {"reason", search.reason},          {"candidates", candidates}};
}

Json to_json(const TeacherChoice& choice) {
  Json trials = Json::array();
  for (const TeacherTrial& trial : choice.trials) {
    Json entry = {{"teacher", to_string(trial.kind)}, {"ridge", trial.ridge}};
    if (trial.kind == TeacherKind::kSelfTraining) entry["passes"] = trial.passes;
    entry["mean_reciprocal_rank"] = trial.mean_reciprocal_rank;
    trials.push_back(entry);
  }
  Json json = {{"teacher", to_string(choice.options.kind)}, {"ridge", *choice.options.ridge}};
  if (choice.options.kind == TeacherKind::kSelfTraining) json["passes"] = choice.self_training.passes;
  json["reason"] = choice.reason;
  json["candidates"] = trials;
  return json;
}

std::string search_table(const TeacherSearch& search) {
  std::string text = "chosen    " + search.reason;
  if (search.candidates.empty()) return text;
  text +=
      fmt::format("\n  {:>9}  {:>10}  {:>5}  {:>7}  {:>5}", "ridge", "dimensions", "power", "MeanR@1", "MRR");
  // Candidates with the same ridge are adjacent.
  const std::vector<TeacherCandidate>& all = search.candidates;
  for (auto first = all.begin(); first != all.end();) {
    const auto last = std::find_if(first, all.end(), [&](const auto& c) { return c.ridge != first->ridge; });
    const auto is_chosen = [&](const TeacherCandidate& c) {
      return c.ridge == search.chosen.ridge && c.dim == search.chosen.dim &&
             c.correlation_power == search.chosen.correlation_power;
    };
    auto best = std::find_if(first, last, is_chosen);
    const bool chosen = best != last;
    if (!chosen)
      best = std::max_element(first, last, [](const auto& l, const auto& r) {
        return std::pair(l.mean_reciprocal_rank, l.mean_r1) < std::pair(r.mean_reciprocal_rank, r.mean_r1);
      });
    text += fmt::format("\n  {:>9}  {:>10}  {:>5}  {:>7.1f}  {:>5.3f}{}", best->ridge,
                        best->dim == 0 ? "all" : fmt::format("{}", best->dim), best->correlation_power,
                        100 * best->mean_r1, best->mean_reciprocal_rank, chosen ? "  chosen" : "");
    first = last;
  }
  return text;
}

std::string describe(const TrainOptions& o) {
  const MethodInfo &asked = find_method(o.method), &method = effective_method(o);
  std::string text = method.title;
  if (method.name != asked.name) text += fmt::format(" ({} without divergence)", asked.title);
  return method.describe ? fmt::format("{}, {}", text, method.describe(o)) : text;
}

std::string describe(const Teacher& teacher, const TeacherOptions& options) {
  if (teacher.kind == TeacherKind::kContrastive)
    return fmt::format("contrastive, {} dimensions, {} steps at learning rate {}", teacher.dim(),
                       options.contrastive.steps, options.contrastive.learning_rate);
  const std::vector<double>& c = teacher.correlations;
  const double mean =
      std::accumulate(c.begin(), c.end(), 0.0) / std::max<double>(1.0, static_cast<double>(c.size()));
  const bool cca = teacher.kind == TeacherKind::kCca;
  return fmt::format("{}, {} dimensions{}, {} {:.3f} at most, {:.3f} on average", to_string(options.kind),
                     teacher.dim(), cca ? fmt::format(", ridge {}", options.ridge.value()) : "",
                     cca ? "correlations" : "singular values", c.empty() ? 0.0 : c.front(), mean);
}

}  // namespace sotalign::app
