// Linear maps without bias, trained with SigLIP on the pairs: the closed forms fit covariances, this fits the
// ranking itself. Training runs entirely on the device; a step computes
//   F = rows(A0 Wx) / lengths, G = rows(B0 Wy) / lengths, K = F G', loss = SigLIP(K),
// and the backward pass.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/plain_nan.h"
#include "kernels/center_rows.h"
#include "kernels/gather_rows.h"
#include "kernels/normalize_rows.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/loss/siglip.h"
#include "sotalign/nn/parameters.h"
#include "sotalign/optim/optimizer.h"
#include "sotalign/optim/schedule.h"
#include "sotalign/sampling/batch_sampler.h"
#include "teacher/reduced.h"

namespace sotalign::detail {

namespace {

/// One modality: its centred pairs, its map, and the buffers of a step.
class Branch {
 public:
  Branch(Context& context, ConstMatrixF pairs, const char* name, int64_t batch, int64_t dim,
         ParameterSet& parameters)
      : centered_(context, pairs.rows, pairs.cols, "centred pairs"),
        batch_(context, batch, pairs.cols, "batch of pairs"),
        unit_(context, batch, dim, "unit rows"),
        gradient_(context, batch, dim, "gradients of a batch"),
        norms_(context, batch, "lengths of rows") {
    const std::vector<double> exact = mean_of_pairs(context, pairs, name);
    mean_ = Buffer<float>(context, std::vector<float>(exact.begin(), exact.end()), "mean of the pairs");
    kernels::center_rows(context.queue(), kernels::CenterRows<float>{.x = pairs.data,
                                                                     .x_stride = pairs.stride,
                                                                     .mean = mean_.data(),
                                                                     .y = centered_.data(),
                                                                     .y_stride = centered_.cols(),
                                                                     .rows = pairs.rows,
                                                                     .cols = pairs.cols});
    // The same initial spread as in a linear head.
    const double bound = 1.0 / std::sqrt(static_cast<double>(pairs.cols));
    weight_ = parameters.add({.name = fmt::format("teacher.{}", name),
                              .shape = {pairs.cols, dim},
                              .spread = static_cast<float>(bound)});
  }

  ConstMatrixF forward(Context& context, const ParameterSet& parameters, const int64_t* index) {
    kernels::gather_rows(context.queue(), {.x = centered_.data(),
                                           .x_stride = centered_.cols(),
                                           .index = index,
                                           .y = batch_.data(),
                                           .y_stride = batch_.cols(),
                                           .rows = batch_.rows(),
                                           .cols = batch_.cols()});
    gemm(context, Op::kNone, Op::kNone, 1.0f, batch_, parameters.value(weight_), 0.0f, unit_);
    kernels::normalize_rows(context.queue(), {.x = unit_.data(),
                                              .x_stride = unit_.cols(),
                                              .y = unit_.data(),
                                              .y_stride = unit_.cols(),
                                              .norms = norms_.data(),
                                              .rows = unit_.rows(),
                                              .cols = unit_.cols()});
    return unit_.view();
  }

  /// dF = op(dK) `others`, the other branch's unit rows, and from dF the gradient of the map.
  void backward(Context& context, ParameterSet& parameters, ConstMatrixF d_affinity, Op op,
                ConstMatrixF others) {
    gemm(context, op, Op::kNone, 1.0f, d_affinity, others, 0.0f, gradient_);
    kernels::normalize_rows_backward(context.queue(), {.y = unit_.data(),
                                                       .y_stride = unit_.cols(),
                                                       .norms = norms_.data(),
                                                       .dy = gradient_.data(),
                                                       .dy_stride = gradient_.cols(),
                                                       .dx = gradient_.data(),
                                                       .dx_stride = gradient_.cols(),
                                                       .rows = gradient_.rows(),
                                                       .cols = gradient_.cols()});
    gemm(context, Op::kTranspose, Op::kNone, 1.0f, batch_, gradient_, 0.0f, parameters.gradient(weight_));
  }

  Matrix<float> map(Context& context, const ParameterSet& parameters) const {
    const ConstMatrixF weight = parameters.value(weight_);
    Matrix<float> copy(context, weight.rows, weight.cols, "projection");
    context.copy_on_device(copy.data(), weight.data, static_cast<size_t>(weight.size()) * sizeof(float));
    return copy;
  }
  Buffer<float> take_mean() { return std::move(mean_); }

 private:
  Buffer<float> mean_;
  Matrix<float> centered_, batch_, unit_, gradient_;
  Buffer<float> norms_;
  int weight_ = 0;
};

}  // namespace

Teacher fit_contrastive(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options) {
  const ContrastiveOptions& o = options.contrastive;
  const int64_t dim = *options.dim == 0 ? kLargestDefaultDim : *options.dim;
  const BatchSampler sampler(a.rows, o.batch, options.seed, stream_id("teacher.pairs"));
  const int64_t batch = sampler.batch();

  ParameterSet parameters;
  Branch x(context, a, "a", batch, dim, parameters), y(context, b, "b", batch, dim, parameters);
  // Logit scale and bias start as in train/model.cpp.
  const int scale = parameters.add_scalar("log_scale", static_cast<float>(std::log(20.0)));
  const int bias = parameters.add_scalar("bias", -10.0f);
  parameters.allocate(context);
  parameters.initialize(options.seed);
  Optimizer optimizer(context, parameters.size());
  Buffer<int64_t> index(context, batch, "batch of pairs");
  Matrix<float> affinity(context, batch, batch, "affinity of the pairs");
  Buffer<double> loss(context, 1);

  for (int64_t step = 0; step < o.steps; ++step) {
    sampler.sample(context, step, index.data());
    const ConstMatrixF f = x.forward(context, parameters, index.data()),
                       g = y.forward(context, parameters, index.data());
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, f, g, 0.0f, affinity);
    siglip_of_cosines(context, affinity, parameters.value(scale).data, parameters.value(bias).data, {},
                      {.grad_k = affinity,
                       .value = loss.data(),
                       .grad_log_scale = parameters.gradient(scale).data,
                       .grad_bias = parameters.gradient(bias).data});
    x.backward(context, parameters, affinity, Op::kNone, g);
    y.backward(context, parameters, affinity, Op::kTranspose, f);
    optimizer.step(parameters.values(), parameters.gradients(), parameters.size(), parameters.decayed_size(),
                   learning_rate({.peak = o.learning_rate}, step, o.steps));
  }
  const double last = loss.download()[0];
  if (!std::isfinite(last))
    throw NumericalError(
        fmt::format("contrastive teacher: the loss is {} after {} steps; try a smaller learning rate",
                    plain_nan(last), o.steps));

  Teacher teacher;
  teacher.kind = TeacherKind::kContrastive;
  teacher.mean_x = x.take_mean();
  teacher.mean_y = y.take_mean();
  teacher.wx = x.map(context, parameters);
  teacher.wy = y.map(context, parameters);
  return teacher;
}

}  // namespace sotalign::detail
