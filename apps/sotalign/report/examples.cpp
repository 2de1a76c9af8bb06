#include "report/examples.h"

#include <fmt/format.h>

#include <algorithm>

#include "page/page.h"
#include "plot/markup.h"
#include "run/experiment.h"
#include "sotalign/eval/top_k.h"

namespace sotalign::app {

namespace {

constexpr int64_t kQueries = 5, kBest = 5;

/// What a page can show of a row: its image, its caption, its number.
class Cards {
 public:
  explicit Cards(const ShownPairs& pairs) : pairs_(pairs) {}

  /// HTML for row `at` of the shown ones. An image without a thumbnail is shown by the caption of its text.
  std::string content(Side side, int64_t at) const {
    const int64_t row = row_of(at);
    if (side == Side::kY) return caption(row);
    const std::string image =
        pairs_.thumbnails.image(row, pairs_.captions.empty() ? number(side, at) : pairs_.captions[row]);
    return !image.empty() || pairs_.captions.empty() ? image : "its text: " + caption(row);
  }
  /// "image 7"
  std::string number(Side side, int64_t at) const {
    return fmt::format("{} {}", side == Side::kX ? "image" : "text", row_of(at));
  }

 private:
  int64_t row_of(int64_t at) const { return pairs_.rows[static_cast<size_t>(at)]; }
  std::string caption(int64_t row) const {
    return pairs_.captions.empty() ? "" : "<span dir=\"auto\">" + escaped(pairs_.captions[row]) + "</span>";
  }

  const ShownPairs& pairs_;
};

/// The queries of one side.
std::string examples_of(Context& context, const ShownPairs& pairs, Side side, const EmbeddedPairs& model,
                        const std::vector<int64_t>& ranks, const std::vector<int64_t>& teacher_ranks) {
  const Side other = side == Side::kX ? Side::kY : Side::kX;
  const HostMatrix &queries = side == Side::kX ? model.images : model.texts,
                   &gallery = side == Side::kX ? model.texts : model.images;
  const std::vector<int64_t> asked = evenly_spaced(kQueries, queries.rows());
  const int64_t k = std::min(kBest, gallery.rows());
  const TopKResult found =
      top_k(context, upload(context, take_rows(queries, asked)), upload(context, gallery), k);
  const Cards cards(pairs);
  std::string html = fmt::format("<h3>{}</h3>\n", side == Side::kX ? "Image to text" : "Text to image");
  for (size_t q = 0; q < asked.size(); ++q) {
    const int64_t query = asked[q];
    const auto at = static_cast<size_t>(query);
    const std::string content = cards.content(side, query);
    html += fmt::format(
        "<div class=\"query\"><b>{}</b> {}\n<p class=\"row\">The right {} is at rank {} of {}; for "
        "the "
        "teacher, at rank {}.</p>\n<ol class=\"cards\">\n",
        cards.number(side, query), content, side == Side::kX ? "text" : "image", ranks[at], gallery.rows(),
        teacher_ranks[at]);
    for (int64_t rank = 0; rank < k; ++rank) {
      const auto entry = q * static_cast<size_t>(k) + static_cast<size_t>(rank);
      const int64_t row = found.indices[entry];
      if (row < 0) continue;  // no further finite scores
      const bool right = row == query;
      const std::string card = cards.content(other, row);
      html += fmt::format("<li{}>{}<p class=\"row\">{}{:.3f}, {}</p></li>\n", right ? " class=\"right\"" : "",
                          card.empty() ? "" : "<div>" + card + "</div>", right ? "<b>right</b>, " : "",
                          found.scores[entry], cards.number(other, row));
    }
    html += "</ol></div>\n";
  }
  return html;
}

}  // namespace

EmbeddedPairs embed_pairs(Context& context, const Model& model, Projection projection,
                          const ShownPairs& pairs) {
  const auto on_host = [&](Side side, const std::string& name, const HostMatrix& rows) {
    const Matrix<float> embedded = embed(context, model, side, projection, name, rows);
    return HostMatrix(embedded.download(), embedded.rows(), embedded.cols());
  };
  return {.images = on_host(Side::kX, pairs.images_name, pairs.images),
          .texts = on_host(Side::kY, pairs.texts_name, pairs.texts)};
}

std::string retrieval_examples(Context& context, const ShownPairs& pairs, const EmbeddedPairs& model,
                               const EmbeddedPairs& teacher) {
  const auto ranks_of = [&](const EmbeddedPairs& rows) {
    return retrieval_ranks(context, upload(context, rows.images), upload(context, rows.texts));
  };
  const RetrievalRanks ranks = ranks_of(model), of_teacher = ranks_of(teacher);
  return examples_of(context, pairs, Side::kY, model, ranks.text_to_image, of_teacher.text_to_image) +
         examples_of(context, pairs, Side::kX, model, ranks.image_to_text, of_teacher.image_to_text);
}

}  // namespace sotalign::app
