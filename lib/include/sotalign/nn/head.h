// The learned map from an encoder's embeddings to the shared space: linear layers with activations between
// them, then rows of unit length, so that inner products of outputs are cosines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/nn/parameters.h"

namespace sotalign {

enum class Activation {
  kNone,
  kRelu,
  kGelu,  ///< exact, with the error function
  kTanh,
};

struct HeadOptions {
  int64_t input_dim = 0;
  std::vector<int64_t> hidden = {};  ///< width of each hidden layer; {} is a linear head
  int64_t output_dim = 0;
  Activation activation = Activation::kGelu;  ///< between layers; a linear head has none
  /// Adds a linear map of the input to the output of the layers: with hidden layers only.
  bool residual = false;

  bool operator==(const HeadOptions&) const = default;
};

class Head;

/// What a forward pass keeps for the backward pass. Sized once, then used for any batch of up to `max_rows`
/// rows.
class Activations {
 public:
  Activations(Context& context, const Head& head, int64_t max_rows);
  int64_t max_rows() const { return max_rows_; }

 private:
  friend class Head;
  HeadOptions options_;
  int64_t max_rows_ = 0;
  int64_t rows_ = 0;                    // of the last forward pass
  std::vector<Matrix<float>> linear_;   // per hidden layer, before bias and activation, if backward needs it
  std::vector<Matrix<float>> outputs_;  // per layer, after the activation; of the last layer, unit rows
  Buffer<float> norms_;                 // [max_rows], of the last layer's rows
};

/// Layer l computes x W' + b with the tensors '<name>.<l>.weight' [out, in] and '<name>.<l>.bias' [out] of a
/// ParameterSet; the last one of a residual head adds z R' with '<name>.residual.weight' [out, in] and the
/// head's input z. The head itself holds their indices only. Initial values are those of PyTorch's nn.Linear:
/// uniform with bound 1 / sqrt(in).
class Head {
 public:
  /// Registers its tensors; weights have decay, biases have not.
  Head(HeadOptions options, const std::string& name, ParameterSet& parameters);

  const HeadOptions& options() const { return options_; }

  /// Unit rows [n, output_dim] for x [n, input_dim]; a row whose output is zero stays zero. The result lives
  /// in `saved` until its next use.
  ConstMatrixF forward(Context& context, const ParameterSet& parameters, ConstMatrixF x,
                       Activations& saved) const;

  /// Gradients of this head's tensors, overwriting what was there, from the x and `saved` of the last forward
  /// pass and the gradient of the loss with respect to its result, [n, output_dim].
  void backward(Context& context, ParameterSet& parameters, ConstMatrixF x, const Activations& saved,
                ConstMatrixF d_unit_rows) const;

  /// The forward pass alone, in tiles of rows, so that scratch memory does not grow with n.
  /// out [n, output_dim] does not overlap x.
  void embed(Context& context, const ParameterSet& parameters, ConstMatrixF x, MatrixF out) const;

 private:
  friend class Activations;
  int64_t layers() const { return static_cast<int64_t>(weights_.size()); }
  int64_t width(int64_t layer) const;  // of its output
  void check_input(ConstMatrixF x) const;
  void check_activations(const Activations& saved) const;
  /// linear = x W', y = activation(linear + b); both may be the same memory. `z`: the input of the head.
  void apply_layer(Context& context, const ParameterSet& parameters, int64_t layer, ConstMatrixF z,
                   ConstMatrixF x, MatrixF linear, MatrixF y) const;

  HeadOptions options_;
  std::vector<int> weights_, biases_;  // indices into the ParameterSet
  int residual_ = -1;                  // the same; -1: none
};

}  // namespace sotalign
