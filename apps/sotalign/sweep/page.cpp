#include "sweep/page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/json.h"
#include "report/parts.h"
#include "sotalign/version.h"
#include "sweep/plan.h"

namespace sotalign::app {

namespace {

Facts plan_facts(const SweepPage& page) {
  Facts facts = page.facts;
  for (const Json& text : page.options.at("vary")) facts.emplace_back("varied", text.get<std::string>());
  for (const Json& text : page.options.at("range")) facts.emplace_back("drawn from", text.get<std::string>());
  if (const Json& draws = page.options.at("random"); draws != 0)
    facts.emplace_back("draws",
                       fmt::format("{}, seed {}", draws.dump(), page.options.at("sweep_seed").dump()));
  return facts;
}

std::string plot_and_choice(const SweepPage& page, const SweepResult& best) {
  const bool joined = page.options.at("random") == 0;
  return figures(figure("sweep", "MeanR@1 on the validation pairs",
                        sweep_plot(page.results, joined, kPagePlot),
                        "The share of queries whose right row comes first, the mean of both directions, in "
                        "percent. Where several runs share a place, the best one is shown.")) +
         paragraph(fmt::format("Selected: {}, step {}.", settings_text(best.settings), best.step));
}

}  // namespace

std::string sweep_page(const SweepPage& page) {
  std::string html = page_head(
      fmt::format("Sweep of {}", fmt::join(page.results.keys(), ", ")),
      paragraph(fmt::format("{} of {} runs, sotalign {}.", page.results.size(), page.planned, version())));
  html +=
      page_section("plan", "Plan",
                   paragraph("Each run trains one model, which is measured on the validation pairs. The run "
                             "with the highest mean reciprocal rank (MRR) is selected.") +
                       fact_list(plan_facts(page)));
  if (const SweepResult* best = page.results.best(); best != nullptr)
    html += page_section("plot", "Results", plot_and_choice(page, *best));
  if (page.test_model.image_to_text.queries > 0)
    html += page_section(
        "test", "Test pairs",
        paragraph(fmt::format("{} pairs, measured once, on the selected model.", page.test_pairs)) +
            retrieval_comparison(page.test_teacher, page.test_model));
  html += page_section("runs", "Runs",
                       paragraph("Figures on the validation pairs, in percent; the best run first.") +
                           table(page.results.page_table()));
  html += page_section("options", "Configuration",
                       closed("All options, as in sweep.json", fact_list(option_facts(page.options))));
  return html + page_end();
}

}  // namespace sotalign::app
