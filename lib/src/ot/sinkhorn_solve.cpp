// Runs a solve. The device decides what each problem needs in an iteration; the host only queues work, and
// learns a few iterations later that all problems have converged (convergence_watch.h). If strips of the
// affinity are computed, the host waits for each decision: an unneeded strip costs more than the wait.
#include <algorithm>
#include <cmath>

#include "kernels/sinkhorn_absorb.h"
#include "kernels/sinkhorn_iteration.h"
#include "kernels/sinkhorn_on_chip.h"
#include "kernels/sinkhorn_plan.h"
#include "kernels/sinkhorn_scaling.h"
#include "kernels/sinkhorn_update.h"
#include "ot/epsilon_stages.h"
#include "ot/sinkhorn_solver.h"

namespace sotalign::detail {

namespace {

/// The number of last iterations that a ladder always runs on the float density. They reduce the error of
/// 1e-3 that bfloat16 leaves to 2e-5 or less, at any epsilon from 0.005.
constexpr int64_t kFineIterations = 20;

/// The row error at which a solve stops. Its status depends on the reported error instead, which is measured
/// on the plan: it rounds differently, and includes the column error, which is rounding alone. Both effects
/// add up to about 1e-6 at most for |K| / epsilon up to 1000.
double stopping_error(double tolerance) {
  constexpr double kRounding = 2e-6;
  return tolerance - std::min(kRounding, 0.5 * tolerance);
}

/// Scratch memory for operations that run one after the other.
void* take_scratch(Workspace& workspace, std::initializer_list<size_t> bytes) {
  return workspace.take<unsigned char>(static_cast<int64_t>(std::max(bytes)));
}

// What take_scratch needs for the operations of the scaling form.
size_t scaling_scratch(const kernels::Queue& queue, const kernels::EntropicBatch& p) {
  return std::max(
      {sinkhorn_row_update_scratch(queue, {.problems = p}),
       sinkhorn_column_update_scratch(queue, {.problems = p}),
       sinkhorn_absorb_scratch(queue, {.problems = p}),
       sinkhorn_scaling_scratch(queue, {.problems = p, .type = kernels::DensityType::kFloat}),
       sinkhorn_scaling_scratch(queue, {.problems = p, .type = kernels::DensityType::kBfloat16}),
       sinkhorn_on_chip_scratch(queue, {.scaling = {.problems = p, .type = kernels::DensityType::kFloat}}),
       sinkhorn_on_chip_scratch(queue,
                                {.scaling = {.problems = p, .type = kernels::DensityType::kBfloat16}})});
}

}  // namespace

// One solve of a group of problems: pointers into the solver's buffers, and the steps of the solve.
class SinkhornSolver::Solve {
 public:
  Solve(SinkhornSolver& solver, const Strips& strips, Group group)
      : solver_(solver),
        context_(solver.context_),
        strips_(strips),
        group_(group),
        options_(solver.options(group.first).solve),
        symmetrize_(solver.options(group.first).symmetrize),
        watch_(solver.watch_),
        states_(solver.states(group.first)),
        u_(solver.u(group.first)),
        v_(solver.v(group.first)),
        rows_(solver.rows_),
        cols_(solver.cols_),
        iterations_(solver.iterations(group.first)),
        ladder_(options_.storage == SinkhornStorage::kLadder),
        schedule_{.iterations = iterations_,
                  .stopping_error = options_.tolerance > 0 ? stopping_error(options_.tolerance) : -1.0,
                  .check_every = options_.check_every,
                  .relaxation = options_.relaxation,
                  .refine_at = ladder_ ? std::max<int64_t>(iterations_ - kFineIterations, 1) : 0} {}

  void run() {
    const size_t states = static_cast<size_t>(group_.count) * sizeof(kernels::SinkhornState);
    context_->copy_on_device(
        states_,
        solver_.fresh_states_.data() + group_.first * static_cast<int64_t>(sizeof(kernels::SinkhornState)),
        states);
    context_->copy_on_device(v_, solver_.start_.data() + group_.first * cols_,
                             static_cast<size_t>(group_.count * cols_) * sizeof(double));
    watch_.start();
    descend();
    if (strips_.stored() && solver_.scaling_form(group_.first))
      iterate_scaling();
    else
      iterate_log_domain();
    finish();
  }

