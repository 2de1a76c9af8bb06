// The page of a study: study.md with its plots in place.
#include <algorithm>

#include "page/markdown.h"
#include "page/page.h"
#include "sotalign/version.h"
#include "study/report.h"

namespace sotalign::app {

std::string study_page(const std::string& name, const std::string& markdown,
                       const std::vector<StudyPlot>& plots, const nlohmann::ordered_json& plan) {
  const auto picture = [&](const std::string& file) {
    const auto plot = std::find_if(plots.begin(), plots.end(), [&](const auto& p) { return p.file == file; });
    return plot == plots.end() ? MarkdownPicture() : MarkdownPicture{plot->svg, plot->caption};
  };
  return page_head("Study: " + name, paragraph(std::string("sotalign ") + version() + ".")) +
         markdown_html(markdown, picture) +
         page_section("plan", "Plan", closed("plan.json", preformatted(plan.dump(2)))) + page_end();
}

}  // namespace sotalign::app
