// How a solve is carried out. What each problem needs in an iteration is decided on the device; the host only
// queues, unless strips of the affinity are made: that costs more than waiting for the decision.
#include <algorithm>
#include <cmath>

#include "kernels/sinkhorn_absorb.h"
#include "kernels/sinkhorn_iteration.h"
#include "kernels/sinkhorn_plan.h"
#include "kernels/sinkhorn_scaling.h"
#include "kernels/sinkhorn_update.h"
#include "ot/epsilon_stages.h"
#include "ot/strips.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign {

namespace {

/// Iterations that a ladder does with the fine density at least: they take the error that bfloat16 leaves,
/// 1e-3, to 2e-5 or less at any epsilon from 0.005.
constexpr int64_t kFineIterations = 20;

/// Making a density costs about as much as two log-domain iterations, and each further one saves half.
constexpr int64_t kWorthDensity = 6;

/// Of operations that run one after the other.
void* take_scratch(Workspace& workspace, std::initializer_list<size_t> bytes) {
  return workspace.take<unsigned char>(static_cast<int64_t>(std::max(bytes)));
}

}  // namespace

void Sinkhorn::solve(ConstMatrixF affinity) {
  check(affinity);
  solve(detail::StoredStrips(affinity, rows_));
}

void Sinkhorn::solve(const detail::Strips& strips) {
  context_->copy_on_device(states(), fresh_states_.data(), static_cast<size_t>(states_.size()));
  context_->copy_on_device(v_.data(), start_.data(), static_cast<size_t>(start_.size()) * sizeof(double));
  descend(strips);
  if (strips.stored() && scaling_form())
    iterate_scaling(problems(strips.strip(0)));
  else
    iterate_log_domain(strips);
  finish(strips);
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

// Epsilon scaling. The last update of a stage leaves potentials for the next one's epsilon.
void Sinkhorn::descend(const detail::Strips& strips) {
  const int64_t stages = descent_ / kStageIterations;
  if (stages == 0) return;
  const kernels::Queue& queue = context_->queue();
  kernels::SinkhornRowUpdate rows{
      .problems = problems({}, 0, strips.height()), .v = v_.data(), .u = u_.data()};
  kernels::SinkhornColumnUpdate columns{.problems = rows.problems, .u = u_.data(), .v = v_.data()};
  Workspace workspace(*context_);
  rows.scratch = take_scratch(workspace, {sinkhorn_row_update_scratch(queue, rows)});
  columns.scratch = take_scratch(workspace, {sinkhorn_column_update_scratch(queue, columns)});
  for (int64_t iteration = 0; iteration < descent_; ++iteration) {
    columns.factor = (iteration + 1) % kStageIterations == 0
                         ? std::pow(options_[0].epsilon_scaling, 1.0 / static_cast<double>(stages))
                         : 1.0;
    strips.for_each([&](ConstMatrixF strip, int64_t begin) {
      rows.problems = problems(strip, begin, strips.height());
      rows.problems.inverse_epsilon = stages_.data() + iteration / kStageIterations * batch();
      columns.problems = rows.problems;
      sinkhorn_row_update(queue, rows);
      sinkhorn_column_update(queue, columns);
    });
  }
}

// The fused step, or, where the state says so, the two log-domain updates, or nothing once it has converged.
void Sinkhorn::iterate_log_domain(const detail::Strips& strips) {
  const kernels::Queue& queue = context_->queue();
  const kernels::EntropicBatch whole = problems({}, 0, strips.height());
  kernels::SinkhornIteration fused{.problems = whole, .states = states(), .u = u_.data(), .v = v_.data()};
  kernels::SinkhornRowUpdate rows{.problems = whole, .states = states(), .v = v_.data(), .u = u_.data()};
  kernels::SinkhornColumnUpdate columns{
      .problems = whole, .states = states(), .u = u_.data(), .v = v_.data()};
  Workspace workspace(*context_);
  // Row and column updates take turns on the strips.
  fused.scratch = columns.scratch = take_scratch(
      workspace, {sinkhorn_iteration_scratch(queue, fused), sinkhorn_column_update_scratch(queue, columns)});
  rows.scratch = take_scratch(workspace, {sinkhorn_row_update_scratch(queue, rows)});
  const int64_t iterations = options_[0].iterations - descent_;
  for (int64_t iteration = 0; iteration < iterations; ++iteration) {
    bool log_domain = true;
    if (iteration > 0) {
      fused.tolerance = looks(iteration) ? options_[0].tolerance : -1.0;
      fused.relaxation = relaxation(iteration);
      strips.for_each([&](ConstMatrixF strip, int64_t begin) {
        fused.problems = problems(strip, begin, strips.height());
        sinkhorn_iteration(queue, fused);
      });
      if (!strips.stored()) {
        kernels::SinkhornState state;
        context_->copy_to_host(&state, states(), sizeof(state));
        if (!state.active) break;
        log_domain = state.use_log_domain != 0;
      }
    }
    if (!log_domain) continue;
    strips.for_each([&](ConstMatrixF strip, int64_t begin) {
      rows.problems = columns.problems = problems(strip, begin, strips.height());
      sinkhorn_row_update(queue, rows);
      sinkhorn_column_update(queue, columns);
    });
  }
}

// The same, with the scaling form for the fused step. The updates and the making of densities are offered at
// the iterations that are likely to ask for them; a problem that does at another one waits.
void Sinkhorn::iterate_scaling(const kernels::EntropicBatch& problems) {
  const kernels::Queue& queue = context_->queue();
  const SinkhornOptions& options = options_[0];
  const int64_t iterations = options.iterations - descent_;
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
  kernels::SinkhornRowUpdate rows{.problems = problems, .states = states(), .v = v_.data(), .u = u_.data()};
  kernels::SinkhornColumnUpdate columns{
      .problems = problems, .states = states(), .u = u_.data(), .v = v_.data()};
  kernels::SinkhornFold fold{.problems = problems,
                             .states = states(),
                             .row_scale = row_scale,
                             .column_scale = column_scale,
                             .u = u_.data(),
                             .v = v_.data()};
  kernels::SinkhornAbsorb absorb{.problems = problems,
                                 .states = states(),
                                 .u = u_.data(),
                                 .v = v_.data(),
                                 .density = density,
                                 .density_stride_bytes = density_bytes,
                                 .row_scale = row_scale,
                                 .column_scale = column_scale,
                                 .row_mass = row_mass,
                                 .column_mass = column_mass};
  kernels::SinkhornScaling scaling{.problems = problems,
                                   .states = states(),
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

// Symmetrisation and marginal errors.
void Sinkhorn::finish(const detail::Strips& strips) {
  const kernels::Queue& queue = context_->queue();
  const kernels::EntropicBatch whole = problems({}, 0, strips.height());
  kernels::SinkhornRowUpdate rows{.problems = whole, .v = v_.data(), .u = u_.data(), .blend = 0.5};
  kernels::SinkhornMarginals marginals{.problems = whole, .u = u_.data(), .v = v_.data(), .states = states()};
  Workspace workspace(*context_);
  rows.scratch = take_scratch(workspace, {sinkhorn_row_update_scratch(queue, rows)});
  marginals.scratch = take_scratch(workspace, {sinkhorn_marginals_scratch(queue, marginals)});
  strips.for_each([&](ConstMatrixF strip, int64_t begin) {
    rows.problems = marginals.problems = problems(strip, begin, strips.height());
    if (options_[0].symmetrize == Symmetrize::kYes) sinkhorn_row_update(queue, rows);
    sinkhorn_marginals(queue, marginals);
  });
}

}  // namespace sotalign
