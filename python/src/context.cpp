#include "context.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <utility>

#include "arrays.h"
#include "bindings.h"
#include "sotalign/core/device.h"

namespace sotalign::python {

namespace {

/// The caching allocator of a framework, called through Python.
class PythonMemory final : public MemoryResource {
 public:
  PythonMemory(nb::object allocate, nb::object free)
      : allocate_(std::move(allocate)), free_(std::move(free)) {}
  ~PythonMemory() override {
    const nb::gil_scoped_acquire acquired;
    allocate_.reset();
    free_.reset();
  }

  /// Frameworks align to 256 bytes or more. An exception of the allocator means that there is no memory.
  void* allocate(size_t bytes, size_t, CudaStream stream) override {
    const nb::gil_scoped_acquire acquired;
    try {
      // An address is what this function is for. NOLINTNEXTLINE(performance-no-int-to-ptr)
      return reinterpret_cast<void*>(
          nb::cast<uintptr_t>(allocate_(bytes, reinterpret_cast<uintptr_t>(stream))));
    } catch (nb::python_error&) {
      return nullptr;
    }
  }

  void deallocate(void* pointer, size_t, size_t, CudaStream) noexcept override {
    const nb::gil_scoped_acquire acquired;
    try {
      free_(reinterpret_cast<uintptr_t>(pointer));
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("sotalign: free");
    }
  }

 private:
  nb::object allocate_, free_;
};

std::unique_ptr<MemoryResource> memory_of(nb::object allocate, nb::object free) {
  if (allocate.is_none()) return nullptr;
  return std::make_unique<PythonMemory>(std::move(allocate), std::move(free));
}

Context make(const std::string& device, int threads, std::optional<uintptr_t> stream,
             MemoryResource* memory) {
  const nb::gil_scoped_release released;
  ContextOptions options{.device = parse_device(device), .threads = threads, .memory = memory};
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  if (stream) options.stream = reinterpret_cast<CudaStream>(*stream);
  return Context(options);
}

}  // namespace

PythonContext::PythonContext(const std::string& device, int threads, std::optional<uintptr_t> stream,
                             nanobind::object allocate, nanobind::object free)
    : memory_(memory_of(std::move(allocate), std::move(free))),
      context_(make(device, threads, stream, memory_.get())) {}

void bind_context(nanobind::module_& module) {
  nb::class_<PythonContext>(module, "Context")
      .def(nb::init<const std::string&, int, std::optional<uintptr_t>, nb::object, nb::object>(),
           nb::arg("device"), nb::arg("threads") = 0, nb::arg("stream").none() = nb::none(),
           nb::arg("allocate").none() = nb::none(), nb::arg("free").none() = nb::none())
      .def_prop_ro("device", [](PythonContext& c) { return to_string(c.get().device()); })
      .def_prop_ro("threads", [](PythonContext& c) { return c.get().threads(); })
      .def_prop_ro("bytes_in_use", [](PythonContext& c) { return c.get().bytes_in_use(); })
      .def("synchronize",
           [](PythonContext& c) { compute(c, [](Context& context) { context.synchronize(); }); });
  // Tests use these: a matrix in the memory of a device, as another library would hand it over, and back.
  module.def(
      "device_copy",
      [](PythonContext& c, const InputArray& array) {
        Context& context = c.get();
        const ConstMatrixF host = host_view(array, "array");
        auto* copy = new Matrix<float>(context, host.data, host.rows, host.cols);
        const nb::capsule owner(copy, [](void* p) noexcept { delete static_cast<Matrix<float>*>(p); });
        const bool cuda = context.device().kind == DeviceKind::kCuda;
        return nb::ndarray<nb::array_api, float>(
            copy->data(), {static_cast<size_t>(host.rows), static_cast<size_t>(host.cols)}, owner, {},
            nb::dtype<float>(), cuda ? nb::device::cuda::value : nb::device::cpu::value,
            context.device().index);
      },
      nb::arg("context"), nb::arg("array").noconvert());
  module.def(
      "address", [](const InputArray& array) { return reinterpret_cast<uintptr_t>(array.data()); },
      nb::arg("array").noconvert());
  module.def(
      "host_copy",
      [](PythonContext& c, const InputArray& array) {
        const size_t rows = array.shape(0), cols = array.shape(1);
        std::vector<float> copy(rows * cols);
        c.get().copy_to_host(copy.data(), array.data(), copy.size() * sizeof(float));
        return numpy(std::move(copy), rows);
      },
      nb::arg("context"), nb::arg("array").noconvert());
}

}  // namespace sotalign::python
