#include "sotalign/ot/sinkhorn.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/sinkhorn_absorb.h"
#include "kernels/sinkhorn_iteration.h"
#include "kernels/sinkhorn_plan.h"
#include "kernels/sinkhorn_scaling.h"
#include "kernels/sinkhorn_update.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {

constexpr int64_t kStageIterations = 5;
int64_t stage_count(const SinkhornOptions& o) {
  return o.epsilon_scaling > 1
             ? std::max<int64_t>(static_cast<int64_t>(std::round(std::log2(o.epsilon_scaling))), 1)
             : 0;
}

void validate(const SinkhornOptions& o) {
  if (!(o.epsilon > 0) || !std::isfinite(o.epsilon))
    throw InvalidArgument(fmt::format("epsilon: expected a number > 0, found {}", o.epsilon));
  if (!std::isfinite(static_cast<float>(1.0 / o.epsilon)))
    throw InvalidArgument(fmt::format("epsilon: 1 / epsilon leaves single precision, found {}", o.epsilon));
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
  if (const int64_t descent = stage_count(o) * kStageIterations; o.iterations <= descent)
    throw InvalidArgument(
        fmt::format("iterations: epsilon scaling takes {}, expected more, found {}", descent, o.iterations));
  if (o.form == SinkhornForm::kLogDomain && o.storage == SinkhornStorage::kLadder)
    throw InvalidArgument("storage: the log domain stores no matrix of its own, expected float");
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

/// Iterations that a ladder does with the fine density at least: they take the error that bfloat16 leaves,
/// 1e-3, to 2e-5 or less at any epsilon from 0.005.
constexpr int64_t kFineIterations = 20;

/// Making a density costs about as much as two log-domain iterations, and each further one saves half.
constexpr int64_t kWorthDensity = 6;

/// Of operations that run one after the other.
void* take_scratch(Workspace& workspace, std::initializer_list<size_t> bytes) {
  return workspace.take<unsigned char>(static_cast<int64_t>(std::max(bytes)));
}

kernels::SinkhornState* states_of(Buffer<unsigned char>& bytes) {
  return reinterpret_cast<kernels::SinkhornState*>(bytes.data());
}

}  // namespace

std::string to_string(SinkhornStatus status) {
  switch (status) {
    case SinkhornStatus::kFixed:
      return "fixed";
    case SinkhornStatus::kConverged:
      return "converged";
    case SinkhornStatus::kStalled:
      return "stalled";
    case SinkhornStatus::kIterationLimit:
      return "iteration_limit";
  }
  return "";
}

Sinkhorn::Sinkhorn(Context& context, int64_t rows, int64_t cols, const std::vector<SinkhornOptions>& options)
    : context_(&context), rows_(rows), cols_(cols), options_(options) {
  if (rows < 1 || cols < 1)
    throw InvalidArgument(
        fmt::format("affinity: expected at least one row and column, found [{}, {}]", rows, cols));
  if (options.empty()) throw InvalidArgument("options: expected one entry for each problem, found none");
  std::vector<float> inverse_epsilon;
  for (const SinkhornOptions& o : options) {
    validate(o);
    SinkhornOptions like_first = o;
    like_first.epsilon = options[0].epsilon;
    if (like_first != options[0])
      throw InvalidArgument("options: problems of one batch may differ in epsilon alone");
    inverse_epsilon.push_back(static_cast<float>(1.0 / o.epsilon));
  }
  inverse_epsilon_ = Buffer<float>(context, inverse_epsilon);
  std::vector<float> stages;
  for (int64_t stage = 0; stage < stage_count(options[0]); ++stage) {
    const double left = 1.0 - static_cast<double>(stage) / static_cast<double>(stage_count(options[0]));
    for (const SinkhornOptions& o : options)
      stages.push_back(static_cast<float>(1.0 / (o.epsilon * std::pow(o.epsilon_scaling, left))));
  }
  if (!stages.empty()) stages_ = Buffer<float>(context, stages);
  descent_ = stage_count(options[0]) * kStageIterations;
  // The first iteration is done in the log domain, whatever the start.
  const std::vector<kernels::SinkhornState> fresh(
      options.size(), {.iterations = descent_ + 1, .coarse = options[0].storage == SinkhornStorage::kLadder});
  const size_t bytes = fresh.size() * sizeof(kernels::SinkhornState);
  states_ = Buffer<unsigned char>(context, static_cast<int64_t>(bytes), "Sinkhorn states");
  fresh_states_ = Buffer<unsigned char>(context, static_cast<int64_t>(bytes), "Sinkhorn states");
  context.copy_to_device(fresh_states_.data(), fresh.data(), bytes);
  for (Buffer<double>* buffer : {&log_a_, &u_})
    *buffer = Buffer<double>(context, batch() * rows, "potentials");
  for (Buffer<double>* buffer : {&log_b_, &v_, &start_})
    *buffer = Buffer<double>(context, batch() * cols, "potentials");
  for (int64_t problem = 0; problem < batch(); ++problem) set_weights(problem, {}, {});
}

