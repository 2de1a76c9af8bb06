// SigLIP as a term of an objective, on unit rows and with the model's logit scale and bias.
#pragma once

#include "sotalign/linalg/row_products.h"
#include "sotalign/train/objective.h"

namespace SOTALIGN_API sotalign {

/// SigLIP of unit rows; runs after the first allocate nothing.
class SiglipTerm {
 public:
  /// For `rows` rows f against `cols` rows g; the first `pairs` rows of each form the pairs.
  SiglipTerm(Context& context, int64_t rows, int64_t cols, int64_t pairs);
  /// Bytes that such a term allocates.
  static int64_t memory_bytes(int64_t rows, int64_t cols);

  /// Writes or adds weight times the gradients: with respect to f and g into d_f and d_g, which must not
  /// overlap f or g, and those of 'log_scale' and 'bias' into `parameters`. Does not synchronize.
  void run(ParameterSet& parameters, ConstMatrixF f, ConstMatrixF g, MatrixF d_f, MatrixF d_g,
           double weight = 1.0, Write write = Write::kOver);

  /// Runs on the pairs of a step, with weight 1; overwrites the gradients.
  void run_on_pairs(const Step& step);

  /// The unweighted loss of the last run; synchronizes.
  double value() const { return value_.download()[0]; }

 private:
  Context* context_;
  int64_t pairs_;
  Matrix<float> affinity_;
  Buffer<double> value_;
};

}  // namespace sotalign
