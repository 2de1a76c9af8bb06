// What happens in which iteration of a solve in the scaling form: shared by the host, which queues one
// iteration after another, and by sinkhorn_on_chip, which runs many in one launch. Iteration 0 is in the log
// domain; the others are numbered from 1.
#pragma once

#include <cstdint>

#include "kernels/queue.h"

namespace sotalign::kernels {

/// True if a solve offers the log-domain updates and, in the scaling form, a new density after this
/// iteration. On CUDA these launches nearly always find nothing to do and would cost more than the iteration
/// of a small problem. The change of the potentials per iteration never grows, so if it is too large for
/// factors in single precision, that shows early. A problem that needs the updates later waits for them and
/// completes fewer iterations. (With 4 in place of 32, epsilon 0.001 and weights down to 1e-12 lose
/// iterations.)
constexpr bool offers_recovery(Backend backend, int64_t iteration) {
  return backend == Backend::kCpu || iteration < 32 || iteration % 4 == 0;
}

struct IterationSchedule {
  int64_t iterations = 0;        ///< including iteration 0
  double stopping_error = -1.0;  ///< row error at which a solve stops; negative: it makes no checks
  int64_t check_every = 1;       ///< iterations between two convergence checks
  double relaxation = 1.0;       ///< as in SinkhornScaling
  int64_t refine_at = 0;         ///< from here on, densities are float; 0: from the start

  constexpr bool last(int64_t iteration) const { return iteration + 1 == iterations; }
  /// After this iteration, densities that are still bfloat16 become float.
  constexpr bool refines(int64_t iteration) const { return iteration + 1 == refine_at; }
  constexpr bool checks(int64_t iteration) const {
    return stopping_error >= 0 && iteration > 0 && iteration % check_every == 0;
  }
  /// The tolerance of this iteration's convergence check; negative: it makes none.
  constexpr double tolerance_at(int64_t iteration) const { return checks(iteration) ? stopping_error : -1.0; }
  /// Plain before a check, whose error would otherwise be that of a relaxed update, and at the end.
  constexpr double relaxation_at(int64_t iteration) const {
    return last(iteration) || checks(iteration + 1) ? 1.0 : relaxation;
  }
  /// Whether fold, log-domain updates and absorb follow, for problems that request them.
  constexpr bool offers(Backend backend, int64_t iteration) const {
    return offers_recovery(backend, iteration) || checks(iteration) || refines(iteration) || last(iteration);
  }
};

}  // namespace sotalign::kernels
