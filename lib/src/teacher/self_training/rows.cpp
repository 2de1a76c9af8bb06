#include "teacher/self_training/rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/random.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/row_products.h"
#include "teacher/reduced.h"

namespace sotalign::detail {

SelfTrainingRows::SelfTrainingRows(Context& context, const std::vector<double>& pairs_mean,
                                   ConstMatrixD pairs, const char* name, ConstMatrixF unpaired, double share,
                                   const SelfTrainingOptions& options)
    : pairs_covariance(context, pairs.cols, pairs.cols, "covariance of the pairs"),
      average(context, pairs.cols, pairs.cols, "running covariance"),
      mixed_mean(mean_of_pairs(context, unpaired, name)),
      unpaired_(unpaired),
      batch_(std::min(options.batch, unpaired.rows)),
      // Batches of one row: a batch of this class skips the end of an epoch, so that no row occurs twice.
      order_(unpaired.rows, 1, options.seed, stream_id(fmt::format("self_training.{}", name))),
      exact_mean_(context, mixed_mean, "mean of the unpaired rows"),
      mean_(context, std::vector<float>(mixed_mean.begin(), mixed_mean.end()), "mean of the unpaired rows") {
  for (size_t i = 0; i < mixed_mean.size(); ++i)
    mixed_mean[i] = (1 - share) * pairs_mean[i] + share * mixed_mean[i];
  gemm(context, Op::kTranspose, Op::kNone, 1.0 / static_cast<double>(pairs.rows), pairs, pairs, 0.0,
       pairs_covariance);
}

ConstMatrixF SelfTrainingRows::draw(Context& context, Workspace& scratch, int64_t pass) const {
  if (takes_all()) return unpaired_;
  const int64_t batches = unpaired_.rows / batch_;
  const int64_t first = pass / batches * unpaired_.rows + pass % batches * batch_;
  std::vector<int64_t> index;
  for (int64_t i = 0; i < batch_; ++i) index.push_back(order_.index(first + i, 0));
  int64_t* on_device = scratch.take<int64_t>(batch_);
  context.copy_to_device(on_device, index.data(), index.size() * sizeof(int64_t));
  const MatrixF rows = scratch.take_matrix<float>(batch_, cols());
  gather_rows(context, unpaired_, on_device, rows);
  return rows;
}

MatrixF SelfTrainingRows::centered(Context& context, Workspace& scratch, ConstMatrixF rows) const {
  const MatrixF out = scratch.take_matrix<float>(rows.rows, rows.cols);
  center(context, rows, mean_, out);
  return out;
}

MatrixD SelfTrainingRows::centered_in_double(Context& context, Workspace& scratch, ConstMatrixF rows) const {
  const MatrixD out = scratch.take_matrix<double>(rows.rows, rows.cols);
  center(context, rows, exact_mean_, out);
  return out;
}

}  // namespace sotalign::detail
