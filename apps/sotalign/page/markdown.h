// The part of Markdown that reports of this program use, as HTML for a page.
#pragma once

#include <functional>
#include <string>

namespace sotalign::app {

struct MarkdownPicture {
  std::string svg, caption;
};

/// Headings become the headings of sections, tables and images those of a page. Understands headings (# and
/// ##), paragraphs, lists ("* ", and "  * " below), tables whose cells hold no "|", **bold**, `code` and
/// images on lines of their own; everything else is text, which is escaped.
/// @param picture gives an image by its file name; one without a document leaves it out
std::string markdown_html(const std::string& markdown,
                          const std::function<MarkdownPicture(const std::string& file)>& picture);

}  // namespace sotalign::app
