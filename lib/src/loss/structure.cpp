#include "sotalign/loss/structure.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "kernels/center_rows.h"
#include "kernels/column_mean.h"
#include "kernels/jensen_shannon.h"
#include "kernels/scale_matrix.h"
#include "loss/check_affinities.h"
#include "ot/strips.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

namespace {

void subtract(Context& context, const float* mean, ConstMatrixF x, MatrixF y) {
  kernels::center_rows(context.queue(), kernels::CenterRows<float>{.x = x.data,
                                                                   .x_stride = x.stride,
                                                                   .mean = mean,
                                                                   .y = y.data,
                                                                   .y_stride = y.stride,
                                                                   .rows = x.rows,
                                                                   .cols = x.cols});
}

/// The rows minus their mean, in workspace memory.
MatrixF centre(Context& context, Workspace& workspace, ConstMatrixF x) {
  const MatrixF centred = workspace.take_matrix<float>(x.rows, x.cols);
  Workspace scratch(context);
  double* mean = scratch.take<double>(x.cols);
  float* rounded_mean = scratch.take<float>(x.cols);
  const kernels::ColumnMean::Part part{.x = x.data, .stride = x.stride, .rows = x.rows};
  kernels::column_mean(context.queue(), {.parts = &part,
                                         .part_count = 1,
                                         .cols = x.cols,
                                         .sums = scratch.take<double>(kernels::kColumnMeanSums * x.cols),
                                         .mean = mean});
  kernels::scale_matrix(
      context.queue(),
      kernels::ScaleMatrix<float>{
          .x = mean, .x_stride = x.cols, .y = rounded_mean, .y_stride = x.cols, .rows = 1, .cols = x.cols});
  subtract(context, rounded_mean, x, centred);
  return centred;
}

}  // namespace

StructureLoss::StructureLoss(Context& context, int64_t max_rows, int64_t original_dim, int64_t aligned_dim,
                             const StructureOptions& options)
    : context_(&context),
      max_rows_((detail::check_affinity_shape("structure: original", max_rows, original_dim), max_rows)),
      original_dim_(original_dim),
      aligned_dim_((detail::check_affinity_shape("structure: aligned", max_rows, aligned_dim), aligned_dim)),
      c_(detail::inverse("temperature", options.temperature)),
      strip_rows_(detail::strip_height(context, max_rows, max_rows, detail::StripOrigin::kProduct,
                                       options.strip_rows)),
      ones_(context, std::vector<float>(static_cast<size_t>(strip_rows_), 1.0f)),
      value_(context, 1) {}

// With G = dLoss/dS, A the aligned rows and Ac = A - 1 mean':
//   dLoss/dAc = (G + G') Ac,   dLoss/dA = dLoss/dAc minus its column mean.
// The rows of G sum to 0, so G' Ac has mean 0; the mean of G Ac is w' Ac / n, with w the column sums of G.
// Hence only w has to be kept until all strips are done.
void StructureLoss::run(ConstMatrixF original, ConstMatrixF aligned, MatrixF d_aligned,
                        double gradient_scale) {
  const int64_t n = aligned.rows;
  if (n < 1 || n > max_rows_ || aligned.cols != aligned_dim_)
    throw InvalidArgument(fmt::format("structure: aligned: expected [1 to {}, {}], found [{}, {}]", max_rows_,
                                      aligned_dim_, n, aligned.cols));
  if (original.rows != n || original.cols != original_dim_)
    throw InvalidArgument(fmt::format("structure: original: expected [{}, {}], found [{}, {}]", n,
                                      original_dim_, original.rows, original.cols));
  const bool differentiate = d_aligned.data != nullptr;
  if (differentiate && (d_aligned.rows != n || d_aligned.cols != aligned_dim_))
    throw InvalidArgument(fmt::format("structure: d_aligned: expected [{}, {}], found [{}, {}]", n,
                                      aligned_dim_, d_aligned.rows, d_aligned.cols));
  Context& context = *context_;
  const int64_t height = std::min(strip_rows_, n);
  Workspace workspace(context);
  const MatrixF r = centre(context, workspace, original), a = centre(context, workspace, aligned);
  const MatrixF column_sums = workspace.take_matrix<float>(1, n),
                mean = workspace.take_matrix<float>(1, aligned_dim_);
  float* s_memory = workspace.take<float>(height * n);
  const detail::ProductStrips s(context, {a, a}, height, s_memory),
      s0(context, {r, r}, height, workspace.take<float>(height * n));
  kernels::JensenShannon args{.rows = height,
                              .cols = n,
                              .c = c_,
                              .weight = 1.0 / static_cast<double>(n),
                              .gradient_scale = static_cast<float>(gradient_scale),
                              .value = value_.data()};
  args.scratch =
      workspace.take<unsigned char>(static_cast<int64_t>(jensen_shannon_scratch(context.queue(), args)));
  s.for_each([&](ConstMatrixF strip, int64_t begin) {
    const ConstMatrixF strip0 = s0.strip(begin);
    const MatrixF gradient(s_memory, strip.rows, n);  // overwrites S
    args.s = strip.data, args.s_stride = strip.stride;
    args.s0 = strip0.data, args.s0_stride = strip0.stride;
    args.rows = strip.rows;
    args.gradient = differentiate ? gradient.data : nullptr;
    args.gradient_stride = gradient.stride;
    args.add_value = begin > 0;
    jensen_shannon(context.queue(), args);
    if (!differentiate) return;
    gemm(context, Op::kNone, Op::kNone, 1.0f, gradient, a, 1.0f, d_aligned.row_range(begin, strip.rows));
    gemm(context, Op::kTranspose, Op::kNone, 1.0f, gradient, a.row_range(begin, strip.rows), 1.0f, d_aligned);
    gemm(context, Op::kNone, Op::kNone, 1.0f, {ones_.data(), 1, strip.rows}, gradient,
         begin > 0 ? 1.0f : 0.0f, column_sums);
  });
  if (!differentiate) return;
  gemm(context, Op::kNone, Op::kNone, 1.0f / static_cast<float>(n), column_sums, a, 0.0f, mean);
  subtract(context, mean.data, d_aligned, d_aligned);
}

double StructureLoss::value() const { return value_.download()[0]; }

}  // namespace sotalign
