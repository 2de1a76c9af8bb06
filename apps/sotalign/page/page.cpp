#include "page/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "cli/duration.h"
#include "plot/markup.h"

namespace sotalign::app {

namespace {

constexpr const char* kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{introduction}</header>
<main>
)";

constexpr const char* kStyle =
    R"(:root { --page: #fff; --text: #1b1b1f; --soft: #5d5d66; --card: #f3f3f6; --line: #dcdce2; --mark: #3454d1; }
@media (prefers-color-scheme: dark) {
  :root { --page: #131316; --text: #ececf1; --soft: #a3a3ad; --card: #202026; --line: #36363e; --mark: #9db0ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; background: var(--page); color: var(--text);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; margin: 0; }
h3 { font-size: .95rem; margin: 0; }
section > h3 { margin-top: 1.4rem; }
p { margin: .5rem 0; max-width: 46rem; }
header p, .row, figcaption { color: var(--soft); font-size: .85rem; margin: .3rem 0 0; }
section { border-top: 1px solid var(--line); margin-top: 1.2rem; padding-top: .8rem; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
h2 a { color: var(--mark); text-decoration: none; }
.cards { display: grid; gap: .6rem; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); list-style: none;
  margin: 0; padding: 0; }
.cards li { background: var(--card); border-radius: .5rem; padding: .5rem .6rem; }
.cards .right { outline: 2px solid var(--mark); }
.right b { color: var(--mark); font-weight: 600; }
.query { margin: 1.4rem 0 0; }
.query > img { max-width: 9.5rem; }
.query .row { margin-bottom: .5rem; }
img { background: #fff; border-radius: .3rem; display: block; height: 8rem; margin-bottom: .4rem;
  object-fit: contain; width: 100%; }
.figures { display: grid; gap: 1.4rem 1.6rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr));
  margin: .8rem 0; }
figure { margin: 0; max-width: 34rem; }
svg { display: block; fill: var(--soft); height: auto; width: 100%; }
.beside { align-items: start; display: flex; flex-wrap: wrap; gap: 0 3rem; }
.wide { margin: .8rem 0; max-width: 100%; overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); overflow-wrap: normal; padding: .3rem .9rem .3rem 0; text-align: left;
  vertical-align: top; }
.long { min-width: 12rem; }
td:first-child:not(.number) { min-width: 7rem; }
th { color: var(--soft); font-weight: 600; }
.number { text-align: right; white-space: nowrap; }
tr.best td { font-weight: 600; }
dl { display: grid; gap: .25rem 1rem; grid-template-columns: minmax(6rem, max-content) 1fr; margin: .6rem 0; }
dt { color: var(--soft); }
dd { margin: 0; }
summary { cursor: pointer; }
code { font-size: .9em; }
pre { font-size: .8rem; white-space: pre-wrap; }
ul { margin: .5rem 0; max-width: 46rem; padding-left: 1.2rem; }
.times { align-items: center; display: grid; gap: .3rem .8rem; grid-template-columns: max-content max-content 1fr;
  max-width: 34rem; }
.times i { background: var(--mark); border-radius: .2rem; display: block; height: .8rem; min-width: 1px; }
)";

bool is_number(const std::string& cell) {
  const size_t sign = cell.find_first_not_of("+-*");  // ** is bold in a report
  return sign == std::string::npos ? cell == "-" : std::isdigit(static_cast<unsigned char>(cell[sign])) != 0;
}

}  // namespace

std::string page_head(const std::string& title, const std::string& introduction) {
  return fmt::format(fmt::runtime(kHead), fmt::arg("title", escaped(title)), fmt::arg("style", kStyle),
                     fmt::arg("introduction", introduction));
}

std::string page_end() { return "</main>\n</body>\n</html>\n"; }

std::string paragraph(const std::string& text) { return fmt::format("<p>{}</p>\n", escaped(text)); }

std::string page_section(const std::string& id, const std::string& heading, const std::string& html) {
  return fmt::format("<section id=\"{0}\">\n<h2><a href=\"#{0}\">{1}</a></h2>\n{2}</section>\n", id,
                     escaped(heading), html);
}

std::string figure(const std::string& id, const std::string& heading, const std::string& svg,
                   const std::string& caption) {
  const std::string words =
      caption.empty() ? "" : fmt::format("<figcaption>{}</figcaption>\n", escaped(caption));
  return fmt::format("<figure id=\"{}\">\n<h3>{}</h3>\n{}{}</figure>\n", id, escaped(heading), svg, words);
}

std::string figures(const std::string& html) {
  return html.empty() ? "" : "<div class=\"figures\">\n" + html + "</div>\n";
}

std::string fact_list(const Facts& facts) {
  std::string html = "<dl>\n";
  for (const auto& [name, value] : facts)
    html += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(name), escaped(value));
  return html + "</dl>\n";
}

std::string table(const HtmlTable& table) {
  std::vector<bool> numbers(table.head.size(), !table.rows.empty());
  for (const auto& row : table.rows)
    for (size_t i = 0; i < std::min(row.size(), numbers.size()); ++i)
      if (!is_number(row[i]) && !row[i].empty()) numbers[i] = false;
  const auto cell = [&](const char* tag, size_t column, const std::string& text) {
    // A long text gets a width of its own, lest its column becomes a ribbon.
    const bool number = column < numbers.size() && numbers[column];
    const char* css = number ? " class=\"number\"" : text.size() > 40 ? " class=\"long\"" : "";
    return fmt::format("<{0}{1}>{2}</{0}>", tag, css, table.format ? table.format(text) : escaped(text));
  };
  std::string html = "<div class=\"wide\"><table>\n<thead><tr>";
  for (size_t i = 0; i < table.head.size(); ++i) html += cell("th", i, table.head[i]);
  html += "</tr></thead>\n<tbody>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    html += static_cast<int>(r) == table.emphasized ? "<tr class=\"best\">" : "<tr>";
    for (size_t i = 0; i < table.rows[r].size(); ++i) html += cell("td", i, table.rows[r][i]);
    html += "</tr>\n";
  }
  return html + "</tbody>\n</table></div>\n";
}

std::string side_by_side(const std::string& html) { return "<div class=\"beside\">\n" + html + "</div>\n"; }

std::string preformatted(const std::string& text) {
  std::string html = "<pre>";
  for (size_t first = 0; first < text.size();) {
    const size_t end = std::min(text.find('\n', first), text.size());
    html += escaped(text.substr(first, end - first)) + '\n';
    first = end + 1;
  }
  return html + "</pre>\n";
}

std::string closed(const std::string& summary, const std::string& html) {
  return fmt::format("<details>\n<summary>{}</summary>\n{}</details>\n", escaped(summary), html);
}

std::string time_list(const std::vector<std::pair<std::string, double>>& seconds) {
  double most = 0;
  for (const auto& [name, time] : seconds) most = std::max(most, time);
  std::string html = "<div class=\"times\">\n";
  for (const auto& [name, time] : seconds)
    html += fmt::format("<span>{}</span><span class=\"number\">{}</span><i style=\"width:{:.1f}%\"></i>\n",
                        escaped(name), time < 10 ? fmt::format("{:.2f} s", time) : duration(time),
                        most > 0 ? 100 * time / most : 0.0);
  return html + "</div>\n";
}

}  // namespace sotalign::app
