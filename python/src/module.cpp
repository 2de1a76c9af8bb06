// sotalign._core: the library for Python. The package's Python files prepare arrays and options; functions
// here take float32 matrices whose rows are contiguous, release the GIL while they compute, and write into
// arrays that the caller made.
#include "bindings.h"
#include "sotalign/version.h"

NB_MODULE(_core, module) {
  module.attr("__version__") = sotalign::version();
  sotalign::python::bind_errors(module);
  sotalign::python::bind_context(module);
  sotalign::python::bind_sinkhorn(module);
  sotalign::python::bind_klot(module);
  sotalign::python::bind_metrics(module);
  sotalign::python::bind_model(module);
  sotalign::python::bind_training(module);
}
