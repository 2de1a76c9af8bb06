#include "teacher/self_training/rows.h"

#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/random.h"
#include "sotalign/linalg/gemm.h"
#include "teacher/reduced.h"

namespace sotalign::detail {

SelfTrainingRows::SelfTrainingRows(Context& context, const std::vector<double>& pairs_mean,
                                   ConstMatrixD pairs, const char* name, const RowSet& unpaired, double share,
                                   const SelfTrainingOptions& options)
    : pairs_covariance(context, pairs.cols, pairs.cols, "covariance of the pairs"),
      average(context, pairs.cols, pairs.cols, "running covariance"),
      mixed_mean(mean_of_pairs(context, unpaired, name)),
      unpaired_(unpaired),
      batch_(std::min(options.batch, unpaired.rows())),
      // Batches of one row: a batch of this class skips the end of an epoch, so that no row occurs twice.
      order_(unpaired.rows(), 1, options.seed, stream_id(fmt::format("self_training.{}", name))),
      exact_mean_(context, mixed_mean, "mean of the unpaired rows"),
      mean_(context, std::vector<float>(mixed_mean.begin(), mixed_mean.end()), "mean of the unpaired rows") {
  for (size_t i = 0; i < mixed_mean.size(); ++i)
    mixed_mean[i] = (1 - share) * pairs_mean[i] + share * mixed_mean[i];
  gemm(context, Op::kTranspose, Op::kNone, 1.0 / static_cast<double>(pairs.rows), pairs, pairs, 0.0,
       pairs_covariance);
}

ConstMatrixF SelfTrainingRows::draw(Context& context, Workspace& scratch, int64_t pass) const {
  if (takes_all() && !unpaired_.streamed()) return unpaired_.stored();
  const int64_t rows = unpaired_.rows(), batches = rows / batch_,
                first = pass / batches * rows + pass % batches * batch_;
  std::vector<int64_t> index(static_cast<size_t>(batch_));
  for (int64_t i = 0; i < batch_; ++i)
    index[static_cast<size_t>(i)] = takes_all() ? i : order_.index(first + i, 0);
  const MatrixF drawn = scratch.take_matrix<float>(batch_, cols());
  unpaired_.gather(context, index, drawn);
  return drawn;
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
