// What the files of the compiled module share.
#pragma once

#include <nanobind/nanobind.h>

namespace sotalign::python {

void bind_errors(nanobind::module_& module);
void bind_context(nanobind::module_& module);
void bind_sinkhorn(nanobind::module_& module);
void bind_klot(nanobind::module_& module);
void bind_metrics(nanobind::module_& module);
void bind_model(nanobind::module_& module);
void bind_training(nanobind::module_& module);

}  // namespace sotalign::python
