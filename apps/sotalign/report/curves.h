// The curves of a run, as figures of its page.
#pragma once

#include <optional>
#include <string>

#include "run/metrics_table.h"
#include "sotalign/eval/retrieval.h"

namespace sotalign::app {

/// The loss, and each of its terms. Without a logged step: a sentence that says so.
std::string loss_figures(const MetricsTable& metrics, double divergence_weight);

/// Retrieval on validation pairs; empty if there was no validation.
/// @param model_step the step whose weights are the best so far
std::string validation_figures(const MetricsTable& metrics, const std::optional<RetrievalResult>& teacher,
                               int64_t model_step);

/// Marginal errors and iterations of the Sinkhorn solves; empty for methods that solve none.
/// @param tolerance of both solves; 0: none
std::string sinkhorn_figures(const MetricsTable& metrics, double tolerance);

}  // namespace sotalign::app
