#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/row_products.h"
#include "teacher/self_training/implementation.h"

namespace sotalign {

namespace {

/// |a - b| / max(|a|, |b|); not finite if an entry is not.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, a_squares = 0, b_squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    difference += (x - y) * (x - y), a_squares += x * x, b_squares += y * y;
  }
  return difference == 0 ? 0 : std::sqrt(difference / std::max(a_squares, b_squares));
}

}  // namespace

void SelfTraining::Implementation::add_to_averages(ConstMatrixF x, ConstMatrixF y, ConstMatrixF moved,
                                                   double rate) {
  Workspace scratch(context_);
  const auto add = [&](double factor, ConstMatrixD a, ConstMatrixD b, Matrix<double>& average) {
    gemm(context_, Op::kTranspose, Op::kNone, rate * factor, a, b, 1 - rate, average);
  };
  const MatrixD x0 = x_->centered_in_double(context_, scratch, x),
                y0 = y_->centered_in_double(context_, scratch, y),
                target = scratch.take_matrix<double>(x.rows, y.cols);
  detail::center(context_, moved, Buffer<double>(context_, y.cols), target);
  const bool first = report_.pass == 0;
  if (first || !x_->takes_all()) add(1.0 / static_cast<double>(x.rows), x0, x0, x_->average);
  if (first || !y_->takes_all()) add(1.0 / static_cast<double>(y.rows), y0, y0, y_->average);
  add(1.0, x0, target, average_xy_);
}

double SelfTraining::Implementation::change(const Teacher& fitted, ConstMatrixF x, ConstMatrixF y, MatrixF f,
                                            MatrixF g) const {
  Workspace scratch(context_);
  const int64_t rows = std::min(x.rows, detail::kProbeRows), cols = std::min(y.rows, detail::kProbeRows);
  const MatrixF affinity = scratch.take_matrix<float>(rows, cols);
  cosines(context_, f.row_range(0, rows), g.row_range(0, cols), affinity);
  const std::vector<float> before = detail::on_host(context_, affinity);
  const MatrixF new_f = scratch.take_matrix<float>(rows, fitted.dim()),
                new_g = scratch.take_matrix<float>(cols, fitted.dim());
  fitted.project(context_, Side::kX, x.row_range(0, rows), new_f);
  fitted.project(context_, Side::kY, y.row_range(0, cols), new_g);
  cosines(context_, new_f, new_g, affinity);
  return relative_difference(detail::on_host(context_, affinity), before);
}

void SelfTraining::Implementation::pass() {
  Context& context = context_;
  Workspace scratch(context);
  PassReport report;
  report.pass = report_.pass + 1;
  const ConstMatrixF x = x_->draw(context, scratch, report_.pass),
                     y = y_->draw(context, scratch, report_.pass);
  const MatrixF f = scratch.take_matrix<float>(x.rows, teacher_.dim()),
                g = scratch.take_matrix<float>(y.rows, teacher_.dim());
  teacher_.project(context, Side::kX, x, f);
  teacher_.project(context, Side::kY, y, g);
  const MatrixF moved = scratch.take_matrix<float>(x.rows, y.cols);
  plan_product_->run(context, f, g, y_->centered(context, scratch, y), moved, report);

  add_to_averages(x, y, moved, report.pass == 1 ? 1.0 : options_.rate);
  Teacher fitted = fit();
  for (const double correlation : fitted.correlations) report.correlation_sum += correlation;

  report.change = change(fitted, x, y, f, g);
  if (!std::isfinite(report.change))
    throw NumericalError(fmt::format(
        "self-training: expected finite projections by the teacher of pass {}, found others", report.pass));
  teacher_ = std::move(fitted);
  report_ = report;
}

}  // namespace sotalign
