#include "report/train_page.h"

#include <fmt/format.h>

#include <functional>

#include "cli/json.h"
#include "report/curves.h"
#include "report/parts.h"
#include "report/space_figures.h"
#include "sotalign/core/error.h"
#include "sotalign/version.h"

namespace sotalign::app {

namespace {

/// What `make` returns, or why it could not.
std::string unless_impossible(const std::function<std::string()>& make) {
  try {
    return make();
  } catch (const NumericalError& error) {
    return paragraph(fmt::format("Not shown: {}", error.what()));
  } catch (const OutOfMemory& error) {
    return paragraph(fmt::format("Not shown: {}", error.what()));
  }
}

}  // namespace

std::string train_page(Context& context, const Trainer& trainer, const TrainPage& page) {
  const TrainOptions& options = trainer.options();
  const bool stopped = !trainer.finished();
  std::string html = page_head(
      "Training run: " + page.name,
      paragraph(fmt::format("{}{} of {} steps, sotalign {}.", stopped ? "Stopped after " : "Complete: ",
                            trainer.steps_done(), options.steps, version())));

  std::string result;
  if (page.teacher && page.model)
    result = paragraph(fmt::format("Retrieval on {} validation pairs; {}.", page.pairs.total, page.origin)) +
             retrieval_comparison(*page.teacher, *page.model);
  else if (!stopped)
    result = paragraph("There are no validation pairs, so no figure says how well the model retrieves.");
  if (stopped)
    result +=
        paragraph("The run was stopped and can be continued with --resume. This page shows it up to then.");
  html += page_section("result", "Result", result + fact_list(page.facts));

  html += page_section("curves", "Training",
                       loss_figures(page.metrics, options.divergence_weight) +
                           validation_figures(page.metrics, page.teacher, trainer.best_step()));
  if (const std::string figures = sinkhorn_figures(page.metrics, options.divergence.student.tolerance);
      !figures.empty())
    html += page_section("sinkhorn", "Optimal transport", figures);

  const std::string shown = paragraph(fmt::format(
      "Of {}{}.", page.pairs.describe(),
      page.pairs.validation ? "" : ", which the model was trained on: new pairs will look less good"));
  html += unless_impossible([&] {
    const EmbeddedPairs teacher = embed_pairs(context, trainer.model(), Projection::kTeacher, page.pairs),
                        model = embed_pairs(context, trainer.model(), Projection::kHeads, page.pairs);
    return page_section("similarity", "Similarity of true and random pairs",
                        shown + similarity_figures(teacher, model)) +
           page_section("projection", "The spaces, projected onto a plane",
                        projection_figures(context, page.pairs, trainer.model(), model)) +
           page_section("examples", "Retrieval examples",
                        shown +
                            paragraph("Queries are evenly spaced among these pairs, not chosen by their "
                                      "result. Each card has the cosine to its query.") +
                            retrieval_examples(context, page.pairs, model, teacher));
  });
  html += page_section("time", "Time",
                       paragraph("What this process spent its time on; if the run was resumed, earlier "
                                 "processes are not included.") +
                           time_list(page.phases.seconds()));
  html += page_section("options", "Configuration",
                       closed("All options, as in config.json", fact_list(option_facts(page.options))));
  return html + page_end();
}

}  // namespace sotalign::app
