#include "ot/sinkhorn_solver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/sinkhorn_plan.h"
#include "ot/epsilon_stages.h"
#include "sotalign/core/error.h"

namespace sotalign::detail {

namespace {

void validate(const SolveOptions& o) {
  if (o.iterations < 1)
    throw InvalidArgument(fmt::format("iterations: expected >= 1, found {}", o.iterations));
  if (!(o.tolerance >= 0))
    throw InvalidArgument(fmt::format("tolerance: expected >= 0, found {}", o.tolerance));
  if (o.check_every < 1)
    throw InvalidArgument(fmt::format("check_every: expected >= 1, found {}", o.check_every));
  if (!(o.relaxation > 0 && o.relaxation < 2))
    throw InvalidArgument(fmt::format("relaxation: expected a number in (0, 2), found {}", o.relaxation));
  if (!(o.epsilon_scaling >= 1) || !std::isfinite(o.epsilon_scaling))
    throw InvalidArgument(
        fmt::format("epsilon_scaling: expected a number >= 1, found {}", o.epsilon_scaling));
  if (o.iterations <= descent(o))
    throw InvalidArgument(fmt::format("iterations: expected more than the {} of epsilon scaling, found {}",
                                      descent(o), o.iterations));
  if (o.form == SinkhornForm::kLogDomain && o.storage == SinkhornStorage::kLadder)
    throw InvalidArgument("storage: expected float, because the log domain stores no density");
}

void validate(const SinkhornOptions& o) {
  if (!(o.epsilon > 0) || !std::isfinite(o.epsilon))
    throw InvalidArgument(fmt::format("epsilon: expected a number > 0, found {}", o.epsilon));
  if (!std::isfinite(static_cast<float>(1.0 / o.epsilon)))
    throw InvalidArgument(
        fmt::format("epsilon: expected 1 / epsilon within single precision, found epsilon {}", o.epsilon));
  validate(o.solve);
}

bool differ_in_epsilon_at_most(const SinkhornOptions& a, const SinkhornOptions& b) {
  return a.symmetrize == b.symmetrize && a.solve == b.solve;
}

std::vector<double> log_weights(const char* name, const std::vector<double>& weights, int64_t size) {
  if (weights.empty())
    return std::vector<double>(static_cast<size_t>(size), -std::log(static_cast<double>(size)));
  if (static_cast<int64_t>(weights.size()) != size)
    throw InvalidArgument(
        fmt::format("weights {}: expected {} values, found {}", name, size, weights.size()));
  double sum = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!(weights[i] >= 0) || !std::isfinite(weights[i]))
      throw InvalidArgument(
          fmt::format("weights {}: expected finite values >= 0, found {} at {}", name, weights[i], i));
    sum += weights[i];
  }
  if (!(sum > 0) || !std::isfinite(sum))
    throw InvalidArgument(fmt::format("weights {}: expected a positive sum, found {}", name, sum));
  std::vector<double> logs(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) logs[i] = std::log(weights[i] / sum);
  return logs;
}

}  // namespace

SinkhornSolver::SinkhornSolver(Context& context, int64_t rows, int64_t cols,
                               const std::vector<SinkhornOptions>& options)
    : SinkhornSolver(context, SinkhornShape{rows, cols}, {}, options) {}

