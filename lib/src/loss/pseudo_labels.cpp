#include "sotalign/loss/pseudo_labels.h"

#include <fmt/format.h>

#include <cmath>

#include "core/kinds.h"
#include "kernels/one_hot_maximum.h"
#include "kernels/sinkhorn_plan.h"
#include "kernels/sinkhorn_update.h"
#include "kernels/soft_cross_entropy.h"
#include "loss/check_affinities.h"
#include "ot/sinkhorn_solver.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

namespace {

struct Entry {
  PseudoLabels kind;
  const char* name;
};
constexpr Entry kPseudoLabels[] = {
    {PseudoLabels::kHard, "hard"},
    {PseudoLabels::kSoft, "soft"},
    {PseudoLabels::kOt, "ot"},
};

void check_shape(const char* name, ConstMatrixF matrix, int64_t rows, int64_t cols) {
  if (matrix.rows != rows || matrix.cols != cols)
    throw InvalidArgument(
        fmt::format("{}: expected [{}, {}], found [{}, {}]", name, rows, cols, matrix.rows, matrix.cols));
}

}  // namespace

std::vector<std::string> pseudo_label_names() { return detail::kind_names(kPseudoLabels); }

PseudoLabels parse_pseudo_labels(const std::string& name) {
  return detail::parse_kind("pseudo_labels", kPseudoLabels, name);
}

std::string to_string(PseudoLabels kind) {
  return detail::kind_entry("pseudo_labels", kPseudoLabels, kind).name;
}

PseudoLabelTargets::PseudoLabelTargets(Context& context, int64_t rows, int64_t cols,
                                       const PseudoLabelOptions& options)
    : context_(&context),
      rows_((detail::check_affinity_shape("pseudo_labels", rows, cols), rows)),
      cols_(cols),
      options_(options) {
  to_string(options.kind);  // throws for an unknown kind
  if (options.kind == PseudoLabels::kHard) return;
  inverse_epsilon_ = Buffer<float>(context, std::vector<float>{detail::inverse("epsilon", options.epsilon)});
  log_mass_ = Buffer<double>(context, rows, "potentials");
  row_ = Buffer<double>(context, rows, "potentials");
  if (options.kind == PseudoLabels::kOt)
    solver_ = std::make_unique<detail::SinkhornSolver>(
        context, rows, cols,
        std::vector<SinkhornOptions>{
            {.epsilon = options.epsilon,
             .solve = {.iterations = options.iterations, .tolerance = options.tolerance}}});
  else
    column_ = Buffer<double>(context, cols, "potentials");
}

int64_t PseudoLabelTargets::memory_bytes(int64_t rows, int64_t cols, PseudoLabels kind) {
  constexpr int64_t kDouble = sizeof(double);
  if (kind == PseudoLabels::kHard) return 0;
  return 2 * rows * kDouble +
         (kind == PseudoLabels::kOt ? detail::SinkhornSolver::vector_bytes(rows, cols) : cols * kDouble);
}

PseudoLabelTargets::~PseudoLabelTargets() = default;
PseudoLabelTargets::PseudoLabelTargets(PseudoLabelTargets&&) noexcept = default;
PseudoLabelTargets& PseudoLabelTargets::operator=(PseudoLabelTargets&&) noexcept = default;

// Soft targets and rows of a plan are both softmaxes of S / epsilon + v, with v = 0 or the plan's column
// potentials. A row update from v gives each row mass 1.
void PseudoLabelTargets::run(ConstMatrixF unpaired, ConstMatrixF paired, MatrixF targets) {
  check_shape("unpaired rows", unpaired, rows_, unpaired.cols);
  check_shape("paired rows", paired, cols_, unpaired.cols);
  check_shape("targets", targets, rows_, cols_);
  const kernels::Queue& queue = context_->queue();
  gemm(*context_, Op::kNone, Op::kTranspose, 1.0f, unpaired, paired, 0.0f, targets);
  if (kind() == PseudoLabels::kHard) {
    kernels::one_hot_maximum(queue, {.x = targets.data,
                                     .x_stride = targets.stride,
                                     .y = targets.data,
                                     .y_stride = targets.stride,
                                     .rows = rows_,
                                     .cols = cols_});
    return;
  }
  if (solver_) solver_->solve(targets);
  const double* v = solver_ ? solver_->v(0) : column_.data();
  const kernels::EntropicBatch problem{.affinity = targets.data,
                                       .rows = rows_,
                                       .cols = cols_,
                                       .row_stride = targets.stride,
                                       .inverse_epsilon = inverse_epsilon_.data(),
                                       .log_a = log_mass_.data()};
  kernels::SinkhornRowUpdate update{.problems = problem, .v = v, .u = row_.data()};
  kernels::SinkhornPlan plan{.problems = problem, .u = row_.data(), .v = v, .plan = targets.data};
  Workspace workspace(*context_);
  update.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(sinkhorn_row_update_scratch(queue, update)));
  plan.scratch = workspace.take<unsigned char>(static_cast<int64_t>(sinkhorn_plan_scratch(queue, plan)));
  sinkhorn_row_update(queue, update);
  sinkhorn_plan(queue, plan);
}

std::optional<SinkhornResult> PseudoLabelTargets::transport() const {
  if (!solver_) return std::nullopt;
  return solver_->results()[0];
}

void soft_cross_entropy_of_cosines(Context& context, ConstMatrixF k, ConstMatrixF targets,
                                   const float* log_scale, const SoftCrossEntropyOptions& options,
                                   const SoftCrossEntropyOutput& output) {
  detail::check_affinity_shape("soft_cross_entropy: K", k.rows, k.cols);
  check_shape("soft_cross_entropy: targets", targets, k.rows, k.cols);
  check_shape("soft_cross_entropy: grad_k", output.grad_k, k.rows, k.cols);
  if (!std::isfinite(options.weight))
    throw InvalidArgument(
        fmt::format("soft_cross_entropy: weight: expected a finite number, found {}", options.weight));
  kernels::SoftCrossEntropy args{.k = k.data,
                                 .k_stride = k.stride,
                                 .targets = targets.data,
                                 .targets_stride = targets.stride,
                                 .rows = k.rows,
                                 .cols = k.cols,
                                 .log_scale = log_scale,
                                 .weight = options.weight,
                                 .grad_k = output.grad_k.data,
                                 .grad_stride = output.grad_k.stride,
                                 .value = output.value,
                                 .grad_log_scale = output.grad_log_scale,
                                 .add_grad_log_scale = options.add_grad_log_scale};
  Workspace workspace(context);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(soft_cross_entropy_scratch(context.queue(), args)));
  soft_cross_entropy(context.queue(), args);
}

}  // namespace sotalign