void Sinkhorn::set_weights(int64_t problem, const std::vector<double>& a, const std::vector<double>& b) {
  const std::vector<double> log_a = log_weights("a", a, rows_), log_b = log_weights("b", b, cols_);
  context_->copy_to_device(log_a_.data() + problem * rows_, log_a.data(), log_a.size() * sizeof(double));
  context_->copy_to_device(log_b_.data() + problem * cols_, log_b.data(), log_b.size() * sizeof(double));
  // Columns without mass take no part from the first row update on.
  std::vector<double> start(log_b.size(), 0.0);
  for (size_t j = 0; j < start.size(); ++j)
    if (std::isinf(log_b[j])) start[j] = log_b[j];
  set_start(problem, start);
}

void Sinkhorn::set_start(int64_t problem, const std::vector<double>& v) {
  if (static_cast<int64_t>(v.size()) != cols_)
    throw InvalidArgument(fmt::format("column potentials: expected {} values, found {}", cols_, v.size()));
  bool any_finite = false;
  for (const double value : v) {
    any_finite |= std::isfinite(value);
    if (std::isnan(value) || value == std::numeric_limits<double>::infinity())
      throw InvalidArgument(fmt::format("column potentials: expected numbers or -inf, found {}", value));
  }
  if (!any_finite) throw InvalidArgument("column potentials: expected at least one finite value, found none");
  context_->copy_to_device(start_.data() + problem * cols_, v.data(), v.size() * sizeof(double));
}

void Sinkhorn::check(ConstMatrixF affinity) const {
  if (affinity.rows != batch() * rows_ || affinity.cols != cols_)
    throw InvalidArgument(fmt::format("affinity: expected [{} x {}, {}], found [{}, {}]", batch(), rows_,
                                      cols_, affinity.rows, affinity.cols));
}

kernels::EntropicBatch Sinkhorn::problems(ConstMatrixF affinity) const {
  return {.affinity = affinity.data,
          .batch = batch(),
          .rows = rows_,
          .cols = cols_,
          .row_stride = affinity.stride,
          .problem_stride = affinity.stride * rows_,
          .inverse_epsilon = inverse_epsilon_.data(),
          .log_a = log_a_.data(),
          .log_b = log_b_.data()};
}

void Sinkhorn::solve(ConstMatrixF affinity) {
  check(affinity);
  const kernels::Queue& queue = context_->queue();
  const kernels::EntropicBatch batch_of_problems = problems(affinity);
  kernels::SinkhornState* states = states_of(states_);
  context_->copy_on_device(states, fresh_states_.data(), static_cast<size_t>(states_.size()));
  context_->copy_on_device(v_.data(), start_.data(), static_cast<size_t>(start_.size()) * sizeof(double));
  descend(batch_of_problems);
  if (scaling_form())
    iterate_scaling(batch_of_problems);
  else
    iterate_log_domain(batch_of_problems);

  kernels::SinkhornRowUpdate rows{
      .problems = batch_of_problems, .v = v_.data(), .u = u_.data(), .blend = 0.5};
  kernels::SinkhornMarginals marginals{
      .problems = batch_of_problems, .u = u_.data(), .v = v_.data(), .states = states};
  Workspace workspace(*context_);
  void* scratch = take_scratch(
      workspace, {sinkhorn_row_update_scratch(queue, rows), sinkhorn_marginals_scratch(queue, marginals)});
  rows.scratch = marginals.scratch = scratch;
  if (options_[0].symmetrize == Symmetrize::kYes) sinkhorn_row_update(queue, rows);
  sinkhorn_marginals(queue, marginals);
}

