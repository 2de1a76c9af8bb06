// The learned map from an encoder's embeddings to the shared space: linear layers with activations between
// them, then rows of unit length, so that inner products of outputs are cosines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/nn/parameters.h"

namespace SOTALIGN_API sotalign {

/// The function between two layers of a head.
enum class Activation {
  kNone,
  kRelu,
  kGelu,  ///< exact, with the error function
  kTanh,
};
/// "none", "relu", "gelu" or "tanh".
std::string to_string(Activation activation);

/// The shape of a head.
struct HeadOptions {
  int64_t input_dim = 0;
  std::vector<int64_t> hidden = {};  ///< width of each hidden layer; {} is a linear head
  int64_t output_dim = 0;
  Activation activation = Activation::kGelu;  ///< between layers; a linear head has none
  /// Adds a linear map of the head's input to the output of the last layer. Requires hidden layers.
  bool residual = false;

  bool operator==(const HeadOptions&) const = default;
};

class Head;

/// What a forward pass saves for the backward pass. Allocated once, and reused for batches of up to
/// `max_rows` rows.
class Activations {
 public:
  Activations(Context& context, const Head& head, int64_t max_rows);
  /// Bytes that such an object allocates.
  static int64_t memory_bytes(const Head& head, int64_t max_rows);
  int64_t max_rows() const { return max_rows_; }

 private:
  friend class Head;
  static bool keeps_linear(const Head& head, int64_t layer);

  HeadOptions options_;
  int64_t max_rows_ = 0;
  int64_t rows_ = 0;                    // of the last forward pass
  std::vector<Matrix<float>> linear_;   // per hidden layer, before bias and activation, if backward needs it
  std::vector<Matrix<float>> outputs_;  // per layer, after the activation; unit rows for the last layer
  Buffer<float> norms_;                 // [max_rows], norms of the last layer's rows
};

/// Layer l computes x W' + b with the tensors NAME.l.weight [out, in] and NAME.l.bias [out] of a
/// ParameterSet. The last layer of a residual head adds z R', where R is NAME.residual.weight [out, in] and z
/// the head's input. The head holds only the indices of its tensors. Initial values are those of PyTorch's
/// nn.Linear: uniform between -1 / sqrt(in) and 1 / sqrt(in).
class Head {
 public:
  /// Adds the head's tensors to `parameters`. Weight decay applies to weights, not to biases. Throws
  /// InvalidArgument for widths below 1 and for a residual head without hidden layers.
  Head(HeadOptions options, const std::string& name, ParameterSet& parameters);

  const HeadOptions& options() const { return options_; }

  /// Maps x [n, input_dim] to unit rows [n, output_dim]; a zero output row stays zero. The result is in
  /// `saved`, and valid until the next forward pass that uses it.
  ConstMatrixF forward(Context& context, const ParameterSet& parameters, ConstMatrixF x,
                       Activations& saved) const;

  /// Overwrites the gradients of this head's tensors. `x` and `saved` are those of the last forward pass, and
  /// `d_unit_rows` [n, output_dim] is the gradient of the loss with respect to the result of that pass.
  void backward(Context& context, ParameterSet& parameters, ConstMatrixF x, const Activations& saved,
                ConstMatrixF d_unit_rows) const;

  /// Bytes of scratch memory that backward() takes for `rows` rows.
  int64_t backward_scratch_bytes(int64_t rows) const;

  /// The forward pass only, in tiles of rows: scratch memory does not grow with n. `out` [n, output_dim] does
  /// not overlap x.
  void embed(Context& context, const ParameterSet& parameters, ConstMatrixF x, MatrixF out) const;

 private:
  friend class Activations;
  int64_t layers() const { return static_cast<int64_t>(weights_.size()); }
  int64_t width(int64_t layer) const;  // columns of the layer's output
  int64_t widest() const;              // of all layers
  void check_input(ConstMatrixF x) const;
  void check_activations(const Activations& saved) const;
  /// linear = x W', y = activation(linear + b); both may be the same memory. `z` is the head's input.
  void apply_layer(Context& context, const ParameterSet& parameters, int64_t layer, ConstMatrixF z,
                   ConstMatrixF x, MatrixF linear, MatrixF y) const;

  HeadOptions options_;
  std::vector<int> weights_, biases_;  // indices into the ParameterSet
  int residual_ = -1;                  // index of the residual weight; -1: none
};

}  // namespace sotalign
