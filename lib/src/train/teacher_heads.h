// Gives heads the projections of a teacher.
#pragma once

#include "sotalign/train/trainer.h"

namespace sotalign::detail {

/// Adds the scale and bias of SigLIP's logits to the parameters of two heads.
void add_loss_parameters(ParameterSet& parameters);

/// The options of a head. options.dim is resolved.
HeadOptions head_options(const TrainOptions& options, int64_t input_dim);

/// Sets the weights and biases of both heads so that they map as the teacher does; the hidden layers of
/// residual heads contribute nothing. Columns that the teacher lacks are zero. options.dim is resolved, and
/// at least the teacher's dimension.
void set_teacher_heads(ParameterSet& parameters, const TrainOptions& options, const Teacher& teacher);

}  // namespace sotalign::detail