// Epsilon scaling. The last update of a stage leaves potentials for the next one's epsilon.
void Sinkhorn::descend(const kernels::EntropicBatch& problems) {
  const int64_t stages = descent_ / kStageIterations;
  if (stages == 0) return;
  const kernels::Queue& queue = context_->queue();
  kernels::SinkhornRowUpdate rows{.problems = problems, .v = v_.data(), .u = u_.data()};
  kernels::SinkhornColumnUpdate columns{.problems = problems, .u = u_.data(), .v = v_.data()};
  Workspace workspace(*context_);
  rows.scratch = columns.scratch = take_scratch(
      workspace, {sinkhorn_row_update_scratch(queue, rows), sinkhorn_column_update_scratch(queue, columns)});
  for (int64_t iteration = 0; iteration < descent_; ++iteration) {
    rows.problems.inverse_epsilon = columns.problems.inverse_epsilon =
        stages_.data() + iteration / kStageIterations * batch();
    columns.factor = (iteration + 1) % kStageIterations == 0
                         ? std::pow(options_[0].epsilon_scaling, 1.0 / static_cast<double>(stages))
                         : 1.0;
    sinkhorn_row_update(queue, rows);
    sinkhorn_column_update(queue, columns);
  }
}

bool Sinkhorn::scaling_form() const {
  const SinkhornOptions& o = options_[0];
  return o.form == SinkhornForm::kScaling ||
         (o.form == SinkhornForm::kAuto && o.iterations - descent_ >= kWorthDensity);
}

bool Sinkhorn::looks(int64_t iteration) const {
  return options_[0].tolerance > 0 && iteration > 0 && iteration % options_[0].check_every == 0;
}

double Sinkhorn::relaxation(int64_t iteration) const {
  const bool plain = iteration + 1 == options_[0].iterations - descent_ || looks(iteration + 1);
  return plain ? 1.0 : options_[0].relaxation;
}

// What each problem needs in an iteration is decided on the device: the fused step, or, where its flag says
// so, the two log-domain updates, or nothing once it has converged. The host only queues.
void Sinkhorn::iterate_log_domain(const kernels::EntropicBatch& problems) {
  const kernels::Queue& queue = context_->queue();
  kernels::SinkhornState* states = states_of(states_);
  kernels::SinkhornIteration fused{.problems = problems, .states = states, .u = u_.data(), .v = v_.data()};
  kernels::SinkhornRowUpdate rows{.problems = problems, .states = states, .v = v_.data(), .u = u_.data()};
  kernels::SinkhornColumnUpdate columns{
      .problems = problems, .states = states, .u = u_.data(), .v = v_.data()};
  Workspace workspace(*context_);
  void* scratch = take_scratch(
      workspace, {sinkhorn_iteration_scratch(queue, fused), sinkhorn_row_update_scratch(queue, rows),
                  sinkhorn_column_update_scratch(queue, columns)});
  fused.scratch = rows.scratch = columns.scratch = scratch;
  const int64_t iterations = options_[0].iterations - descent_;
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    if (iteration > 0) {
      fused.tolerance = looks(iteration) ? options_[0].tolerance : -1.0;
      fused.relaxation = relaxation(iteration);
      sinkhorn_iteration(queue, fused);
    }
    sinkhorn_row_update(queue, rows);
    sinkhorn_column_update(queue, columns);
  }
}

