// Ragged batches: each problem has its own shape, and its affinity may be anywhere in memory.
#include "ot/sinkhorn_solver.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/problem_chunks.h"
#include "sotalign/core/error.h"

namespace sotalign::detail {

namespace {
SinkhornShape largest_of(const std::vector<SinkhornShape>& shapes) {
  if (shapes.empty()) throw InvalidArgument("shapes: expected one for each problem, found none");
  SinkhornShape largest;
  for (size_t b = 0; b < shapes.size(); ++b) {
    const auto [rows, cols] = shapes[b];
    if (rows < 1 || cols < 1)
      throw InvalidArgument(fmt::format(
          "shapes: expected at least one row and column, found [{}, {}] for problem {}", rows, cols, b));
    largest = {std::max(largest.rows, rows), std::max(largest.cols, cols)};
  }
  return largest;
}
}  // namespace

Ragged::Ragged(Context& context, const std::vector<SinkhornShape>& of_problems)
    : shapes(of_problems), plans(of_problems.size()) {
  std::vector<int32_t> owners;
  for (const auto [rows, cols] : shapes) {
    const kernels::ProblemChunks own = problem_chunks(context.queue(), kernels::ProblemSize{rows, cols});
    owners.insert(owners.end(), static_cast<size_t>(own.chunks), static_cast<int32_t>(layouts.size()));
    layouts.push_back({.rows = rows,
                       .cols = cols,
                       .density_bytes = density_bytes,
                       .chunks = own.chunks,
                       .first_chunk = chunks,
                       .partials = partials});
    density_bytes += SinkhornSolver::density_bytes(rows, cols);
    chunks += own.chunks;
    partials += own.partials;
  }
  chunk_problems = Buffer<int32_t>(context, owners, "chunks");
  solved = Mirrored<kernels::ProblemLayout>(context, layouts);
  planned = Mirrored<kernels::ProblemLayout>(context, layouts);
  planned_to = Mirrored<kernels::PlanLayout>(context, plans);
}

void Ragged::place(const std::vector<ConstMatrixF>& affinities, Mirrored<kernels::ProblemLayout>& on_device) {
  for (size_t b = 0; b < layouts.size(); ++b) {
    layouts[b].affinity = affinities[b].data;
    layouts[b].row_stride = affinities[b].stride;
  }
  on_device.update(layouts);
}

void Ragged::apply(kernels::EntropicBatch& problems,
                   const Mirrored<kernels::ProblemLayout>& on_device) const {
  problems.layouts = on_device.data();
  problems.chunk_problems = chunk_problems.data();
  problems.chunks = chunks;
  problems.partials = partials;
}

SinkhornSolver::SinkhornSolver(Context& context, const std::vector<SinkhornShape>& shapes,
                               const std::vector<SinkhornOptions>& options)
    : SinkhornSolver(context, largest_of(shapes), shapes, options) {}

void SinkhornSolver::check(const char* name, const std::vector<ConstMatrixF>& matrices) const {
  if (!ragged())
    throw InvalidArgument(fmt::format(
        "{}: expected one matrix, because all problems have one shape, found {}", name, matrices.size()));
  if (static_cast<int64_t>(matrices.size()) != batch())
    throw InvalidArgument(
        fmt::format("{}: expected one for each of {} problems, found {}", name, batch(), matrices.size()));
  for (size_t b = 0; b < matrices.size(); ++b) {
    const auto [rows, cols] = ragged_->shapes[b];
    if (matrices[b].rows != rows || matrices[b].cols != cols)
      throw InvalidArgument(fmt::format("{} of problem {}: expected [{}, {}], found [{}, {}]", name, b, rows,
                                        cols, matrices[b].rows, matrices[b].cols));
  }
}

void SinkhornSolver::check_uniform() const {
  if (ragged())
    throw InvalidArgument(fmt::format(
        "affinity: expected one for each of {} problems, because the batch is ragged, found one matrix",
        batch()));
}

SinkhornShape SinkhornSolver::shape(int64_t problem) const {
  check_problem(problem);
  return ragged() ? ragged_->shapes[static_cast<size_t>(problem)] : SinkhornShape{rows_, cols_};
}

void SinkhornSolver::solve(const std::vector<ConstMatrixF>& affinities) {
  check("affinity", affinities);
  ragged_->place(affinities, ragged_->solved);
  solve(StoredStrips({affinities[0].data, rows_, cols_, affinities[0].stride}), all());
}

void SinkhornSolver::plan(const std::vector<ConstMatrixF>& affinities, const std::vector<MatrixF>& plans) {
  check("affinity", affinities);
  check("plan", std::vector<ConstMatrixF>(plans.begin(), plans.end()));
  for (size_t b = 0; b < plans.size(); ++b) ragged_->plans[b] = {plans[b].data, plans[b].stride};
  ragged_->place(affinities, ragged_->planned);
  ragged_->planned_to.update(ragged_->plans);
  kernels::SinkhornPlan args{.problems = problems(all()), .u = u_.data(), .v = v_.data()};
  ragged_->apply(args.problems, ragged_->planned);
  args.plans = ragged_->planned_to.data();
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(sinkhorn_plan_scratch(context_->queue(), args)));
  sinkhorn_plan(context_->queue(), args);
}

}  // namespace sotalign::detail