 private:
  kernels::EntropicBatch problems(ConstMatrixF strip, int64_t begin) const {
    kernels::EntropicBatch problems = solver_.problems(group_, strip, begin, strips_.height());
    problems.problem_stride = strips_.problem_stride();
    problems.second_affinity = strips_.second();
    return problems;
  }
  // After a convergence check.
  void look(int64_t iteration) const {
    if (schedule_.checks(iteration)) watch_.look(iteration, states_, group_.count);
  }
  struct ScalingForm;
  void descend();
  void iterate_log_domain();
  void iterate_scaling();
  void iterate_launches(ScalingForm& form);
  void iterate_on_chip(ScalingForm& form);
  void finish();

  SinkhornSolver& solver_;
  Context* context_;
  const Strips& strips_;
  Group group_;
  const SolveOptions& options_;  // the same for the whole group
  Symmetrize symmetrize_;
  ConvergenceWatch& watch_;
  kernels::SinkhornState* states_;  // [count]
  double *u_, *v_;                  // [count, rows], [count, cols]
  int64_t rows_, cols_;
  int64_t iterations_;  // after epsilon scaling
  bool ladder_;
  kernels::IterationSchedule schedule_;
};

void SinkhornSolver::solve(ConstMatrixF affinity) {
  check_uniform();
  check(affinity);
  for (int64_t first = 0; first < batch();) {
    const Group group = group_from(first);
    solve(StoredStrips(affinity.row_range(first * rows_, rows_), affinity.stride * rows_), group);
    first += group.count;
  }
}

void SinkhornSolver::solve(const Strips& strips, Group group) { Solve(*this, strips, group).run(); }

// Epsilon scaling. The last column update of a stage scales v for the epsilon of the next.
void SinkhornSolver::Solve::descend() {
  const int64_t stages = stage_count(options_);
  if (stages == 0) return;
  const kernels::Queue& queue = context_->queue();
  kernels::SinkhornRowUpdate rows{.problems = problems({}, 0), .v = v_, .u = u_};
  kernels::SinkhornColumnUpdate columns{.problems = rows.problems, .u = u_, .v = v_};
  Workspace workspace(*context_);
  rows.scratch = take_scratch(workspace, {sinkhorn_row_update_scratch(queue, rows)});
  columns.scratch = take_scratch(workspace, {sinkhorn_column_update_scratch(queue, columns)});
  for (int64_t iteration = 0; iteration < descent(options_); ++iteration) {
    columns.factor = (iteration + 1) % kStageIterations == 0
                         ? std::pow(options_.epsilon_scaling, 1.0 / static_cast<double>(stages))
                         : 1.0;
    strips_.for_each([&](ConstMatrixF strip, int64_t begin) {
      rows.problems = problems(strip, begin);
      rows.problems.inverse_epsilon =
          solver_.stages_.data() + group_.first + iteration / kStageIterations * solver_.batch();
      columns.problems = rows.problems;
      sinkhorn_row_update(queue, rows);
      sinkhorn_column_update(queue, columns);
    });
  }
}

// Each iteration is the fused operation, or the two log-domain updates if the state requests them, or nothing
// after convergence. The updates are queued only in iterations that are likely to need them.
void SinkhornSolver::Solve::iterate_log_domain() {
  const kernels::Queue& queue = context_->queue();
  const kernels::EntropicBatch whole = problems({}, 0);
  kernels::SinkhornIteration fused{.problems = whole, .states = states_, .u = u_, .v = v_};
  kernels::SinkhornRowUpdate rows{.problems = whole, .states = states_, .v = v_, .u = u_};
  kernels::SinkhornColumnUpdate columns{.problems = whole, .states = states_, .u = u_, .v = v_};
  Workspace workspace(*context_);
  // Row and column updates alternate on the strips, and the column update's scratch memory carries partial
  // sums from strip to strip: the row update needs its own.
  fused.scratch = columns.scratch = take_scratch(
      workspace, {sinkhorn_iteration_scratch(queue, fused), sinkhorn_column_update_scratch(queue, columns)});
  rows.scratch = take_scratch(workspace, {sinkhorn_row_update_scratch(queue, rows)});
  const auto log_domain_updates = [&] {
    strips_.for_each([&](ConstMatrixF strip, int64_t begin) {
      rows.problems = columns.problems = problems(strip, begin);
      sinkhorn_row_update(queue, rows);
      sinkhorn_column_update(queue, columns);
    });
  };
  log_domain_updates();
  for (int64_t iteration = 1; iteration < iterations_ && watch_.goes_on(iteration); ++iteration) {
    fused.tolerance = schedule_.tolerance_at(iteration);
    fused.relaxation = schedule_.relaxation_at(iteration);
    strips_.for_each([&](ConstMatrixF strip, int64_t begin) {
      fused.problems = problems(strip, begin);
      sinkhorn_iteration(queue, fused);
    });
    if (strips_.stored()) {
      if (!schedule_.offers(queue.backend, iteration)) continue;  // no check either
      log_domain_updates();
      look(iteration);
      continue;
    }
    kernels::SinkhornState state;
    context_->copy_to_host(&state, states_, sizeof(state));
    if (!state.active) break;
    if (state.use_log_domain) log_domain_updates();
  }
}

// The operations of the scaling form, which share their buffers.
struct SinkhornSolver::Solve::ScalingForm {
  kernels::SinkhornRowUpdate rows;
  kernels::SinkhornColumnUpdate columns;
  kernels::SinkhornFold fold;
  kernels::SinkhornAbsorb absorb;
  kernels::SinkhornScaling scaling;
};

void SinkhornSolver::Solve::iterate_scaling() {
  const kernels::EntropicBatch problems = this->problems(strips_.strip(0), 0);
  const kernels::Queue& queue = context_->queue();
  const int64_t width = kernels::density_stride(cols_, kernels::DensityType::kFloat);

  Workspace workspace(*context_);
  float* row_scale = workspace.take<float>(group_.count * 2 * rows_);
  float* column_scale = workspace.take<float>(group_.count * 2 * width);
  float* row_mass = workspace.take<float>(group_.count * rows_);
  float* column_mass = workspace.take<float>(group_.count * cols_);
  const int64_t density_bytes = SinkhornSolver::density_bytes(rows_, cols_);
  void* density = workspace.take<unsigned char>(solver_.density_bytes(group_));
  void* scratch = take_scratch(workspace, {scaling_scratch(queue, problems)});
  ScalingForm form{.rows = {.problems = problems, .states = states_, .v = v_, .u = u_},
                   .columns = {.problems = problems, .states = states_, .u = u_, .v = v_},
                   .fold = {.problems = problems,
                            .states = states_,
                            .row_scale = row_scale,
                            .column_scale = column_scale,
                            .u = u_,
                            .v = v_},
                   .absorb = {.problems = problems,
                              .states = states_,
                              .u = u_,
                              .v = v_,
                              .density = density,
                              .density_stride_bytes = density_bytes,
                              .row_scale = row_scale,
                              .column_scale = column_scale,
                              .row_mass = row_mass,
                              .column_mass = column_mass},
                   .scaling = {.problems = problems,
                               .states = states_,
                               .density = density,
                               .density_stride_bytes = density_bytes,
                               .row_mass = row_mass,
                               .column_mass = column_mass,
                               .row_scale = row_scale,
                               .column_scale = column_scale}};
  form.rows.scratch = form.columns.scratch = form.absorb.scratch = form.scaling.scratch = scratch;
  if (iterations_ > 1 && solver_.on_chip(group_))
    iterate_on_chip(form);
  else
    iterate_launches(form);
  if (iterations_ > 1) {
    form.fold.all = true;
    sinkhorn_fold(queue, form.fold);
  }
}

// The same as in the log domain, with the scaling form in place of the fused operation. Log-domain updates
// and absorption are queued only in iterations that are likely to need them; a problem that requests them in
// any other iteration waits.
void SinkhornSolver::Solve::iterate_launches(ScalingForm& form) {
  const kernels::Queue& queue = context_->queue();
  for (int64_t iteration = 0; iteration < iterations_ && watch_.goes_on(iteration); ++iteration) {
    if (iteration > 0) {
      form.scaling.tolerance = schedule_.tolerance_at(iteration);
      form.scaling.relaxation = schedule_.relaxation_at(iteration);
      // With a tolerance, some problems of a batch may have float densities already.
      for (const auto type : {kernels::DensityType::kBfloat16, kernels::DensityType::kFloat}) {
        const bool possible = type == kernels::DensityType::kFloat
                                  ? !ladder_ || options_.tolerance > 0 || iteration >= schedule_.refine_at
                                  : ladder_ && iteration < schedule_.refine_at && watch_.coarse();
        form.scaling.type = type;
        if (possible) sinkhorn_scaling(queue, form.scaling);
      }
    }
    if (!schedule_.offers(queue.backend, iteration)) continue;  // no check either
    form.fold.refine = form.absorb.refine = schedule_.refines(iteration);
    if (iteration > 0) sinkhorn_fold(queue, form.fold);
    sinkhorn_row_update(queue, form.rows);
    sinkhorn_column_update(queue, form.columns);
    if (!schedule_.last(iteration)) sinkhorn_absorb(queue, form.absorb);
    look(iteration);
  }
}

// The same where the density stays on the chip: a launch runs until something else is needed. The host then
// waits for the states, once per solve unless factors drift, sums get lost or a ladder refines.
void SinkhornSolver::Solve::iterate_on_chip(ScalingForm& form) {
  const kernels::Queue& queue = context_->queue();
  const auto log_domain_updates = [&] {
    sinkhorn_row_update(queue, form.rows);
    sinkhorn_column_update(queue, form.columns);
  };
  log_domain_updates();
  form.absorb.refine = schedule_.refines(0);
  sinkhorn_absorb(queue, form.absorb);
  form.absorb.refine = false;  // later, the states request it
  form.absorb.iterations = iterations_;
  const kernels::SinkhornState* states = nullptr;
  const auto any = [&](auto&& condition) {
    return std::any_of(states, states + group_.count,
                       [&](const kernels::SinkhornState& state) { return state.active && condition(state); });
  };
  for (bool coarse = ladder_ && !schedule_.refines(0);;) {
    for (const auto type : {kernels::DensityType::kBfloat16, kernels::DensityType::kFloat}) {
      form.scaling.type = type;
      if (coarse || type == kernels::DensityType::kFloat)
        sinkhorn_on_chip(queue, {.scaling = form.scaling, .schedule = schedule_});
    }
    states = watch_.wait(states_, group_.count);
    const bool goes_on = any([&](const auto& state) { return state.next < iterations_; });
    if (!goes_on && !any([](const auto& state) { return state.use_log_domain; })) return;
    sinkhorn_fold(queue, form.fold);
    log_domain_updates();
    if (!goes_on) return;
    sinkhorn_absorb(queue, form.absorb);
    coarse = any([](const auto& state) { return state.coarse == 1; });
  }
}

int64_t SinkhornSolver::scaling_bytes(const Context& context, int64_t rows, int64_t cols, int64_t count) {
  const int64_t factors = 3 * rows + cols + 2 * kernels::density_stride(cols, kernels::DensityType::kFloat);
  return count * (density_bytes(rows, cols) + factors * static_cast<int64_t>(sizeof(float))) +
         static_cast<int64_t>(scaling_scratch(context.queue(), {.batch = count, .rows = rows, .cols = cols}));
}

// Symmetrization and marginal errors.
void SinkhornSolver::Solve::finish() {
  const kernels::Queue& queue = context_->queue();
  const kernels::EntropicBatch whole = problems({}, 0);
  kernels::SinkhornRowUpdate rows{.problems = whole, .v = v_, .u = u_, .blend = 0.5};
  kernels::SinkhornMarginals marginals{.problems = whole, .u = u_, .v = v_, .states = states_};
  Workspace workspace(*context_);
  rows.scratch = take_scratch(workspace, {sinkhorn_row_update_scratch(queue, rows)});
  marginals.scratch = take_scratch(workspace, {sinkhorn_marginals_scratch(queue, marginals)});
  strips_.for_each([&](ConstMatrixF strip, int64_t begin) {
    rows.problems = marginals.problems = problems(strip, begin);
    if (symmetrize_ == Symmetrize::kYes) sinkhorn_row_update(queue, rows);
    sinkhorn_marginals(queue, marginals);
  });
}

}  // namespace sotalign::detail