// The same, with the scaling form for the fused step. The updates and the making of densities are offered at
// the iterations that are likely to ask for them; a problem that does at another one waits.
void Sinkhorn::iterate_scaling(const kernels::EntropicBatch& problems) {
  const kernels::Queue& queue = context_->queue();
  const SinkhornOptions& options = options_[0];
  const int64_t iterations = options.iterations - descent_;
  kernels::SinkhornState* states = states_of(states_);
  const bool ladder = options.storage == SinkhornStorage::kLadder;
  const auto type = ladder ? kernels::DensityType::kBfloat16 : kernels::DensityType::kFloat;
  const int64_t width = kernels::density_stride(cols_, kernels::DensityType::kFloat);

  Workspace workspace(*context_);
  float* row_scale = workspace.take<float>(batch() * 2 * rows_);
  float* column_scale = workspace.take<float>(batch() * 2 * width);
  float* row_mass = workspace.take<float>(batch() * rows_);
  float* column_mass = workspace.take<float>(batch() * cols_);
  const int64_t density_bytes = kernels::density_bytes(1, rows_, cols_, kernels::DensityType::kFloat);
  void* density = workspace.take<unsigned char>(batch() * density_bytes);
  kernels::SinkhornRowUpdate rows{.problems = problems, .states = states, .v = v_.data(), .u = u_.data()};
  kernels::SinkhornColumnUpdate columns{
      .problems = problems, .states = states, .u = u_.data(), .v = v_.data()};
  kernels::SinkhornFold fold{.problems = problems,
                             .states = states,
                             .row_scale = row_scale,
                             .column_scale = column_scale,
                             .u = u_.data(),
                             .v = v_.data()};
  kernels::SinkhornAbsorb absorb{.problems = problems,
                                 .states = states,
                                 .u = u_.data(),
                                 .v = v_.data(),
                                 .density = density,
                                 .density_stride_bytes = density_bytes,
                                 .row_scale = row_scale,
                                 .column_scale = column_scale,
                                 .row_mass = row_mass,
                                 .column_mass = column_mass};
  kernels::SinkhornScaling scaling{.problems = problems,
                                   .states = states,
                                   .type = type,
                                   .density = density,
                                   .density_stride_bytes = density_bytes,
                                   .row_mass = row_mass,
                                   .column_mass = column_mass,
                                   .row_scale = row_scale,
                                   .column_scale = column_scale};
  // These run one after the other and share their scratch memory.
  size_t most_scaling = 0;
  for (const auto t : {kernels::DensityType::kFloat, kernels::DensityType::kBfloat16}) {
    scaling.type = t;
    most_scaling = std::max(most_scaling, sinkhorn_scaling_scratch(queue, scaling));
  }
  void* scratch = take_scratch(
      workspace, {sinkhorn_row_update_scratch(queue, rows), sinkhorn_column_update_scratch(queue, columns),
                  sinkhorn_absorb_scratch(queue, absorb), most_scaling});
  rows.scratch = columns.scratch = absorb.scratch = scaling.scratch = scratch;

  // From here on densities are fine, whatever their tolerance has decided.
  const int64_t refine_at = ladder ? std::max<int64_t>(iterations - kFineIterations, 1) : 0;
  const int period = kernels::recovery_period(queue.backend);
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    const bool last = iteration + 1 == iterations;
    if (iteration > 0) {
      scaling.tolerance = looks(iteration) ? options.tolerance : -1.0;
      scaling.relaxation = relaxation(iteration);
      // With a tolerance, some problems of a batch may be fine already.
      for (const auto t : {kernels::DensityType::kBfloat16, kernels::DensityType::kFloat}) {
        const bool possible = t == kernels::DensityType::kFloat
                                  ? !ladder || options.tolerance > 0 || iteration >= refine_at
                                  : ladder && iteration < refine_at;
        scaling.type = t;
        if (possible) sinkhorn_scaling(queue, scaling);
      }
    }
    const bool refine = ladder && iteration + 1 == refine_at;
    if (iteration >= 4 && iteration % period != 0 && !looks(iteration) && !refine && !last) continue;
    fold.refine = absorb.refine = refine;
    if (iteration > 0) sinkhorn_fold(queue, fold);
    sinkhorn_row_update(queue, rows);
    sinkhorn_column_update(queue, columns);
    if (!last) sinkhorn_absorb(queue, absorb);
  }
  if (iterations > 1) {
    fold.all = true;
    sinkhorn_fold(queue, fold);
  }
}

std::vector<SinkhornResult> Sinkhorn::results() const {
  std::vector<kernels::SinkhornState> states(options_.size());
  context_->copy_to_host(states.data(), states_.data(), static_cast<size_t>(states_.size()));
  std::vector<SinkhornResult> results;
  for (const kernels::SinkhornState& state : states) {
    SinkhornResult r{.iterations = state.iterations,
                     .row_error = state.row_error,
                     .column_error = state.column_error,
                     .marginal_error = state.row_error + state.column_error};
    const double tolerance = options_[0].tolerance;
    if (tolerance > 0)
      r.status = r.marginal_error <= tolerance || (!state.active && !state.stalled)
                     ? SinkhornStatus::kConverged
                 : state.stalled ? SinkhornStatus::kStalled
                                 : SinkhornStatus::kIterationLimit;
    results.push_back(r);
  }
  return results;
}

std::vector<double> Sinkhorn::row_potentials(int64_t problem) const {
  std::vector<double> u(static_cast<size_t>(rows_));
  context_->copy_to_host(u.data(), u_.data() + problem * rows_, u.size() * sizeof(double));
  return u;
}

std::vector<double> Sinkhorn::column_potentials(int64_t problem) const {
  std::vector<double> v(static_cast<size_t>(cols_));
  context_->copy_to_host(v.data(), v_.data() + problem * cols_, v.size() * sizeof(double));
  return v;
}

void Sinkhorn::plan(ConstMatrixF affinity, MatrixF plan) {
  check(affinity);
  check(plan);
  if (plan.stride != affinity.stride)
    throw InvalidArgument(
        fmt::format("plan: expected the affinity's stride {}, found {}", affinity.stride, plan.stride));
  kernels::SinkhornPlan args{
      .problems = problems(affinity), .u = u_.data(), .v = v_.data(), .plan = plan.data};
  Workspace workspace(*context_);
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(sinkhorn_plan_scratch(context_->queue(), args)));
  sinkhorn_plan(context_->queue(), args);
}

}  // namespace sotalign
