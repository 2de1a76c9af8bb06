// Sinkhorn iterations in the scaling form, as many as a solve needs in ONE launch: the density stays in
// shared memory from the first iteration to the last. Up to a few thousand rows and columns an iteration by
// sinkhorn_scaling takes longer to launch than to run.
//
// The results are those of sinkhorn_scaling to the bit: chunks of rows, and the order of every sum, depend on
// the shape alone. How many blocks share the work depends on the device.
#pragma once

#include <cstddef>

#include "kernels/iteration_schedule.h"
#include "kernels/sinkhorn_scaling.h"

namespace sotalign::kernels {

/// Runs the problems that sinkhorn_scaling would run, each from iteration state.next on, until it converges,
/// needs sinkhorn_absorb or a log-domain update where the schedule offers them, has bfloat16 densities at
/// refine_at, or completes the last iteration. Sets state.next to the iteration that follows.
struct SinkhornOnChip {
  SinkhornScaling scaling;  ///< `tolerance` and `relaxation` are ignored; scratch: sinkhorn_on_chip_scratch()
  IterationSchedule schedule = {};
};
SOTALIGN_DECLARE_OPERATION_WITH_SCRATCH(sinkhorn_on_chip, SinkhornOnChip)

struct OnChipMapping {
  int64_t blocks = 0;  ///< that share a problem, each on a multiprocessor of its own; 0: it does not fit
  int64_t shared_bytes = 0;  ///< of the density, per block
};
/// All problems of the batch must fit side by side, with a common shape and K in memory as a whole. Reads the
/// shape and the type. None fits on the CPU, and on a device without cooperative launches.
SOTALIGN_DECLARE_FUNCTION(OnChipMapping, sinkhorn_on_chip_mapping, SinkhornScaling)

}  // namespace sotalign::kernels
