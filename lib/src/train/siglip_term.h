// SigLIP as a term of an objective: on unit rows, with the model's scale and bias.
#pragma once

#include "sotalign/linalg/row_products.h"
#include "train/objective.h"

namespace sotalign::detail {

class SiglipTerm {
 public:
  /// Of `rows` rows f against `cols` rows g, of which the first `pairs` belong to each other.
  SiglipTerm(Context& context, int64_t rows, int64_t cols, int64_t pairs);

  /// weight times its gradients: with respect to f into d_f and to g into d_g, which overlap neither, and
  /// those of 'log_scale' and 'bias' into the parameters' gradients. Queued, not waited for.
  void run(ParameterSet& parameters, ConstMatrixF f, ConstMatrixF g, MatrixF d_f, MatrixF d_g,
           double weight = 1.0, Write write = Write::kOver);

  /// The same of the pairs of a step.
  void run_on_pairs(const Step& step);

  /// Of the last run, without the weight; waits for it.
  double value() const { return value_.download()[0]; }

 private:
  Context* context_;
  int64_t pairs_;
  Matrix<float> affinity_;
  Buffer<double> value_;
};

}  // namespace sotalign::detail