SinkhornSolver::SinkhornSolver(Context& context, SinkhornShape largest,
                               const std::vector<SinkhornShape>& shapes,
                               const std::vector<SinkhornOptions>& options)
    : context_(&context),
      rows_(largest.rows),
      cols_(largest.cols),
      options_(options),
      watch_(context.queue(), batch()) {
  const int64_t rows = rows_, cols = cols_;
  if (rows < 1 || cols < 1)
    throw InvalidArgument(
        fmt::format("affinity: expected at least one row and column, found [{}, {}]", rows, cols));
  if (options.empty()) throw InvalidArgument("options: expected one entry for each problem, found none");
  std::vector<float> inverse_epsilon;
  for (const SinkhornOptions& o : options) {
    validate(o);
    if (!shapes.empty() && !differ_in_epsilon_at_most(o, options[0]))
      throw InvalidArgument("options: expected problems of a ragged batch to differ in epsilon only");
    inverse_epsilon.push_back(static_cast<float>(1.0 / o.epsilon));
  }
  if (!shapes.empty() && shapes.size() != options.size())
    throw InvalidArgument(fmt::format("options: expected one entry for each of {} problems, found {}",
                                      shapes.size(), options.size()));
  if (!shapes.empty()) ragged_ = std::make_unique<Ragged>(context, shapes);
  inverse_epsilon_ = Buffer<float>(context, inverse_epsilon);
  int64_t most_stages = 0;
  for (const SinkhornOptions& o : options) most_stages = std::max(most_stages, stage_count(o.solve));
  std::vector<float> stages;
  for (int64_t stage = 0; stage < most_stages; ++stage)
    for (const SinkhornOptions& o : options) {
      // A problem with fewer stages never reads the last ones.
      const int64_t count = std::max<int64_t>(stage_count(o.solve), 1);
      const double left = 1.0 - static_cast<double>(stage) / static_cast<double>(count);
      stages.push_back(static_cast<float>(1.0 / (o.epsilon * std::pow(o.solve.epsilon_scaling, left))));
    }
  if (!stages.empty()) stages_ = Buffer<float>(context, stages);
  // The first iteration runs in the log domain, which is safe from any start.
  std::vector<kernels::SinkhornState> fresh;
  fresh.reserve(options.size());
  for (const SinkhornOptions& o : options)
    fresh.push_back(
        {.iterations = descent(o.solve) + 1, .coarse = o.solve.storage == SinkhornStorage::kLadder});
  const size_t bytes = fresh.size() * sizeof(kernels::SinkhornState);
  states_ = Buffer<unsigned char>(context, static_cast<int64_t>(bytes), "Sinkhorn states");
  fresh_states_ = Buffer<unsigned char>(context, static_cast<int64_t>(bytes), "Sinkhorn states");
  context.copy_to_device(fresh_states_.data(), fresh.data(), bytes);
  for (Buffer<double>* buffer : {&log_a_, &u_})
    *buffer = Buffer<double>(context, batch() * rows, "potentials");
  for (Buffer<double>* buffer : {&log_b_, &v_, &start_})
    *buffer = Buffer<double>(context, batch() * cols, "potentials");
  const std::vector<double> start(static_cast<size_t>(batch() * cols), 0.0);
  context.copy_to_device(start_.data(), start.data(), start.size() * sizeof(double));
  for (int64_t problem = 0; problem < batch(); ++problem) set_weights(problem, {}, {});
}

void SinkhornSolver::set_weights(int64_t problem, const std::vector<double>& a,
                                 const std::vector<double>& b) {
  const auto [rows, cols] = shape(problem);
  const std::vector<double> log_a = log_weights("a", a, rows), log_b = log_weights("b", b, cols);
  context_->copy_to_device(log_a_.data() + problem * rows_, log_a.data(), log_a.size() * sizeof(double));
  context_->copy_to_device(log_b_.data() + problem * cols_, log_b.data(), log_b.size() * sizeof(double));
  // Columns without mass must not enter the first row update; columns that regain mass start at 0.
  std::vector<double> start = download(start_, problem * cols_, cols);
  for (size_t j = 0; j < start.size(); ++j) {
    if (std::isinf(log_b[j]))
      start[j] = log_b[j];
    else if (std::isinf(start[j]))
      start[j] = 0.0;
  }
  context_->copy_to_device(start_.data() + problem * cols_, start.data(), start.size() * sizeof(double));
}

void SinkhornSolver::set_start(int64_t problem, const std::vector<double>& v) {
  const int64_t cols = shape(problem).cols;
  if (static_cast<int64_t>(v.size()) != cols)
    throw InvalidArgument(fmt::format("column potentials: expected {} values, found {}", cols, v.size()));
  const std::vector<double> log_b = download(log_b_, problem * cols_, cols);
  std::vector<double> start = v;
  bool any_finite = false;
  for (size_t j = 0; j < start.size(); ++j) {
    if (std::isnan(v[j]) || v[j] == std::numeric_limits<double>::infinity())
      throw InvalidArgument(fmt::format("column potentials: expected numbers or -inf, found {}", v[j]));
    if (std::isinf(log_b[j])) start[j] = log_b[j];
    any_finite |= std::isfinite(start[j]);
  }
  if (!any_finite)
    throw InvalidArgument(
        "column potentials: expected at least one finite value where the weight is not 0, found none");
  context_->copy_to_device(start_.data() + problem * cols_, start.data(), start.size() * sizeof(double));
}

