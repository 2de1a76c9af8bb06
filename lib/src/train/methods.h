// The built-in methods. Each is a file in objectives/ and a line in method.cpp's table.
#pragma once

#include "sotalign/train/method.h"
#include "sotalign/train/objective.h"

namespace sotalign::detail {

/// Plans a SigLIP term of unit rows [rows, dim] against [cols, dim].
void plan_siglip(TrainingPlan& plan, const char* name, int64_t rows, int64_t cols);

MethodInfo sotalign_method();
MethodInfo sail_method();
MethodInfo sail_semi_method();
MethodInfo structure_method();
MethodInfo structure_semi_method();
MethodInfo nnclr_method();
MethodInfo sclip_method();
MethodInfo self_training_method();

}  // namespace sotalign::detail
