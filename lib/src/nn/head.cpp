#include "sotalign/nn/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/bias_activation.h"
#include "kernels/column_sum.h"
#include "kernels/normalize_rows.h"
#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

namespace {

// Rows per tile: enough for an efficient matrix product, few enough to keep the hidden layers' outputs small.
constexpr int64_t kEmbedTile = 4096;

kernels::Activation kernel_activation(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return kernels::Activation::kNone;
    case Activation::kRelu:
      return kernels::Activation::kRelu;
    case Activation::kGelu:
      return kernels::Activation::kGelu;
    case Activation::kTanh:
      return kernels::Activation::kTanh;
  }
  throw InvalidArgument(fmt::format("activation: {} is not one", static_cast<int>(activation)));
}

void check_shape(const char* name, ConstMatrixF matrix, int64_t rows, int64_t cols) {
  if (matrix.rows != rows || matrix.cols != cols)
    throw InvalidArgument(
        fmt::format("{}: expected [{}, {}], found [{}, {}]", name, rows, cols, matrix.rows, matrix.cols));
}

void normalize(Context& context, MatrixF y, float* norms) {
  kernels::normalize_rows(context.queue(), {.x = y.data,
                                            .x_stride = y.stride,
                                            .y = y.data,
                                            .y_stride = y.stride,
                                            .norms = norms,
                                            .rows = y.rows,
                                            .cols = y.cols});
}

}  // namespace

std::string to_string(Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return "none";
    case Activation::kRelu:
      return "relu";
    case Activation::kGelu:
      return "gelu";
    case Activation::kTanh:
      return "tanh";
  }
  throw InvalidArgument(fmt::format("activation: {} is not one", static_cast<int>(activation)));
}

bool Activations::keeps_linear(const Head& head, int64_t layer) {
  return kernels::backward_needs_input(kernel_activation(head.options().activation)) &&
         layer + 1 < head.layers();
}

int64_t Activations::memory_bytes(const Head& head, int64_t max_rows) {
  int64_t columns = 1;  // the norm
  for (int64_t layer = 0; layer < head.layers(); ++layer)
    columns += head.width(layer) * (keeps_linear(head, layer) ? 2 : 1);
  return checked_product("activations", checked_product("activations", max_rows, columns), sizeof(float));
}

Activations::Activations(Context& context, const Head& head, int64_t max_rows)
    : options_(head.options()), max_rows_(max_rows) {
  if (max_rows < 0) throw InvalidArgument(fmt::format("max_rows: expected at least 0, found {}", max_rows));
  for (int64_t layer = 0; layer < head.layers(); ++layer) {
    outputs_.emplace_back(context, max_rows, head.width(layer), "activations");
    if (keeps_linear(head, layer)) linear_.emplace_back(context, max_rows, head.width(layer), "activations");
  }
  norms_ = Buffer<float>(context, max_rows, "activations");
}

Head::Head(HeadOptions options, const std::string& name, ParameterSet& parameters)
    : options_(std::move(options)) {
  std::vector<int64_t> widths = options_.hidden;
  widths.push_back(options_.output_dim);
  int64_t inputs = options_.input_dim;
  if (inputs < 1)
    throw InvalidArgument(fmt::format("{}: input_dim: expected at least 1, found {}", name, inputs));
  for (const int64_t outputs : widths) {
    if (outputs < 1)
      throw InvalidArgument(fmt::format("{}: layer {}: expected a width of at least 1, found {}", name,
                                        weights_.size(), outputs));
    const float bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(inputs)));
    const std::string layer = fmt::format("{}.{}", name, weights_.size());
    weights_.push_back(
        parameters.add({.name = layer + ".weight", .shape = {outputs, inputs}, .spread = bound}));
    biases_.push_back(
        parameters.add({.name = layer + ".bias", .shape = {outputs}, .decay = false, .spread = bound}));
    inputs = outputs;
  }
  if (!options_.residual) return;
  if (options_.hidden.empty())
    throw InvalidArgument(fmt::format("{}: residual: expected hidden layers, found none", name));
  const float bound = static_cast<float>(1.0 / std::sqrt(static_cast<double>(options_.input_dim)));
  residual_ = parameters.add({.name = name + ".residual.weight",
                              .shape = {options_.output_dim, options_.input_dim},
                              .spread = bound});
}

int64_t Head::width(int64_t layer) const {
  return layer + 1 < layers() ? options_.hidden[static_cast<size_t>(layer)] : options_.output_dim;
}

int64_t Head::widest() const {
  int64_t widest = 0;
  for (int64_t layer = 0; layer < layers(); ++layer) widest = std::max(widest, width(layer));
  return widest;
}

int64_t Head::backward_scratch_bytes(int64_t rows) const {
  const int64_t buffers = std::min<int64_t>(layers() - 1, 2);
  return kernels::column_sum_blocks(rows) * widest() * static_cast<int64_t>(sizeof(double)) +
         rows * (options_.output_dim + buffers * widest()) * static_cast<int64_t>(sizeof(float));
}

void Head::check_input(ConstMatrixF x) const { check_shape("x", x, x.rows, options_.input_dim); }

void Head::check_activations(const Activations& saved) const {
  if (saved.options_ != options_)
    throw InvalidArgument("saved: expected activations made for this head, found those of a different one");
}

