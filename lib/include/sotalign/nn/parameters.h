// All trainable parameters of a model in one array, and their gradients in another: an optimizer step is one
// pass over flat arrays, a checkpoint a list of named tensors.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "sotalign/core/buffer.h"

namespace SOTALIGN_API sotalign {

/// A named tensor. Its initial values are uniform in [mean - spread, mean + spread).
struct Parameter {
  std::string name;
  std::vector<int64_t> shape = {};  ///< row-major; {} is a scalar
  bool decay = true;                ///< whether weight decay applies
  float mean = 0.0f;
  float spread = 0.0f;

  /// Throws InvalidArgument if the product of the extents exceeds 2^63 - 1.
  int64_t size() const;
};

/// The parameters of a model. First add() every tensor, then allocate(), then call the other functions. In
/// memory, tensors with weight decay precede those without; each group is in the order of add(), without
/// padding.
class ParameterSet {
 public:
  /// Adds a tensor and returns the index that the other functions take. Throws InvalidArgument for a name
  /// that is taken, for an impossible shape and after allocate().
  int add(Parameter parameter);
  /// Adds a scalar without weight decay.
  int add_scalar(const std::string& name, float initial);

  /// Allocates values and gradients in the memory of `context`, initialized to zero. The context must outlive
  /// the set.
  void allocate(Context& context);
  /// Sets initial values. The random numbers of a tensor depend only on `seed` and its name, not on other
  /// tensors.
  void initialize(uint64_t seed);

  /// The number of tensors.
  int count() const { return static_cast<int>(parameters_.size()); }
  /// Tensor `index`. Throws InvalidArgument for an index outside [0, count()).
  const Parameter& operator[](int index) const;
  /// The index of a tensor. Throws InvalidArgument for an unknown name.
  int find(const std::string& name) const;

  /// Number of elements in all tensors, and in those with weight decay, which occupy [0, decayed_size()) of
  /// the flat arrays.
  int64_t size() const { return values_.size(); }
  int64_t decayed_size() const { return decayed_size_; }
  float* values() { return values_.data(); }
  const float* values() const { return values_.data(); }
  float* gradients() { return gradients_.data(); }
  const float* gradients() const { return gradients_.data(); }

  /// The index of a tensor's first element in the flat arrays.
  int64_t offset(int index) const;
  /// A tensor as a matrix: [rows, cols] unchanged, [cols] as one row, a scalar as [1, 1].
  ConstMatrixF value(int index) const { return view(values(), index); }
  MatrixF gradient(int index) { return view(gradients(), index); }

  /// Copy a tensor from or to the host. upload() throws InvalidArgument unless `values` has the tensor's
  /// size.
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
