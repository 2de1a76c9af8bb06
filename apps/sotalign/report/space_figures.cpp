#include "report/space_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "page/page.h"
#include "plot/histogram.h"
#include "plot/scatter.h"
#include "report/principal_plane.h"
#include "report/similarities.h"
#include "run/experiment.h"
#include "sotalign/nn/preprocess.h"

namespace sotalign::app {

namespace {

constexpr int64_t kBins = 40;
constexpr int64_t kMostPoints = 150, kJoined = 12;  // pairs

std::string similarity_figure(const char* id, const std::string& heading, const Bins& bins,
                              const Similarities& cosines) {
  std::string caption = fmt::format("The mean cosine of true pairs is {:.2f}", mean(cosines.true_pairs));
  caption += cosines.random_pairs.empty()
                 ? "."
                 : fmt::format(
                       ", of random pairs {:.2f}. A true pair is more similar than a random one in "
                       "{:.1f} % of the cases. The less the two overlap, the better.",
                       mean(cosines.random_pairs), 100 * cosines.separation());
  return figure(
      id, heading,
      histogram_plot({.title = heading + ": cosines of true and random pairs",
                      .x_label = "cosine of image and text",
                      .y_label = "percent of pairs",
                      .size = kPagePlot,
                      .draws_title = false},
                     bins, {{"true pairs", cosines.true_pairs}, {"random pairs", cosines.random_pairs}}),
      caption);
}

/// Both sides on a plane, with lines that join a few pairs.
std::string plane_plot(const std::string& title, const PrincipalPlane& images, const PrincipalPlane& texts,
                       const ShownPairs& pairs, const std::vector<int64_t>& shown) {
  std::vector<std::string> image_titles, text_titles;
  for (const int64_t at : shown) {
    const int64_t row = pairs.rows[static_cast<size_t>(at)];
    image_titles.push_back(fmt::format("image {}", row));
    text_titles.push_back(pairs.captions.empty() ? fmt::format("text {}", row)
                                                 : fmt::format("text {}: {}", row, pairs.captions[row]));
  }
  std::vector<ScatterLine> lines;
  for (const int64_t at : evenly_spaced(kJoined, static_cast<int64_t>(shown.size()))) {
    const auto i = static_cast<size_t>(at);
    lines.push_back({images.x[i], images.y[i], texts.x[i], texts.y[i]});
  }
  return scatter_plot(
      {.title = title,
       .x_label = "first principal component",
       .y_label = "second",
       .size = kPagePlot,
       .draws_title = false},
      {{"images", images.x, images.y, image_titles}, {"texts", texts.x, texts.y, text_titles}}, lines,
      "a true pair");
}

HostMatrix preprocessed(Context& context, const Preprocessing& preprocessing, const HostMatrix& rows) {
  Matrix<float> x(context, rows.data(), rows.rows(), rows.cols(), "rows of a picture");
  preprocess(context, preprocessing, x.view(), x.view());
  return {x.download(), rows.rows(), rows.cols()};
}

HostMatrix stacked(const HostMatrix& a, const HostMatrix& b) {
  std::vector<float> values(a.data(), a.data() + a.view().size());
  values.insert(values.end(), b.data(), b.data() + b.view().size());
  return {std::move(values), a.rows() + b.rows(), a.cols()};
}

PrincipalPlane part(const PrincipalPlane& plane, size_t first, size_t count) {
  const auto cut = [&](const std::vector<double>& values) {
    const auto begin = values.begin() + static_cast<ptrdiff_t>(first);
    return std::vector<double>(begin, begin + static_cast<ptrdiff_t>(count));
  };
  return {.x = cut(plane.x), .y = cut(plane.y), .share = plane.share};
}

}  // namespace

std::string similarity_figures(const EmbeddedPairs& teacher, const EmbeddedPairs& model) {
  const Similarities before = similarities(teacher.images.view(), teacher.texts.view()),
                     after = similarities(model.images.view(), model.texts.view());
  // The same bins for both, so that the figures compare.
  double low = 1, high = -1;
  for (const Similarities* cosines : {&before, &after})
    for (const std::vector<double>* values : {&cosines->true_pairs, &cosines->random_pairs})
      for (const double value : *values)
        if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
  if (!(low <= high)) return paragraph("No cosine is finite.");
  const Bins bins{.low = std::floor(10 * low) / 10, .high = std::floor(10 * high) / 10 + 0.1, .count = kBins};
  return figures(similarity_figure("similarity-teacher", "The linear teacher", bins, before) +
                 similarity_figure("similarity-model", "The model", bins, after));
}

std::string projection_figures(Context& context, const ShownPairs& pairs, const Model& model,
                               const EmbeddedPairs& embedded) {
  const std::vector<int64_t> shown = evenly_spaced(kMostPoints, pairs.images.rows());
  const auto own = [&](const Preprocessing& preprocessing, const HostMatrix& rows) {
    return principal_plane(context, preprocessed(context, preprocessing, take_rows(rows, shown)).view());
  };
  const PrincipalPlane images = own(model.image_preprocessing, pairs.images),
                       texts = own(model.text_preprocessing, pairs.texts);
  const PrincipalPlane both = principal_plane(
      context, stacked(take_rows(embedded.images, shown), take_rows(embedded.texts, shown)).view());
  const std::string before = "Before: the encoders' own spaces", after = "After: the shared space";
  return figures(
      figure("projection-before", before,
             plane_plot("Principal components of the encoders' embeddings", images, texts, pairs, shown),
             fmt::format("Each side along its own two principal components, which hold {:.0f} % (images) and "
                         "{:.0f} % (texts) of the variance. The two spaces have no axes in common, so the "
                         "places of a pair say nothing about each other.",
                         100 * images.share, 100 * texts.share)) +
      figure("projection-after", after,
             plane_plot("Principal components of the shared space", part(both, 0, shown.size()),
                        part(both, shown.size(), shown.size()), pairs, shown),
             fmt::format("Both sides along the same two principal components, which hold {:.0f} % of the "
                         "variance. Short lines: true pairs are near each other, as far as a plane can show.",
                         100 * both.share)));
}

}  // namespace sotalign::app
