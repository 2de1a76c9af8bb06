#include "arrays.h"

#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/error.h"

namespace sotalign::python {

namespace {

template <class T, class Array>
MatrixView<T> view_of(const Array& array, const char* name) {
  const auto rows = static_cast<int64_t>(array.shape(0)), cols = static_cast<int64_t>(array.shape(1));
  const int64_t stride = rows > 1 ? array.stride(0) : cols;
  if ((cols > 1 && array.stride(1) != 1) || stride < cols)
    throw InvalidArgument(
        fmt::format("{}: expected contiguous rows, found strides [{}, {}]", name, stride, array.stride(1)));
  return {array.data(), rows, cols, stride};
}

template <class Array>
bool on_host(const Array& array) {
  return array.device_type() == nb::device::cpu::value;
}

template <class Array>
void require_device(const Context& context, const Array& array, const char* name) {
  const Device device = context.device();
  const bool managed = array.device_type() == nb::device::cuda_managed::value;
  const bool same = array.device_type() == nb::device::cuda::value && array.device_id() == device.index;
  if (device.kind != DeviceKind::kCuda || !(same || managed))
    throw InvalidArgument(fmt::format("{}: expected an array on {}, found DLPack device ({}, {})", name,
                                      to_string(device), array.device_type(), array.device_id()));
}

bool needs_copy(const Context& context) { return context.device().kind == DeviceKind::kCuda; }

}  // namespace

ConstMatrixF host_view(const InputArray& array, const char* name) {
  if (!on_host(array)) throw InvalidArgument(fmt::format("{}: expected an array in host memory", name));
  return view_of<const float>(array, name);
}

Input::Input(Context& context, const InputArray& array, const char* name)
    : view_(view_of<const float>(array, name)) {
  if (!on_host(array)) {
    require_device(context, array, name);
  } else if (needs_copy(context)) {
    copy_.emplace(context, view_.rows, view_.cols, name);
    copy_->upload(view_);
    view_ = copy_->view();
  }
}

Output::Output(Context& context, const OutputArray& array, const char* name)
    : host_(view_of<float>(array, name)), view_(host_) {
  if (!on_host(array)) {
    require_device(context, array, name);
  } else if (needs_copy(context)) {
    copy_.emplace(context, host_.rows, host_.cols, name);
    view_ = copy_->view();
  }
}

void Output::finish() {
  if (copy_) copy_->download(host_);
}

}  // namespace sotalign::python
