// Pieces of pages: everything that comes from outside is escaped, and Markdown becomes what it means.
#include "apps/sotalign/page/page.h"

#include <gtest/gtest.h>

#include "apps/sotalign/page/markdown.h"
#include "support/svg.h"
#include "support/temporary_directory.h"

namespace sotalign::app {
namespace program_page_test {

using namespace sotalign::testing;

constexpr const char* kHostile = "<script>alert('x')</script> & \"more\"";

TEST(Page, EscapesText) {
  const std::string html = page_head(kHostile, paragraph(kHostile)) +
                           page_section("a", kHostile, fact_list({{kHostile, kHostile}})) +
                           figure("f", kHostile, "", kHostile) +
                           table({.head = {kHostile}, .rows = {{kHostile}}}) +
                           closed(kHostile, preformatted(kHostile)) + time_list({{kHostile, 1}}) + page_end();
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("\"more\""), std::string::npos);
  EXPECT_CONTAINS(html, "&lt;script&gt;alert(&apos;x&apos;)&lt;/script&gt; &amp; &quot;more&quot;");
}

TEST(Page, AllowsNeitherScriptsNorOtherFiles) {
  const std::string head = page_head("t", "");
  EXPECT_CONTAINS(head, "default-src 'none'; img-src data:; style-src 'unsafe-inline'");
  for (const char* word : {"http:", "https:", "@import", "url(", "src=", "<link", "<script"})
    EXPECT_EQ(head.find(word), std::string::npos) << word;
}

TEST(Page, ColumnsOfNumbersAreAlignedAsNumbers) {
  const std::string html =
      table({.head = {"name", "figure", "mixed"},
             .rows = {{"a", "1.5 +- 0.1", "all"}, {"b", "**-3**", "200"}, {"c", "-", ""}}});
  const std::vector<Element> elements = parse(html);
  std::vector<std::string> numbers;
  for (const Element& e : elements)
    if (e.attributes.contains("class") && e.attributes.at("class") == "number") numbers.push_back(e.text);
  EXPECT_EQ(numbers, (std::vector<std::string>{"figure", "1.5 +- 0.1", "**-3**", "-"}));
}

TEST(Page, TimesHaveBarsInProportion) {
  const std::vector<Element> elements = parse(time_list({{"a", 4}, {"b", 1}, {"c", 0}, {"d", 90}}));
  std::vector<std::string> bars, spans;
  for (const Element& e : elements) {
    if (e.name == "i") bars.push_back(e.attributes.at("style"));
    if (e.name == "span") spans.push_back(e.text);
  }
  EXPECT_EQ(bars, (std::vector<std::string>{"width:4.4%", "width:1.1%", "width:0.0%", "width:100.0%"}));
  EXPECT_EQ(spans, (std::vector<std::string>{"a", "4.00 s", "b", "1.00 s", "c", "0.00 s", "d", "1:30"}));
}

TEST(Markdown, BecomesSections) {
  const std::string html = markdown_html(R"(# Title

## First <part>

Words that go
on, with `co<de` and **bold**.
* one
  * below **it**
* two

| a | b |
| --- | --- |
| x `y` | **2** |
| - | 3 |
## Second

![A picture](p.svg)
![Missing](q.svg)

**open and `open
)",
                                         [](const std::string& file) -> MarkdownPicture {
                                           if (file != "p.svg") return {};
                                           return {.svg = "<svg></svg>\n", .caption = "It <shows>."};
                                         });
  EXPECT_EQ(html, R"(<section id="first-part-">
<h2><a href="#first-part-">First &lt;part&gt;</a></h2>
<p>Words that go on, with <code>co&lt;de</code> and <b>bold</b>.</p>
<ul>
<li>one
<ul>
<li>below <b>it</b>
</ul>
<li>two
</ul>
<div class="wide"><table>
<thead><tr><th>a</th><th class="number">b</th></tr></thead>
<tbody>
<tr><td>x <code>y</code></td><td class="number"><b>2</b></td></tr>
<tr><td>-</td><td class="number">3</td></tr>
</tbody>
</table></div>
</section>
<section id="second">
<h2><a href="#second">Second</a></h2>
<div class="figures">
<figure id="plot-a-picture">
<h3>A picture</h3>
<svg></svg>
<figcaption>It &lt;shows&gt;.</figcaption>
</figure>
</div>
<p>**open and `open</p>
</section>
)");
}

TEST(Markdown, TextBeforeTheFirstHeadingStays) {
  EXPECT_CONTAINS(markdown_html("Only words.", [](const std::string&) { return MarkdownPicture(); }),
                  "<p>Only words.</p>");
}

}  // namespace program_page_test
}  // namespace sotalign::app