SinkhornSolver::Group SinkhornSolver::group_from(int64_t first) const {
  int64_t end = first + 1;
  while (end < batch() && differ_in_epsilon_at_most(options(end), options(first))) ++end;
  return {first, end - first};
}

void SinkhornSolver::check_problem(int64_t problem) const {
  if (problem < 0 || problem >= batch())
    throw InvalidArgument(fmt::format("problem: expected one of {}, found {}", batch(), problem));
}

void SinkhornSolver::check(ConstMatrixF affinity) const {
  if (affinity.rows != batch() * rows_ || affinity.cols != cols_)
    throw InvalidArgument(fmt::format("affinity: expected [{} x {}, {}], found [{}, {}]", batch(), rows_,
                                      cols_, affinity.rows, affinity.cols));
}

kernels::EntropicBatch SinkhornSolver::problems(Group group, ConstMatrixF strip, int64_t strip_begin,
                                                int64_t strip_height) const {
  kernels::EntropicBatch problems{.affinity = strip.data,
                                  .batch = group.count,
                                  .rows = rows_,
                                  .cols = cols_,
                                  .row_stride = strip.stride,
                                  .inverse_epsilon = inverse_epsilon_.data() + group.first,
                                  .log_a = log_a_.data() + group.first * rows_,
                                  .log_b = log_b_.data() + group.first * cols_,
                                  .strip_height = strip_height,
                                  .strip_begin = strip_begin};
  if (ragged()) ragged_->apply(problems, ragged_->solved);
  return problems;
}

kernels::EntropicBatch SinkhornSolver::one_problem(int64_t problem, ConstMatrixF affinity) const {
  return {.affinity = affinity.data,
          .batch = 1,
          .rows = affinity.rows,
          .cols = affinity.cols,
          .row_stride = affinity.stride,
          .inverse_epsilon = inverse_epsilon_.data() + problem,
          .log_a = log_a_.data() + problem * rows_,
          .log_b = log_b_.data() + problem * cols_};
}

kernels::SinkhornState* SinkhornSolver::states(int64_t problem) const {
  return reinterpret_cast<kernels::SinkhornState*>(const_cast<unsigned char*>(states_.data())) + problem;
}

void SinkhornSolver::plan(ConstMatrixF affinity, MatrixF plan) {
  check_uniform();
  check(affinity);
  check(plan);
  kernels::EntropicBatch problems = this->problems(all(), affinity);
  problems.problem_stride = affinity.stride * rows_;
  this->plan(0, problems, affinity, plan);
}

void SinkhornSolver::plan(int64_t problem, ConstMatrixF affinity, MatrixF plan) {
  const auto [rows, cols] = shape(problem);
  for (const auto& [name, matrix] : {std::pair{"affinity", affinity}, std::pair{"plan", ConstMatrixF(plan)}})
    if (matrix.rows != rows || matrix.cols != cols)
      throw InvalidArgument(fmt::format("{} of problem {}: expected [{}, {}], found [{}, {}]", name, problem,
                                        rows, cols, matrix.rows, matrix.cols));
  this->plan(problem, one_problem(problem, affinity), affinity, plan);
}

void SinkhornSolver::plan(int64_t first, const kernels::EntropicBatch& problems, ConstMatrixF affinity,
                          MatrixF plan) {
  if (plan.stride != affinity.stride)
    throw InvalidArgument(
        fmt::format("plan: expected the affinity's stride {}, found {}", affinity.stride, plan.stride));
  kernels::SinkhornPlan args{.problems = problems,
                             .u = u_.data() + first * rows_,
                             .v = v_.data() + first * cols_,
                             .plan = plan.data};
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(sinkhorn_plan_scratch(context_->queue(), args)));
  sinkhorn_plan(context_->queue(), args);
}

}  // namespace sotalign::detail
