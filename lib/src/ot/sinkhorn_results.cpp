// Results of a solve: potentials and marginal errors, and a check that they mean anything.
#include <fmt/format.h>

#include <cmath>

#include "ot/sinkhorn_solver.h"
#include "sotalign/core/error.h"

namespace sotalign::detail {

namespace {

/// An exponent K_ij / epsilon + u_i + v_j is a sum in single precision, and its largest term decides the
/// rounding. At 2^24, adjacent floats are 2 apart: the exponent is off by up to 1, the entry of the plan by a
/// factor of up to e. Beyond that, a plan says nothing about its affinity, and soon all entries are 0 or
/// infinite. If |K| / epsilon is within the limit, then the potentials, with the mean of v subtracted as in
/// the kernels, are at most twice the limit. A few entries of K may be far below it (-1e30 forbids a match):
/// potentials stay small as long as every row and column of positive weight has other entries.
constexpr double kLargestAffinity = 0x1p24, kLargestPotential = 2 * kLargestAffinity;

void check_potentials(const std::string& affinity, const char* of, const std::vector<double>& potentials,
                      double shift, const std::vector<double>& log_weights) {
  for (size_t i = 0; i < potentials.size(); ++i) {
    const double size = std::abs(potentials[i] + shift);
    if (std::isinf(log_weights[i]) || size <= kLargestPotential) continue;
    throw NumericalError(fmt::format(
        "{}: expected |K| / epsilon up to {:.2g}, which single precision resolves to 1, found {} for {} "
        "{}; use a larger epsilon, or weight 0 for the {}",
        affinity, kLargestAffinity,
        std::isnan(size) ? "potentials that are not finite" : fmt::format("{:.2g}", size), of, i, of));
  }
}

double mean_of_finite(const std::vector<double>& values) {
  double sum = 0, count = 0;
  for (const double value : values)
    if (std::isfinite(value)) sum += value, ++count;
  return count > 0 ? sum / count : 0.0;
}

}  // namespace

std::vector<double> SinkhornSolver::download(const Buffer<double>& values, int64_t first,
                                             int64_t count) const {
  std::vector<double> host(static_cast<size_t>(count));
  context_->copy_to_host(host.data(), values.data() + first, host.size() * sizeof(double));
  return host;
}

std::vector<double> SinkhornSolver::row_potentials(int64_t problem) const {
  return download(u_, problem * rows_, shape(problem).rows);
}

std::vector<double> SinkhornSolver::column_potentials(int64_t problem) const {
  return download(v_, problem * cols_, shape(problem).cols);
}

std::vector<SinkhornResult> SinkhornSolver::results() const {
  std::vector<std::string> names(options_.size(), "affinity");
  for (size_t b = 0; b < names.size() && names.size() > 1; ++b) names[b] += fmt::format(" of problem {}", b);
  return results(names);
}

std::vector<SinkhornResult> SinkhornSolver::results(const std::vector<std::string>& names) const {
  std::vector<kernels::SinkhornState> states(options_.size());
  context_->copy_to_host(states.data(), states_.data(), static_cast<size_t>(states_.size()));
  std::vector<SinkhornResult> results;
  for (const kernels::SinkhornState& state : states) {
    const int64_t problem = static_cast<int64_t>(results.size());
    const auto [rows, cols] = shape(problem);
    const std::vector<double> u = row_potentials(problem), v = column_potentials(problem);
    const double shift = mean_of_finite(v);
    check_potentials(names[results.size()], "row", u, shift, download(log_a_, problem * rows_, rows));
    check_potentials(names[results.size()], "column", v, -shift, download(log_b_, problem * cols_, cols));
    SinkhornResult r{.iterations = state.iterations,
                     .row_error = state.row_error,
                     .column_error = state.column_error,
                     .marginal_error = state.row_error + state.column_error};
    const double tolerance = options(problem).solve.tolerance;
    // The solve stopped on the error of its own sums. The status depends on the reported error, that of the
    // plan.
    if (tolerance > 0)
      r.status = r.marginal_error <= tolerance    ? SinkhornStatus::kConverged
                 : state.stalled || !state.active ? SinkhornStatus::kStalled
                                                  : SinkhornStatus::kIterationLimit;
    results.push_back(r);
  }
  return results;
}

}  // namespace sotalign::detail
