// Chooses the form of a solve, and describes it in one line.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/sinkhorn_on_chip.h"
#include "ot/epsilon_stages.h"
#include "ot/sinkhorn_solver.h"

namespace sotalign::detail {

namespace {

/// Computing a density costs about two log-domain iterations; each later iteration saves half of one.
constexpr int64_t kWorthDensity = 6;

std::string describe(const kernels::ScalingMapping& m) {
  if (m.reads == 2)
    return fmt::format(
        "two reads per iteration, because registers cannot hold so many columns; {} chunks of rows",
        m.chunks);
  if (m.threads == 0)
    return fmt::format(
        "one read per iteration, in groups of {} rows, two of which fit into a second-level cache; "
        "{} chunks of rows, one per thread at a time",
        m.rows_at_once, m.chunks);
  return fmt::format(
      "one read per iteration by {} blocks of {} threads, {} columns per thread in registers; "
      "a barrier every {} rows, with {} KiB in flight",
      m.chunks, m.threads, m.columns, m.rows_at_once, m.ahead_bytes / 1024);
}

}  // namespace

int64_t SinkhornSolver::iterations(int64_t problem) const {
  const SolveOptions& o = options(problem).solve;
  return o.iterations - descent(o);
}

bool SinkhornSolver::scaling_form(int64_t problem) const {
  const SinkhornForm form = options(problem).solve.form;
  return form == SinkhornForm::kScaling ||
         (form == SinkhornForm::kAuto && iterations(problem) >= kWorthDensity);
}

int64_t SinkhornSolver::density_bytes(int64_t rows, int64_t cols) {
  return kernels::density_bytes(1, rows, cols, kernels::DensityType::kFloat);
}

int64_t SinkhornSolver::density_bytes(Group group) const {
  return ragged() ? ragged_->density_bytes : group.count * density_bytes(rows_, cols_);
}

std::string SinkhornSolver::describe() const {
  const Group first = group_from(0);
  if (first.count == batch()) return describe(first);
  std::vector<std::string> lines;
  for (Group group = first;; group = group_from(group.first + group.count)) {
    lines.push_back(fmt::format("problem {}: {}", group.first, describe(group)));
    if (group.first + group.count == batch()) return fmt::format("{}", fmt::join(lines, "; "));
  }
}

std::string SinkhornSolver::describe(Group group) const {
  const SolveOptions& o = options(group.first).solve;
  const bool chosen = o.form != SinkhornForm::kAuto;
  if (!scaling_form(group.first))
    return fmt::format("log domain ({}): one read and one exponential per entry in each iteration",
                       chosen ? "chosen" : "too few iterations to repay a density");
  const bool ladder = o.storage == SinkhornStorage::kLadder;
  const kernels::SinkhornScaling scaling{
      .problems = problems(group),
      .type = ladder ? kernels::DensityType::kBfloat16 : kernels::DensityType::kFloat};
  const kernels::OnChipMapping chip =
      sinkhorn_on_chip_mapping(context_->queue(), {.problems = scaling.problems});
  const std::string iterations =
      on_chip(group)
          ? fmt::format(
                "on chip, all iterations in one launch; {} blocks share a problem, each with up to {} KiB "
                "of its density in shared memory",
                chip.blocks, (chip.shared_bytes + 1023) / 1024)
          : detail::describe(sinkhorn_scaling_mapping(context_->queue(), scaling));
  return fmt::format("scaling form ({}), {} density in {:.1f} MiB: {}",
                     chosen ? "chosen" : fmt::format("up to {} iterations repay a density", o.iterations),
                     ladder ? "bfloat16, then float" : "float",
                     static_cast<double>(density_bytes(group)) / (1 << 20), iterations);
}

}  // namespace sotalign::detail
