// The page of a search. Captions may contain anything, so they are escaped.
#include <fmt/format.h>

#include <string>

#include "data/hits.h"
#include "page/page.h"
#include "plot/markup.h"

namespace sotalign::app {

void write_page(Output& output, const Hits& hits, const Thumbnails& thumbnails) {
  const std::string title = fmt::format("Top {} of {} rows for {} {}", hits.found.k, hits.gallery,
                                        hits.queries, hits.queries == 1 ? "query" : "queries");
  output.write(page_head(title, paragraph(fmt::format("Queries: {}. Gallery: {}. Score: {}.",
                                                      hits.queries_name, hits.gallery_name, hits.scores))));
  for (int64_t query = 0; query < hits.queries; ++query) {
    const std::string asked = hits.query_captions.empty()
                                  ? ""
                                  : " <span dir=\"auto\">" + escaped(hits.query_captions[query]) + "</span>";
    output.write(
        fmt::format("<section id=\"q{0}\">\n<h2><a href=\"#q{0}\">{0}</a>{1}</h2>\n<ol class=\"cards\">\n",
                    query, asked));
    for (int64_t rank = 0; rank < hits.found.k; ++rank) {
      const int64_t row = hits.row(query, rank);
      const std::string caption = hits.captions.empty() ? "" : hits.captions[row];
      std::string card = thumbnails.image(row, caption.empty() ? fmt::format("row {}", row) : caption);
      if (!caption.empty()) card += fmt::format("<div dir=\"auto\">{}</div>", escaped(caption));
      output.write(fmt::format("<li>{}<p class=\"row\">{:.3f}, row {}</p></li>\n", card,
                               hits.score(query, rank), row));
    }
    output.write("</ol>\n</section>\n");
  }
  output.write(page_end());
}

}  // namespace sotalign::app
