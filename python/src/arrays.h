// Arrays of Python as matrices in the memory of a context.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <optional>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace sotalign::python {

namespace nb = nanobind;

/// float32 matrices on any device.
using InputArray = nb::ndarray<const float, nb::ndim<2>>;
using OutputArray = nb::ndarray<float, nb::ndim<2>>;
/// Vectors in host memory.
using Weights = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Floats = nb::ndarray<const float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Integers = nb::ndarray<const int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// An array that a function reads. Host arrays are used in place by a CPU context and copied to the device by
/// a CUDA context; device arrays must be on the context's device. Throws InvalidArgument, starting with
/// `name`, for another device and for rows that are not contiguous.
class Input {
 public:
  Input(Context& context, const InputArray& array, const char* name);
  operator ConstMatrixF() const { return view_; }
  const ConstMatrixF& view() const { return view_; }

 private:
  std::optional<Matrix<float>> copy_;
  ConstMatrixF view_;
};

/// An array that a function writes. Call finish() after the function: it copies the result to a host array
/// of a CUDA context, and otherwise does nothing.
class Output {
 public:
  Output(Context& context, const OutputArray& array, const char* name);
  operator MatrixF() const { return view_; }
  const MatrixF& view() const { return view_; }
  void finish();

 private:
  std::optional<Matrix<float>> copy_;
  MatrixF host_, view_;
};

/// The view of a host array.
ConstMatrixF host_view(const InputArray& array, const char* name);

/// Copies of a vector from Python; empty for None.
template <class T>
std::vector<T> values(
    const std::optional<nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>>& a) {
  return a ? std::vector<T>(a->data(), a->data() + a->size()) : std::vector<T>();
}

/// A NumPy array that owns `values`, of shape [values] or [rows, values / rows].
template <class T>
nb::ndarray<nb::numpy, T> numpy(std::vector<T> values, std::optional<size_t> rows = std::nullopt) {
  auto* owned = new std::vector<T>(std::move(values));
  const nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
  if (!rows) return nb::ndarray<nb::numpy, T>(owned->data(), {owned->size()}, owner);
  return nb::ndarray<nb::numpy, T>(owned->data(), {*rows, *rows == 0 ? 0 : owned->size() / *rows}, owner);
}

}  // namespace sotalign::python
