#include "sotalign/loss/siglip.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/normalize_rows.h"
#include "kernels/siglip.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

namespace {

/// Unit rows in workspace memory, with the norms that the backward pass needs.
struct UnitRows {
  MatrixF rows;
  float* norms;
};

UnitRows normalize(Context& context, Workspace& scratch, ConstMatrixF x) {
  const UnitRows unit{scratch.take_matrix<float>(x.rows, x.cols), scratch.take<float>(x.rows)};
  kernels::normalize_rows(context.queue(), {.x = x.data,
                                            .x_stride = x.stride,
                                            .y = unit.rows.data,
                                            .y_stride = unit.rows.stride,
                                            .norms = unit.norms,
                                            .rows = x.rows,
                                            .cols = x.cols});
  return unit;
}

/// Turns the gradient of the unit rows into that of the original rows, in place.
void normalize_backward(Context& context, const UnitRows& unit, MatrixF grad) {
  kernels::normalize_rows_backward(context.queue(), {.y = unit.rows.data,
                                                     .y_stride = unit.rows.stride,
                                                     .norms = unit.norms,
                                                     .dy = grad.data,
                                                     .dy_stride = grad.stride,
                                                     .dx = grad.data,
                                                     .dx_stride = grad.stride,
                                                     .rows = grad.rows,
                                                     .cols = grad.cols});
}

}  // namespace

void siglip_of_cosines(Context& context, ConstMatrixF k, const float* log_scale, const float* bias,
                       const SiglipOptions& options, const SiglipOutput& output) {
  if (k.empty())
    throw InvalidArgument(
        fmt::format("siglip: K: expected at least one row and column, found [{}, {}]", k.rows, k.cols));
  if (output.grad_k.rows != k.rows || output.grad_k.cols != k.cols)
    throw InvalidArgument(fmt::format("siglip: grad_k: expected the shape of K, [{}, {}], found [{}, {}]",
                                      k.rows, k.cols, output.grad_k.rows, output.grad_k.cols));
  const int64_t most = std::min(k.rows, k.cols);
  if (options.pairs < 0 || options.pairs > most)
    throw InvalidArgument(
        fmt::format("siglip: pairs: expected 1 to {} (or 0 for all), found {}", most, options.pairs));
  if (!std::isfinite(options.weight))
    throw InvalidArgument(fmt::format("siglip: weight: expected a finite number, found {}", options.weight));
  Workspace scratch(context);
  kernels::siglip(context.queue(), {.k = k.data,
                                    .k_stride = k.stride,
                                    .rows = k.rows,
                                    .cols = k.cols,
                                    .pairs = options.pairs == 0 ? most : options.pairs,
                                    .log_scale = log_scale,
                                    .bias = bias,
                                    .weight = options.weight,
                                    .add_grad_parameters = options.add_grad_parameters,
                                    .grad_k = output.grad_k.data,
                                    .grad_stride = output.grad_k.stride,
                                    .value = output.value,
                                    .grad_log_scale = output.grad_log_scale,
                                    .grad_bias = output.grad_bias,
                                    .scratch = scratch.take<double>(3 * k.rows)});
}

SiglipResult siglip(Context& context, ConstMatrixF f, ConstMatrixF g, float log_scale, float bias,
                    const SiglipOptions& options) {
  if (f.cols != g.cols)
    throw InvalidArgument(
        fmt::format("siglip: expected f and g with equally many columns, found {} and {}", f.cols, g.cols));
  SiglipResult result;
  result.grad_f = Matrix<float>(context, f.rows, f.cols, "gradient of f");
  result.grad_g = Matrix<float>(context, g.rows, g.cols, "gradient of g");
  const Buffer<float> parameters(context, {log_scale, bias}, "siglip parameters");
  Buffer<float> grad_parameters(context, 2, "siglip parameter gradients");
  Buffer<double> value(context, 1, "siglip value");

  Workspace scratch(context);
  const UnitRows unit_f = normalize(context, scratch, f), unit_g = normalize(context, scratch, g);
  const MatrixF k = scratch.take_matrix<float>(f.rows, g.rows);
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, unit_f.rows, unit_g.rows, 0.0f, k);
  siglip_of_cosines(context, k, parameters.data(), parameters.data() + 1, options,
                    {.grad_k = k,
                     .value = value.data(),
                     .grad_log_scale = grad_parameters.data(),
                     .grad_bias = grad_parameters.data() + 1});
  gemm(context, Op::kNone, Op::kNone, 1.0f, k, unit_g.rows, 0.0f, result.grad_f);
  gemm(context, Op::kTranspose, Op::kNone, 1.0f, k, unit_f.rows, 0.0f, result.grad_g);
  normalize_backward(context, unit_f, result.grad_f);
  normalize_backward(context, unit_g, result.grad_g);
  result.value = value.download()[0];
  const std::vector<float> grads = grad_parameters.download();
  result.grad_log_scale = grads[0];
  result.grad_bias = grads[1];
  return result;
}

}  // namespace sotalign
