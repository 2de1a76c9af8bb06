// Sinkhorn on an affinity that is never stored as a whole, only in strips of rows.
#include <fmt/format.h>

#include <algorithm>

#include "kernels/sinkhorn_iteration.h"
#include "kernels/sinkhorn_plan.h"
#include "kernels/sinkhorn_update.h"
#include "ot/sinkhorn_solver.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign::detail {

void SinkhornSolver::check(const Embeddings& embeddings) const {
  check_uniform();
  if (batch() != 1)
    throw InvalidArgument(
        fmt::format("embeddings: expected a solver for one problem, found one for {}", batch()));
  check_form(options_[0].solve);
  check_embeddings("affinity", embeddings, rows_, cols_);
}

void SinkhornSolver::solve(const Embeddings& embeddings, int64_t strip_rows) {
  check(embeddings);
  const int64_t height = strip_height(*context_, rows_, cols_, StripOrigin::kProduct, strip_rows);
  Workspace workspace(*context_);
  solve(ProductStrips(*context_, embeddings, height, workspace.take<float>(height * cols_)), all());
}

void SinkhornSolver::check_plan_rows(int64_t first_row, MatrixF plan) const {
  if (first_row < 0 || plan.rows < 0 || first_row + plan.rows > rows_ || plan.cols != cols_)
    throw InvalidArgument(
        fmt::format("plan: expected rows of [{}, {}], found {} rows of {} columns from row {}", rows_, cols_,
                    plan.rows, plan.cols, first_row));
}

void SinkhornSolver::plan(const Embeddings& embeddings, int64_t first_row, MatrixF plan) {
  check(embeddings);
  check_plan_rows(first_row, plan);
  if (plan.empty()) return;
  const Embeddings part{embeddings.x.row_range(first_row, plan.rows), embeddings.y};
  gemm(*context_, Op::kNone, Op::kTranspose, 1.0f, part.x, part.y, 0.0f, plan);
  write_plan_rows(plan, first_row, plan);
}

void SinkhornSolver::plan_rows(ConstMatrixF strip, int64_t first_row, MatrixF plan) {
  check_uniform();
  if (batch() != 1)
    throw InvalidArgument(fmt::format("plan: expected a solver for one problem, found one for {}", batch()));
  check_plan_rows(first_row, plan);
  if (strip.rows != plan.rows || strip.cols != plan.cols || strip.stride != plan.stride)
    throw InvalidArgument(fmt::format(
        "plan: expected the shape and stride of the affinity's rows, [{}, {}] and {}, found [{}, {}] and {}",
        strip.rows, strip.cols, strip.stride, plan.rows, plan.cols, plan.stride));
  if (!plan.empty()) write_plan_rows(strip, first_row, plan);
}

void SinkhornSolver::write_plan_rows(ConstMatrixF strip, int64_t first_row, MatrixF plan) {
  kernels::SinkhornPlan args{.problems = problems(all(), strip, first_row, strip.rows),
                             .u = u_.data(),
                             .v = v_.data(),
                             .plan = plan.data};
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(sinkhorn_plan_scratch(context_->queue(), args)));
  sinkhorn_plan(context_->queue(), args);
}

int64_t SinkhornSolver::vector_bytes(int64_t rows, int64_t cols) {
  return (2 * rows + 3 * cols) * static_cast<int64_t>(sizeof(double));
}

int64_t SinkhornSolver::scratch_bytes(const Context& context, int64_t rows, int64_t cols,
                                      int64_t strip_rows) {
  const kernels::Queue& queue = context.queue();
  const kernels::EntropicBatch p{.rows = rows, .cols = cols, .strip_height = strip_rows};
  return static_cast<int64_t>(std::max({sinkhorn_iteration_scratch(queue, {.problems = p}),
                                        sinkhorn_column_update_scratch(queue, {.problems = p}),
                                        sinkhorn_marginals_scratch(queue, {.problems = p})}) +
                              sinkhorn_row_update_scratch(queue, {.problems = p}));
}

}  // namespace sotalign::detail
