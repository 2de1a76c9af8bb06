// Errors of the library become the exceptions of sotalign._errors, with the same message.
#include "bindings.h"
#include "sotalign/core/error.h"

namespace sotalign::python {

namespace {

void raise(const char* name, const Error& error) {
  try {
    const nanobind::object type = nanobind::module_::import_("sotalign._errors").attr(name);
    PyErr_SetString(type.ptr(), error.what());
  } catch (nanobind::python_error& failed) {  // the interpreter is shutting down
    failed.restore();
  }
}

}  // namespace

void bind_errors(nanobind::module_&) {
  nanobind::register_exception_translator([](const std::exception_ptr& thrown, void*) {
    try {
      std::rethrow_exception(thrown);
    } catch (const InvalidArgument& error) {
      raise("InvalidArgument", error);
    } catch (const IoError& error) {
      raise("IoError", error);
    } catch (const OutOfMemory& error) {
      raise("OutOfMemory", error);
    } catch (const NumericalError& error) {
      raise("NumericalError", error);
    } catch (const DeviceError& error) {
      raise("DeviceError", error);
    } catch (const Error& error) {
      raise("Error", error);
    }
  });
}

}  // namespace sotalign::python
