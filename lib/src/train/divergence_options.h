// Converts a trainer's options to those of its divergence.
#pragma once

#include "sotalign/train/trainer.h"

namespace sotalign::detail {

inline DivergenceOptions divergence_options(const TrainOptions& options) {
  return {.kind = options.divergence,
          .klot = options.klot,
          .infonce = {.epsilon_student = options.klot.epsilon_student,
                      .epsilon_teacher = options.klot.epsilon_teacher}};
}

}  // namespace sotalign::detail
