#include "page/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <sstream>
#include <vector>

#include "page/page.h"
#include "plot/markup.h"

namespace sotalign::app {

namespace {

/// Text with `code` and **bold**. A mark without its partner stays as it is.
std::string inline_html(std::string_view text) {
  std::string html;
  while (!text.empty()) {
    const size_t at = std::min(text.find('`'), text.find("**"));
    if (at == std::string_view::npos) break;
    const std::string_view mark = text.substr(at, text[at] == '`' ? 1 : 2);
    const size_t end = text.find(mark, at + mark.size());
    if (end == std::string_view::npos) break;
    const char* tag = mark == "`" ? "code" : "b";
    const std::string_view inside = text.substr(at + mark.size(), end - at - mark.size());
    html += escaped(text.substr(0, at)) + fmt::format("<{0}>{1}</{0}>", tag, escaped(inside));
    text.remove_prefix(end + mark.size());
  }
  return html + escaped(text);
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  for (size_t first = 1; first < line.size();) {
    const size_t end = std::min(line.find('|', first), line.size());
    std::string cell = line.substr(first, end - first);
    const size_t begin = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
    cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, last - begin + 1));
    first = end + 1;
  }
  return cells;
}

/// "unpaired-rows-300-pairs" for the id of a section.
std::string id_of(const std::string& heading) {
  std::string id;
  for (const char c : heading) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain) id += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!plain && !id.empty() && id.back() != '-') id += '-';
  }
  return id;
}

class Converter {
 public:
  explicit Converter(const std::function<MarkdownPicture(const std::string&)>& picture) : picture_(picture) {}

  void add(const std::string& line) {
    if (line.starts_with("| ")) return table_.push_back(cells_of(line));
    close_table();
    if (line.starts_with("* ") || line.starts_with("  * ")) return item(line);
    close_lists(0);
    if (line.empty()) return close_paragraph();
    if (line.starts_with("# ")) return;  // the page has its own title
    if (line.starts_with("## ")) return heading(line.substr(3));
    if (line.starts_with("![")) return image(line);
    paragraph_ += (paragraph_.empty() ? "" : " ") + line;
  }

  std::string end() {
    heading("");
    return html_;
  }

 private:
  void heading(const std::string& text) {
    close_table();
    close_lists(0);
    close_paragraph();
    // Text before the first heading has no section.
    if (!section_.empty())
      html_ += heading_.empty() ? section_ : page_section(id_of(heading_), heading_, section_);
    section_.clear();
    heading_ = text;
  }

  void close_paragraph() {
    if (!paragraph_.empty()) section_ += "<p>" + inline_html(paragraph_) + "</p>\n";
    paragraph_.clear();
  }

  void item(const std::string& line) {
    close_paragraph();
    const size_t depth = line[0] == ' ' ? 2 : 1;
    close_lists(depth);
    while (lists_ < depth) section_ += "<ul>\n", ++lists_;
    section_ += "<li>" + inline_html(line.substr(2 * depth)) + "\n";  // HTML needs no </li>
  }
  void close_lists(size_t depth) {
    for (; lists_ > depth; --lists_) section_ += "</ul>\n";
  }

  void close_table() {
    if (table_.empty()) return;
    close_paragraph();
    HtmlTable html{.head = table_[0], .format = inline_html};
    for (size_t row = 2; row < table_.size(); ++row) html.rows.push_back(table_[row]);
    section_ += table(html);
    table_.clear();
  }

  /// ![words](file)
  void image(const std::string& line) {
    close_paragraph();
    const size_t middle = line.find("]("), end = line.rfind(')');
    if (middle == std::string::npos || end == std::string::npos || end < middle) return;
    const std::string file = line.substr(middle + 2, end - middle - 2), words = line.substr(2, middle - 2);
    const MarkdownPicture picture = picture_(file);
    if (!picture.svg.empty())
      section_ += figures(figure("plot-" + id_of(words), words, picture.svg, picture.caption));
  }

  const std::function<MarkdownPicture(const std::string&)>& picture_;
  std::string html_, heading_, section_, paragraph_;
  std::vector<std::vector<std::string>> table_;
  size_t lists_ = 0;  // open
};

}  // namespace

std::string markdown_html(const std::string& markdown,
                          const std::function<MarkdownPicture(const std::string& file)>& picture) {
  Converter converter(picture);
  std::istringstream lines(markdown);
  for (std::string line; std::getline(lines, line);) converter.add(line);
  return converter.end();
}

}  // namespace sotalign::app
