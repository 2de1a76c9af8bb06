// How long a training step will take: operations and bytes of a plan, divided by rates that are measured on
// the device, on synthetic numbers, in a fraction of a second.
#pragma once

#include <string>
#include <vector>

#include "sotalign/train/plan.h"

namespace SOTALIGN_API sotalign {

/// One part of a step.
struct StepPart {
  std::string name;
  double seconds = 0;
  std::string how;  ///< "1.92 GFLOP at 61.2 GFLOP/s"
};

/// Sinkhorn iterations of a step, for the plans of student and teacher. KLOT only.
struct StepIterations {
  int64_t student = 0, teacher = 0;

  int64_t sum() const { return student + teacher; }
};

struct StepTime {
  std::vector<StepPart> parts;       ///< without Sinkhorn
  double seconds_per_iteration = 0;  ///< of one plan
  double iteration_bytes = 0;        ///< that such an iteration reads
  /// The most iterations that the options allow; and those of docs/performance.md's data sets with the
  /// default options, where a tolerance ends solves: 5 and 20, or the most if that is less.
  StepIterations most, typical;

  double seconds_without_sinkhorn() const;
  double seconds(StepIterations iterations) const {
    return seconds_without_sinkhorn() + static_cast<double>(iterations.sum()) * seconds_per_iteration;
  }
};

/// Predicts a step after the first one. Allocates scratch and synchronizes; takes a fraction of a second on
/// the machine's usual load. Large shapes are measured on a part of their rows. Throws InvalidArgument if the
/// plan does not know its objective or the method has no steps of this kind.
StepTime predict_step_time(Context& context, const TrainingPlan& plan);

}  // namespace sotalign
