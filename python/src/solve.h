// Options and results of solves, as sotalign.sinkhorn() and sotalign.klot() pass them.
#pragma once

#include <nanobind/nanobind.h>

#include <string>

#include "sotalign/ot/sinkhorn.h"

namespace sotalign::python {

/// Reads the keys iterations, tolerance, check_every, relaxation, epsilon_scaling, form and storage; missing
/// ones keep their defaults. Throws InvalidArgument for other keys and values.
SolveOptions solve_options(const nanobind::dict& options);

}  // namespace sotalign::python
