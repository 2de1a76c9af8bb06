// All trainable parameters of a model in one piece of memory, their gradients in another: an optimizer step
// is then one pass over flat arrays, and a checkpoint a list of named tensors.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "sotalign/core/buffer.h"

namespace sotalign {

/// A named tensor. Starts uniform in [mean - spread, mean + spread).
struct Parameter {
  std::string name;
  std::vector<int64_t> shape = {};  ///< row-major; {} is a scalar
  bool decay = true;                ///< weight decay applies
  float mean = 0.0f;
  float spread = 0.0f;

  /// Throws InvalidArgument if the product of the extents exceeds 2^63 - 1.
  int64_t size() const;
};

/// Used in two phases: add() everything, then allocate(), then the rest. Tensors with decay come first in
/// memory, those without after them, each group in the order of registration and without gaps.
class ParameterSet {
 public:
  /// Returns the index by which the other functions know the tensor. Throws InvalidArgument for a name that
  /// is taken, for an impossible shape and after allocate().
  int add(Parameter parameter);
  /// A learned number, without decay.
  int add_scalar(const std::string& name, float initial);

  /// Values and gradients in the memory of `context`, filled with zeros.
  void allocate(Context& context);
  /// Initial values. A tensor's random numbers depend on `seed` and its name alone, not on what else there
  /// is.
  void initialize(uint64_t seed);

  int count() const { return static_cast<int>(parameters_.size()); }
  /// Throws InvalidArgument for an index outside [0, count()).
  const Parameter& operator[](int index) const;
  /// Throws InvalidArgument for an unknown name.
  int find(const std::string& name) const;

  /// Numbers in all tensors, and in those with decay: elements [0, decayed_size()) of the flat arrays.
  int64_t size() const { return values_.size(); }
  int64_t decayed_size() const { return decayed_size_; }
  float* values() { return values_.data(); }
  const float* values() const { return values_.data(); }
  float* gradients() { return gradients_.data(); }
  const float* gradients() const { return gradients_.data(); }

  /// Where a tensor starts in the flat arrays.
  int64_t offset(int index) const;
  /// A tensor [rows, cols] as it is, [cols] as one row, a scalar as [1, 1].
  ConstMatrixF value(int index) const { return view(values(), index); }
  MatrixF gradient(int index) { return view(gradients(), index); }

  /// From / to the host. upload() throws InvalidArgument when the number of values is not that of the tensor.
  void upload(const std::string& name, const std::vector<float>& values);
  std::vector<float> download(const std::string& name) const;
  std::vector<float> download_gradient(const std::string& name) const;

 private:
  template <class T>
  MatrixView<T> view(T* base, int index) const {
    const Parameter& parameter = (*this)[index];
    const int64_t cols = parameter.shape.empty() ? 1 : parameter.shape.back();
    return {base + offset(index), parameter.size() / cols, cols};
  }
  std::vector<float> copy(const float* base, int index) const;

  Context* context_ = nullptr;
  std::vector<Parameter> parameters_;
  std::unordered_map<std::string, int> indices_;  // by name
  std::vector<int64_t> offsets_;                  // empty until allocate()
  int64_t decayed_size_ = 0;
  Buffer<float> values_, gradients_;
};

}  // namespace sotalign
