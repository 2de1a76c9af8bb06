// The page of a search. Captions may contain anything, so they are escaped, and the page's policy allows
// neither scripts nor other files.
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "cli/files.h"
#include "data/hits.h"
#include "plot/markup.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

constexpr size_t kMostThumbnail = size_t{1} << 20;

constexpr const char* kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ --page: #fff; --text: #1b1b1f; --soft: #5d5d66; --card: #f3f3f6; --line: #dcdce2; --mark: #3454d1; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --page: #131316; --text: #ececf1; --soft: #a3a3ad; --card: #202026; --line: #36363e; --mark: #9db0ff; }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; max-width: 80rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.3rem; margin: 0; }}
header p, .row {{ color: var(--soft); font-size: .85rem; margin: .3rem 0 0; }}
section {{ border-top: 1px solid var(--line); margin-top: 1.2rem; padding-top: .8rem; }}
h2 {{ font-size: 1.05rem; margin: 0 0 .6rem; }}
h2 a {{ color: var(--mark); text-decoration: none; }}
ol {{ display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); list-style: none;
  margin: 0; padding: 0; }}
li {{ background: var(--card); border-radius: .5rem; padding: .5rem .6rem; }}
img {{ border-radius: .3rem; display: block; height: 8rem; margin-bottom: .4rem; object-fit: contain; width: 100%; }}
</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>Queries: {queries}. Gallery: {gallery}. Score: {scores}.</p>
</header>
<main>
)";

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63];
  }
  return text;
}

/// The image element of a row; empty without a file.
std::string image_of(const std::string& folder, int64_t row, const std::string& caption) {
  constexpr std::array<std::pair<const char*, const char*>, 6> kTypes = {{{"jpg", "image/jpeg"},
                                                                          {"jpeg", "image/jpeg"},
                                                                          {"png", "image/png"},
                                                                          {"webp", "image/webp"},
                                                                          {"gif", "image/gif"},
                                                                          {"svg", "image/svg+xml"}}};
  for (const auto& [extension, type] : kTypes) {
    const std::string path = fmt::format("{}/{}.{}", folder, row, extension);
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) continue;
    const std::string bytes = read_beginning(path, kMostThumbnail + 1);
    if (bytes.size() > kMostThumbnail)
      throw IoError(
          fmt::format("{}: expected a thumbnail of at most {} KiB, found more", path, kMostThumbnail >> 10));
    return fmt::format("<img alt=\"{}\" src=\"data:{};base64,{}\">", escaped(caption), type, base64(bytes));
  }
  return "";
}

}  // namespace

void write_page(Output& output, const Hits& hits, const std::string& thumbnails) {
  const std::string title = fmt::format("Top {} of {} rows for {} {}", hits.found.k, hits.gallery,
                                        hits.queries, hits.queries == 1 ? "query" : "queries");
  output.write(fmt::format(fmt::runtime(kHead), fmt::arg("title", title),
                           fmt::arg("queries", escaped(hits.queries_name)),
                           fmt::arg("gallery", escaped(hits.gallery_name)), fmt::arg("scores", hits.scores)));
  for (int64_t query = 0; query < hits.queries; ++query) {
    const std::string asked = hits.query_captions.empty()
                                  ? ""
                                  : " <span dir=\"auto\">" + escaped(hits.query_captions[query]) + "</span>";
    output.write(
        fmt::format("<section id=\"q{0}\">\n<h2><a href=\"#q{0}\">{0}</a>{1}</h2>\n<ol>\n", query, asked));
    for (int64_t rank = 0; rank < hits.found.k; ++rank) {
      const int64_t row = hits.row(query, rank);
      const std::string caption = hits.captions.empty() ? "" : hits.captions[row];
      std::string card;
      if (!thumbnails.empty())
        card = image_of(thumbnails, row, caption.empty() ? fmt::format("row {}", row) : caption);
      if (!caption.empty()) card += fmt::format("<div dir=\"auto\">{}</div>", escaped(caption));
      output.write(fmt::format("<li>{}<p class=\"row\">{:.3f}, row {}</p></li>\n", card,
                               hits.score(query, rank), row));
    }
    output.write("</ol>\n</section>\n");
  }
  output.write("</main>\n</body>\n</html>\n");
}

}  // namespace sotalign::app
