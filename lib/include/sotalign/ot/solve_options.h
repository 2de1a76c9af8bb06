// How a Sinkhorn solve runs: everything but the problem, its epsilon and symmetrisation.
#pragma once

#include <cstdint>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

/// How iterations run. The potentials of both forms agree within rounding.
///   scaling     keeps a density, exp(K_ij / epsilon + u_i + v_j) at the potentials of the first iteration,
///               in a matrix as large as the affinity. Each further iteration reads it once and computes no
///               exponential. The solver recomputes it when scale factors grow too large.
///   log domain  needs no density. Each iteration reads the affinity once and computes one exponential per
///               entry.
///   automatic   scaling, unless there are too few iterations to repay the density
enum class SinkhornForm { kAuto, kScaling, kLogDomain };

/// What the density of the scaling form holds. A ladder stores bfloat16, which halves the traffic, and
/// switches to float for the last iterations, which remove the error that bfloat16 leaves. With a tolerance,
/// it switches as soon as the coarse solve has converged.
enum class SinkhornStorage { kFloat, kLadder };

/// Iterations, stopping rule, acceleration and form of a solve.
struct SolveOptions {
  int64_t iterations = 100;  ///< full iterations; with a tolerance, the limit
  /// Stops once the L1 error of the row sums, sum_i |sum_j P_ij - a_i|, is below this. The solver leaves a
  /// margin of 2e-6 (or half of a smaller tolerance) for rounding. 0: runs all iterations.
  double tolerance = 0.0;
  int64_t check_every = 5;  ///< iterations between convergence checks
  /// Over-relaxation, in (0, 2): each update moves the potentials by this factor times the plain update. 1.3
  /// to 1.7 saves iterations where plain Sinkhorn is slow (small epsilon). The first iteration and the one
  /// before each convergence check and before the end are plain, so that column sums are exact there.
  double relaxation = 1.0;
  /// Above 1, epsilon scaling: the solve starts at this multiple of epsilon and about halves it every 5
  /// iterations, in the log domain. These iterations count. A start applies to the largest epsilon.
  double epsilon_scaling = 1.0;
  SinkhornForm form = SinkhornForm::kAuto;
  SinkhornStorage storage = SinkhornStorage::kFloat;
  bool operator==(const SolveOptions&) const = default;
};

}  // namespace sotalign
