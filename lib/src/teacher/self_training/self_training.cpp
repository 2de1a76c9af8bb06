#include "sotalign/teacher/self_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "teacher/check_self_training.h"
#include "teacher/reduced.h"
#include "teacher/self_training/implementation.h"

namespace sotalign {

namespace {

void check_shapes(ConstMatrixF a, ConstMatrixF b, const RowSet& x, const RowSet& y) {
  if (a.rows != b.rows || a.rows < 2 || a.cols < 1 || b.cols < 1)
    throw InvalidArgument(
        fmt::format("pairs: expected both sides with the same number of rows, at least 2, found [{}, {}] and "
                    "[{}, {}]",
                    a.rows, a.cols, b.rows, b.cols));
  for (const auto& [name, unpaired, pairs] :
       {std::tuple{"unpaired_x", &x, a}, std::tuple{"unpaired_y", &y, b}})
    if (unpaired->rows() < 1 || unpaired->cols() != pairs.cols)
      throw InvalidArgument(
          fmt::format("{}: expected at least one row of {} columns, as the pairs have, found "
                      "[{}, {}]",
                      name, pairs.cols, unpaired->rows(), unpaired->cols()));
}

}  // namespace

SelfTraining::Implementation::Implementation(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y,
                                             const RowSet& unpaired_x, const RowSet& unpaired_y,
                                             const SelfTrainingOptions& options)
    : context_(context), options_(options) {
  detail::check_self_training(options);
  check_shapes(pairs_x, pairs_y, unpaired_x, unpaired_y);
  // c N / (p + c N), in a form that does not overflow.
  const auto pairs = static_cast<double>(pairs_x.rows),
             unpaired = static_cast<double>(std::min(unpaired_x.rows(), unpaired_y.rows()));
  share_ = 1 / (1 + pairs / unpaired / options.unpaired_weight);
  detail::PrincipalBasis x = detail::principal_basis(context, pairs_x, "pairs_x"),
                         y = detail::principal_basis(context, pairs_y, "pairs_y");
  const Matrix<double> a0 = detail::centered_rows(context, pairs_x, x.mean),
                       b0 = detail::centered_rows(context, pairs_y, y.mean);
  x_.emplace(context, x.mean.download(), a0, "unpaired_x", unpaired_x, share_, options);
  y_.emplace(context, y.mean.download(), b0, "unpaired_y", unpaired_y, share_, options);
  plan_product_.emplace(context, x_->batch(), y_->batch(), options);

  one_ = Matrix<double>(context, std::vector<double>{1.0}.data(), 1, 1);
  pairs_xy_ = Matrix<double>(context, a0.cols(), b0.cols(), "cross-covariance of the pairs");
  gemm(context, Op::kTranspose, Op::kNone, 1.0 / pairs, a0, b0, 0.0, pairs_xy_);
  average_xy_ = Matrix<double>(context, a0.cols(), b0.cols(), "running cross-covariance");
  const std::vector<double> dx = detail::whitening(x, options.ridge),
                            dy = detail::whitening(y, options.ridge);
  teacher_ = detail::teacher_from_bases(context, teacher_options(), std::move(x), std::move(y), dx, dy, pairs,
                                        detail::Columns::kAtMost);
}

SelfTraining::SelfTraining(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y,
                           const RowSet& unpaired_x, const RowSet& unpaired_y,
                           const SelfTrainingOptions& options)
    : implementation_(
          std::make_unique<Implementation>(context, pairs_x, pairs_y, unpaired_x, unpaired_y, options)) {}
SelfTraining::~SelfTraining() = default;
SelfTraining::SelfTraining(SelfTraining&&) noexcept = default;
SelfTraining& SelfTraining::operator=(SelfTraining&&) noexcept = default;

void SelfTraining::pass() { implementation_->pass(); }
int64_t SelfTraining::passes_done() const { return implementation_->report().pass; }
bool SelfTraining::finished() const { return implementation_->finished(); }
const PassReport& SelfTraining::last() const { return implementation_->report(); }
const Teacher& SelfTraining::teacher() const { return implementation_->teacher(); }
Teacher SelfTraining::take_teacher() { return std::move(implementation_->teacher()); }
double SelfTraining::unpaired_share() const { return implementation_->share(); }
std::map<std::string, std::vector<double>> SelfTraining::state() const { return implementation_->state(); }
void SelfTraining::restore(const std::map<std::string, std::vector<double>>& state) {
  implementation_->restore(state);
}

Teacher self_train(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y, const RowSet& unpaired_x,
                   const RowSet& unpaired_y, const SelfTrainingOptions& options) {
  SelfTraining training(context, pairs_x, pairs_y, unpaired_x, unpaired_y, options);
  while (!training.finished()) training.pass();
  return training.take_teacher();
}

}  // namespace sotalign
