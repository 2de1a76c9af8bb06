// The unpaired rows of one side: the batch of each pass, centred, and the covariances that passes average.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/center_rows.h"
#include "sotalign/core/buffer.h"
#include "sotalign/sampling/batch_sampler.h"
#include "sotalign/teacher/self_training.h"

namespace sotalign::detail {

/// y = x less the row `mean` [cols]; both [rows, cols].
template <class T>
void center(Context& context, ConstMatrixF x, const Buffer<T>& mean, MatrixView<T> y) {
  kernels::center_rows(context.queue(), kernels::CenterRows<T>{.x = x.data,
                                                               .x_stride = x.stride,
                                                               .mean = mean.data(),
                                                               .y = y.data,
                                                               .y_stride = y.stride,
                                                               .rows = x.rows,
                                                               .cols = x.cols});
}

class SelfTrainingRows {
 public:
  /// @param pairs_mean [d], and `pairs` [p, d] less it
  /// @param name of the unpaired rows, for errors and for their stream of random numbers
  /// @param share lam, the weight of the unpaired rows in mixed_mean
  SelfTrainingRows(Context& context, const std::vector<double>& pairs_mean, ConstMatrixD pairs,
                   const char* name, const RowSet& unpaired, double share,
                   const SelfTrainingOptions& options);

  int64_t batch() const { return batch_; }
  int64_t cols() const { return unpaired_.cols(); }
  /// Whether each pass takes all rows: their covariance is then the same in every pass.
  bool takes_all() const { return batch_ == unpaired_.rows(); }

  /// The rows of pass `pass`, counted from 0.
  ConstMatrixF draw(Context& context, Workspace& scratch, int64_t pass) const;

  /// Rows less the mean of all unpaired rows.
  MatrixF centered(Context& context, Workspace& scratch, ConstMatrixF rows) const;
  MatrixD centered_in_double(Context& context, Workspace& scratch, ConstMatrixF rows) const;

  Matrix<double> pairs_covariance;  // [d, d]
  Matrix<double> average;           // [d, d], Rxx or Ryy
  std::vector<double> mixed_mean;   // [d], of the teachers after the first

 private:
  RowSet unpaired_;
  int64_t batch_;
  BatchSampler order_;
  Buffer<double> exact_mean_;  // [d], of all unpaired rows
  Buffer<float> mean_;         // the same, rounded
};

}  // namespace sotalign::detail