void Head::apply_layer(Context& context, const ParameterSet& parameters, int64_t layer, ConstMatrixF z,
                       ConstMatrixF x, MatrixF linear, MatrixF y) const {
  const size_t l = static_cast<size_t>(layer);
  const bool last = layer + 1 == layers();
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, x, parameters.value(weights_[l]), 0.0f, linear);
  if (last && residual_ >= 0)
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, z, parameters.value(residual_), 1.0f, linear);
  kernels::bias_activation(context.queue(), {.activation = last ? kernels::Activation::kNone
                                                                : kernel_activation(options_.activation),
                                             .x = linear.data,
                                             .x_stride = linear.stride,
                                             .bias = parameters.value(biases_[l]).data,
                                             .y = y.data,
                                             .y_stride = y.stride,
                                             .rows = y.rows,
                                             .cols = y.cols});
}

ConstMatrixF Head::forward(Context& context, const ParameterSet& parameters, ConstMatrixF x,
                           Activations& saved) const {
  check_input(x);
  check_activations(saved);
  if (x.rows > saved.max_rows_)
    throw InvalidArgument(
        fmt::format("x: expected at most the {} rows that the activations are sized for, found {}",
                    saved.max_rows_, x.rows));
  saved.rows_ = x.rows;
  const ConstMatrixF z = x;
  MatrixF y;
  for (size_t l = 0; l < weights_.size(); ++l) {
    y = saved.outputs_[l].view().row_range(0, x.rows);
    const MatrixF linear = l < saved.linear_.size() ? saved.linear_[l].view().row_range(0, y.rows) : y;
    apply_layer(context, parameters, static_cast<int64_t>(l), z, x, linear, y);
    x = y;
  }
  normalize(context, y, saved.norms_.data());
  return y;
}

void Head::backward(Context& context, ParameterSet& parameters, ConstMatrixF x, const Activations& saved,
                    ConstMatrixF d_unit_rows) const {
  check_activations(saved);
  const int64_t rows = saved.rows_;
  check_shape("x", x, rows, options_.input_dim);
  check_shape("d_unit_rows", d_unit_rows, rows, options_.output_dim);

  const int64_t widest = this->widest();
  Workspace scratch(context);
  double* sums = scratch.take<double>(kernels::column_sum_blocks(rows) * widest);
  MatrixF gradient = scratch.take_matrix<float>(rows, options_.output_dim);
  // Each iteration reads a layer's gradient and writes that of the previous layer, so two buffers alternate.
  float* free_buffer = layers() > 1 ? scratch.take<float>(rows * widest) : nullptr;
  float* other_buffer = layers() > 2 ? scratch.take<float>(rows * widest) : nullptr;

  const ConstMatrixF unit = saved.outputs_.back().view();
  kernels::normalize_rows_backward(context.queue(), {.y = unit.data,
                                                     .y_stride = unit.stride,
                                                     .norms = saved.norms_.data(),
                                                     .dy = d_unit_rows.data,
                                                     .dy_stride = d_unit_rows.stride,
                                                     .dx = gradient.data,
                                                     .dx_stride = gradient.stride,
                                                     .rows = rows,
                                                     .cols = gradient.cols});
  if (residual_ >= 0)
    gemm(context, Op::kTranspose, Op::kNone, 1.0f, gradient, x, 0.0f, parameters.gradient(residual_));
  for (size_t l = weights_.size(); l-- > 0;) {
    const ConstMatrixF input = l == 0 ? x : saved.outputs_[l - 1].view().row_range(0, rows);
    gemm(context, Op::kTranspose, Op::kNone, 1.0f, gradient, input, 0.0f, parameters.gradient(weights_[l]));
    kernels::column_sum(context.queue(), {.x = gradient.data,
                                          .x_stride = gradient.stride,
                                          .sum = parameters.gradient(biases_[l]).data,
                                          .scratch = sums,
                                          .rows = rows,
                                          .cols = gradient.cols});
    if (l == 0) return;

    const MatrixF before(free_buffer, rows, input.cols);
    gemm(context, Op::kNone, Op::kNone, 1.0f, gradient, parameters.value(weights_[l]), 0.0f, before);
    const ConstMatrixF kept = saved.linear_.empty() ? input : saved.linear_[l - 1].view();
    kernels::bias_activation_backward(context.queue(), {.activation = kernel_activation(options_.activation),
                                                        .saved = kept.data,
                                                        .saved_stride = kept.stride,
                                                        .bias = parameters.value(biases_[l - 1]).data,
                                                        .dy = before.data,
                                                        .dy_stride = before.stride,
                                                        .dx = before.data,
                                                        .dx_stride = before.stride,
                                                        .rows = rows,
                                                        .cols = before.cols});
    gradient = before;
    std::swap(free_buffer, other_buffer);
  }
}

void Head::embed(Context& context, const ParameterSet& parameters, ConstMatrixF x, MatrixF out) const {
  check_input(x);
  check_shape("out", out, x.rows, options_.output_dim);
  int64_t widest = 0;
  for (const int64_t hidden : options_.hidden) widest = std::max(widest, hidden);
  Workspace scratch(context);
  const int64_t tile = std::min(x.rows, kEmbedTile);
  float* free_buffer = scratch.take<float>(tile * widest);
  float* other_buffer = scratch.take<float>(tile * widest);
  for (int64_t first = 0; first < x.rows; first += tile) {
    const int64_t rows = std::min(tile, x.rows - first);
    ConstMatrixF input = x.row_range(first, rows);
    for (int64_t layer = 0; layer < layers(); ++layer) {
      const MatrixF y =
          layer + 1 == layers() ? out.row_range(first, rows) : MatrixF(free_buffer, rows, width(layer));
      apply_layer(context, parameters, layer, x.row_range(first, rows), input, y, y);
      input = y;
      std::swap(free_buffer, other_buffer);
    }
    normalize(context, out.row_range(first, rows), nullptr);
  }
}

}  // namespace sotalign
