// Pages in HTML for people: one file each, which needs no other file, no network and no script. They suit
// phones and screens, and follow the reader's choice of light or dark.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sotalign::app {

/// The beginning of a page, up to the open <main>. Its policy allows neither scripts nor other files.
/// @param title of the window and of the page, as text
/// @param introduction HTML below the title
std::string page_head(const std::string& title, const std::string& introduction);
/// Its end.
std::string page_end();

// The functions below return HTML. Arguments called `html` go in as they are; all others are text, which is
// escaped.

std::string paragraph(const std::string& text);

/// A part of the page with a heading that links to it.
/// @param id a word of letters and "-", different for each part
std::string page_section(const std::string& id, const std::string& heading, const std::string& html);

/// A plot with its heading and a caption that says in words what it shows.
/// @param svg a complete SVG document
std::string figure(const std::string& id, const std::string& heading, const std::string& svg,
                   const std::string& caption);
/// Figures next to each other where there is room.
std::string figures(const std::string& html);

/// Names and values, such as "seed" and "0".
using Facts = std::vector<std::pair<std::string, std::string>>;
std::string fact_list(const Facts& facts);

/// A row per line. Columns of numbers are aligned as such. A table that is wider than the screen
/// scrolls on its own.
struct HtmlTable {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows = {};
  int emphasized = -1;  ///< the row that matters most; -1: none
  /// Makes HTML of a cell; empty: cells are text, which is escaped.
  std::function<std::string(std::string_view)> format = nullptr;
};
std::string table(const HtmlTable& table);

/// Elements next to each other where there is room, each as wide as it needs.
std::string side_by_side(const std::string& html);

/// Text with its line breaks, in a fixed-width font.
std::string preformatted(const std::string& text);

/// A part that is closed until the reader opens it.
std::string closed(const std::string& summary, const std::string& html);

/// Times with bars: what a run spent its time on.
std::string time_list(const std::vector<std::pair<std::string, double>>& seconds);

}  // namespace sotalign::app
