#include "report/curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "page/page.h"
#include "plot/svg_plot.h"
#include "report/thinned.h"
#include "sotalign/loss/divergence.h"

namespace sotalign::app {

namespace {

using Curve = MetricsTable::Curve;

constexpr size_t kMostMarked = 30;  // points of a series that has markers

PlotSeries series_of(const std::string& name, const Curve& whole, double factor = 1) {
  Curve curve = thinned(whole);
  for (double& value : curve.values) value *= factor;
  const bool marked = curve.steps.size() <= kMostMarked;
  return {.name = name, .x = std::move(curve.steps), .y = std::move(curve.values), .marked = marked};
}

/// Steps are whole numbers, and so are their labels.
std::vector<PlotTick> step_ticks(const std::vector<PlotSeries>& series) {
  std::vector<double> steps;
  for (const PlotSeries& s : series) steps.insert(steps.end(), s.x.begin(), s.x.end());
  std::vector<PlotTick> ticks;
  for (const PlotTick& tick : Axis(PlotScale::kLinear, steps).ticks())
    if (const double whole = std::round(tick.x); std::abs(tick.x - whole) < 1e-6)
      ticks.push_back({whole, short_number(whole)});
  return ticks;
}

std::string plot(const std::string& title, const std::string& y_label, const std::vector<PlotSeries>& series,
                 PlotScale y_scale = PlotScale::kLinear) {
  return line_plot({.title = title,
                    .x_label = "step",
                    .y_label = y_label,
                    .y_scale = y_scale,
                    .x_ticks = step_ticks(series),
                    .size = kPagePlot,
                    .draws_title = false},
                   series);
}

/// Columns of steps that are not terms of the loss.
bool is_term(const std::string& column) {
  constexpr std::array<const char*, 7> kOthers = {"step",        "loss",       "siglip", "learning_rate",
                                                  "logit_scale", "logit_bias", "seconds"};
  if (std::find(kOthers.begin(), kOthers.end(), column) != kOthers.end()) return false;
  for (const char* nested : {"student_", "teacher_", "validation_"})
    if (column.starts_with(nested)) return false;
  return true;
}

}  // namespace

std::string loss_figures(const MetricsTable& metrics, double divergence_weight) {
  const Curve loss = metrics.curve("loss");
  if (loss.steps.empty()) return paragraph("No step has been logged.");
  std::string html = figure("loss", "Loss", plot("Loss by step", "loss", {series_of("", loss)}),
                            "What training minimizes, measured on the batch of each logged step before its "
                            "update. Lower is better, but only the validation pairs show whether retrieval "
                            "improves.");
  std::string terms;
  const std::vector<std::string> divergences = divergence_names();
  for (const std::string& column : metrics.columns()) {
    const Curve term = is_term(column) ? metrics.curve(column) : Curve();
    if (term.steps.empty()) continue;
    const bool divergence = std::find(divergences.begin(), divergences.end(), column) != divergences.end();
    const std::string title = divergence ? find_divergence(column).title : column;
    terms += figure("term-" + column, title, plot(title + " by step", title, {series_of("", term)}),
                    divergence
                        ? fmt::format("The divergence between the teacher's and the student's affinities of "
                                      "unpaired rows; 0: they agree. It enters the loss times {}.",
                                      divergence_weight)
                        : "A term of the loss, without its weight.");
  }
  // Without other terms, SigLIP is the loss.
  if (const Curve siglip = metrics.curve("siglip"); !siglip.steps.empty() && !terms.empty())
    html += figure("siglip", "SigLIP", plot("SigLIP by step", "SigLIP", {series_of("", siglip)}),
                   "The part of the loss that pulls the known pairs together and pushes all other "
                   "combinations in the batch apart.");
  html += terms;
  return figures(html);
}

std::string validation_figures(const MetricsTable& metrics, const std::optional<RetrievalResult>& teacher,
                               int64_t model_step) {
  const auto curves = [&](const char* column, const std::optional<double>& of_teacher) {
    const Curve curve = metrics.curve(column);
    std::vector<PlotSeries> series;
    if (curve.steps.empty()) return series;
    series.push_back(series_of("model", curve, 100));
    series.back().emphasized = true;
    if (of_teacher)
      series.push_back({.name = "teacher",
                        .x = {0, curve.steps.back()},
                        .y = {100 * *of_teacher, 100 * *of_teacher},
                        .marked = false});
    return series;
  };
  std::optional<double> teacher_rank, teacher_recall;
  if (teacher) teacher_rank = teacher->mean_reciprocal_rank, teacher_recall = teacher->mean_r1;
  const auto rank = curves("validation_mean_reciprocal_rank", teacher_rank),
             recall = curves("validation_mean_r1", teacher_recall);
  std::string html;
  if (!rank.empty())
    html += figure("validation-mrr", "Validation: MRR",
                   plot("Mean reciprocal rank on validation pairs by step", "MRR, percent", rank),
                   fmt::format("The mean of 1/rank of the right row, over both directions. The model kept is "
                               "the one with the highest MRR so far, that of step {}{}.",
                               model_step, model_step == 0 ? ", before the first update" : ""));
  if (!recall.empty())
    html += figure("validation-recall", "Validation: MeanR@1",
                   plot("MeanR@1 on validation pairs by step", "MeanR@1, percent", recall),
                   "How often the right row comes first, the mean of both directions.");
  return figures(html);
}

std::string sinkhorn_figures(const MetricsTable& metrics, double tolerance) {
  const auto both = [&](const char* value) {
    std::vector<PlotSeries> series;
    for (const char* side : {"student", "teacher"})
      if (const Curve curve = metrics.curve(fmt::format("{}_{}", side, value)); !curve.steps.empty())
        series.push_back(series_of(fmt::format("{}'s plan", side), curve));
    return series;
  };
  const std::vector<PlotSeries> errors = both("marginal_error"), iterations = both("iterations");
  if (errors.empty()) return "";
  const std::string goal =
      tolerance > 0 ? fmt::format("A solve stops at {:g}", tolerance) : std::string("No tolerance was set");
  return figures(
      figure("sinkhorn-error", "Marginal error",
             plot("Marginal error of the transport plans by step", "L1 error", errors, PlotScale::kLog),
             fmt::format("How far rows and columns of the transport plans are from their prescribed sums, on "
                         "a logarithmic scale. {} or at the most iterations allowed.",
                         goal)) +
      figure("sinkhorn-iterations", "Sinkhorn iterations",
             plot("Sinkhorn iterations by step", "iterations", iterations),
             "How many iterations each solve took. A line at the most allowed means that solves ended before "
             "they reached the tolerance."));
}

}  // namespace sotalign::app
