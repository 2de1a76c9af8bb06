#include "sotalign/teacher/self_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include "kernels/center_rows.h"
#include "ot/strips.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/linalg/column_mean.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/row_products.h"
#include "sotalign/sampling/batch_sampler.h"
#include "teacher/check_self_training.h"
#include "teacher/reduced.h"

namespace sotalign {

namespace {

/// Rows of each side that the report measures the plan and the change on.
constexpr int64_t kProbeRows = 256;
/// Entries of the largest affinity that PlanMemory::kAuto stores: 1 GiB with its density.
constexpr int64_t kLargestStored = int64_t{1} << 27;

void check_number(const char* name, double value, bool valid, const char* expected) {
  if (!valid) throw InvalidArgument(fmt::format("{}: expected {}, found {}", name, expected, value));
}
void check_count(const char* name, int64_t value, int64_t least) {
  if (value < least)
    throw InvalidArgument(fmt::format("{}: expected at least {}, found {}", name, least, value));
}

}  // namespace

void detail::check_self_training(const SelfTrainingOptions& o) {
  const auto nonnegative = [](const char* name, double value) {
    check_number(name, value, std::isfinite(value) && value >= 0, "a finite number >= 0");
  };
  check_count("passes", o.passes, 1);
  check_count("batch", o.batch, 1);
  check_count("dim", o.dim, 0);
  check_count("strip_rows", o.strip_rows, 0);
  nonnegative("unpaired_weight", o.unpaired_weight);
  check_number("rate", o.rate, o.rate > 0 && o.rate <= 1, "a number in (0, 1]");
  nonnegative("ridge", o.ridge);
  nonnegative("correlation_power", o.correlation_power);
  nonnegative("change_tolerance", o.change_tolerance);
  check_number("epsilon", o.epsilon, std::isfinite(o.epsilon) && o.epsilon > 0, "a finite number > 0");
}

SelfTrainingOptions with_teacher_options(SelfTrainingOptions options, const TeacherOptions& teacher) {
  options.ridge = teacher.ridge.value();
  options.correlation_power = teacher.correlation_power.value();
  if (teacher.dim.value() > 0) options.dim = teacher.dim.value();
  options.seed = teacher.seed;
  return options;
}

TeacherOptions first_teacher_options(TeacherOptions options) {
  if (options.kind == TeacherKind::kSelfTraining || options.kind == TeacherKind::kAuto)
    options.kind = TeacherKind::kCca;
  return options;
}

namespace {

void check_shapes(ConstMatrixF a, ConstMatrixF b, ConstMatrixF x, ConstMatrixF y) {
  if (a.rows != b.rows || a.rows < 2 || a.cols < 1 || b.cols < 1)
    throw InvalidArgument(
        fmt::format("pairs: expected both sides with the same number of rows, at least 2, found [{}, {}] and "
                    "[{}, {}]",
                    a.rows, a.cols, b.rows, b.cols));
  for (const auto& [name, unpaired, pairs] : {std::tuple{"unpaired_x", x, a}, std::tuple{"unpaired_y", y, b}})
    if (unpaired.rows < 1 || unpaired.cols != pairs.cols)
      throw InvalidArgument(
          fmt::format("{}: expected at least one row of {} columns, as the pairs have, found "
                      "[{}, {}]",
                      name, pairs.cols, unpaired.rows, unpaired.cols));
}

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

/// y += factor x, entry by entry, as the product of a column with the matrix `one` [1, 1].
void add_scaled(Context& context, double factor, const Matrix<double>& x, const Matrix<double>& one,
                Matrix<double>& y) {
  gemm(context, Op::kNone, Op::kNone, factor, ConstMatrixD(x.data(), x.size(), 1), one, 1.0,
       MatrixD(y.data(), y.size(), 1));
}

std::vector<float> host(Context& context, ConstMatrixF contiguous) {
  std::vector<float> values(static_cast<size_t>(contiguous.size()));
  context.copy_to_host(values.data(), contiguous.data, values.size() * sizeof(float));
  return values;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// exp of the mean entropy of the rows of `plan` [rows, cols], each scaled to sum 1.
double effective_matches(const std::vector<float>& plan, int64_t cols) {
  double entropy = 0, rows = 0;
  for (auto row = plan.begin(); row != plan.end(); row += cols) {
    // H = log s - (1/s) sum P log P with s = sum P
    double sum = 0, weighted = 0;
    for (auto value = row; value != row + cols; ++value)
      if (*value > 0) sum += *value, weighted += *value * std::log(static_cast<double>(*value));
    ++rows;
    if (sum > 0) entropy += std::log(sum) - weighted / sum;
  }
  return std::exp(entropy / rows);
}

/// |a - b| / max(|a|, |b|); not finite if an entry is not.
double relative_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, a_squares = 0, b_squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double x = a[i], y = b[i];
    difference += (x - y) * (x - y), a_squares += x * x, b_squares += y * y;
  }
  return difference == 0 ? 0 : std::sqrt(difference / std::max(a_squares, b_squares));
}

/// The rows of one modality.
class Rows {
 public:
  /// `pairs` [p, d] less their mean [d], and the unpaired rows.
  Rows(Context& context, const std::vector<double>& pairs_mean, ConstMatrixD pairs, const char* name,
       ConstMatrixF unpaired, double share, const SelfTrainingOptions& options)
      : pairs_covariance(context, pairs.cols, pairs.cols, "covariance of the pairs"),
        average(context, pairs.cols, pairs.cols, "running covariance"),
        mixed_mean(detail::mean_of_pairs(context, unpaired, name)),
        unpaired_(unpaired),
        batch_(std::min(options.batch, unpaired.rows)),
        // Batches of one row: a batch of this class skips the end of an epoch, so that no row occurs twice.
        order_(unpaired.rows, 1, options.seed, stream_id(fmt::format("self_training.{}", name))),
        exact_mean_(context, mixed_mean, "mean of the unpaired rows"),
        mean_(context, std::vector<float>(mixed_mean.begin(), mixed_mean.end()),
              "mean of the unpaired rows") {
    for (size_t i = 0; i < mixed_mean.size(); ++i)
      mixed_mean[i] = (1 - share) * pairs_mean[i] + share * mixed_mean[i];
    gemm(context, Op::kTranspose, Op::kNone, 1.0 / static_cast<double>(pairs.rows), pairs, pairs, 0.0,
         pairs_covariance);
  }

  int64_t batch() const { return batch_; }
  int64_t cols() const { return unpaired_.cols; }

  /// The rows of pass `pass`, counted from 0.
  ConstMatrixF draw(Context& context, Workspace& scratch, int64_t pass) const {
    if (batch_ == unpaired_.rows) return unpaired_;
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

  /// Rows less the mean of all unpaired rows.
  MatrixF centered(Context& context, Workspace& scratch, ConstMatrixF rows) const {
    const MatrixF out = scratch.take_matrix<float>(rows.rows, rows.cols);
    center(context, rows, mean_, out);
    return out;
  }
  MatrixD centered_in_double(Context& context, Workspace& scratch, ConstMatrixF rows) const {
    const MatrixD out = scratch.take_matrix<double>(rows.rows, rows.cols);
    center(context, rows, exact_mean_, out);
    return out;
  }

  Matrix<double> pairs_covariance;  // [d, d]
  Matrix<double> average;           // [d, d], Rxx or Ryy
  std::vector<double> mixed_mean;   // [d], of the teachers after the first

 private:
  ConstMatrixF unpaired_;
  int64_t batch_;
  BatchSampler order_;
  Buffer<double> exact_mean_;  // [d], of all unpaired rows
  Buffer<float> mean_;         // the same, rounded
};

}  // namespace

class SelfTraining::Implementation {
 public:
  Implementation(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y, ConstMatrixF unpaired_x,
                 ConstMatrixF unpaired_y, const SelfTrainingOptions& options)
      : context_(context), options_(options) {
    detail::check_self_training(options);
    check_shapes(pairs_x, pairs_y, unpaired_x, unpaired_y);
    // c N / (p + c N), in a form that does not overflow.
    const auto pairs = static_cast<double>(pairs_x.rows),
               unpaired = static_cast<double>(std::min(unpaired_x.rows, unpaired_y.rows));
    share_ = 1 / (1 + pairs / unpaired / options.unpaired_weight);
    detail::PrincipalBasis x = detail::principal_basis(context, pairs_x, "pairs_x"),
                           y = detail::principal_basis(context, pairs_y, "pairs_y");
    const Matrix<double> a0 = detail::centered_rows(context, pairs_x, x.mean),
                         b0 = detail::centered_rows(context, pairs_y, y.mean);
    x_.emplace(context, x.mean.download(), a0, "unpaired_x", unpaired_x, share_, options);
    y_.emplace(context, y.mean.download(), b0, "unpaired_y", unpaired_y, share_, options);
    const int64_t n = x_->batch(), m = y_->batch();
    stored_ = options.memory == PlanMemory::kStored ||
              (options.memory == PlanMemory::kAuto && n <= kLargestStored / m);
    if (!stored_) detail::check_form(options.solve);
    sinkhorn_.emplace(context, n, m, SinkhornOptions{.epsilon = options.epsilon, .solve = options.solve});

    one_ = Matrix<double>(context, std::vector<double>{1.0}.data(), 1, 1);
    pairs_xy_ = Matrix<double>(context, a0.cols(), b0.cols(), "cross-covariance of the pairs");
    gemm(context, Op::kTranspose, Op::kNone, 1.0 / pairs, a0, b0, 0.0, pairs_xy_);
    average_xy_ = Matrix<double>(context, a0.cols(), b0.cols(), "running cross-covariance");
    const std::vector<double> dx = detail::whitening(x, options.ridge),
                              dy = detail::whitening(y, options.ridge);
    teacher_ = detail::teacher_from_bases(context, teacher_options(), std::move(x), std::move(y), dx, dy,
                                          pairs, detail::Columns::kAtMost);
  }

  void pass();
  bool finished() const {
    return report_.pass >= options_.passes ||
           (report_.pass > 0 && options_.change_tolerance > 0 && report_.change <= options_.change_tolerance);
  }
  const PassReport& report() const { return report_; }
  Teacher& teacher() { return teacher_; }
  double share() const { return share_; }

  std::map<std::string, std::vector<double>> state() const;
  void restore(const std::map<std::string, std::vector<double>>& state);

 private:
  TeacherOptions teacher_options() const {
    return {.ridge = options_.ridge, .dim = options_.dim, .correlation_power = options_.correlation_power};
  }
  /// Solves for the plan of the unit rows f and g, and writes `moved` = P Y0 for y0 [m, dy].
  void transport(ConstMatrixF f, ConstMatrixF g, ConstMatrixF y0, MatrixF moved, PassReport& report);
  /// (1 - lam) of the pairs' + lam of the running covariance.
  Matrix<double> mixture(const Matrix<double>& pairs, const Matrix<double>& average) const;
  /// CCA of the mixtures.
  Teacher fit() const;

  Context& context_;
  SelfTrainingOptions options_;
  double share_ = 0;  // lam
  bool stored_ = true;
  std::optional<Rows> x_, y_;  // made after the options are checked
  std::optional<Sinkhorn> sinkhorn_;
  Matrix<double> one_;
  Matrix<double> pairs_xy_, average_xy_;  // [dx, dy]
  Teacher teacher_;
  PassReport report_;
};

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
  transport(f, g, y_->centered(context, scratch, y), moved, report);

  const double rate = report.pass == 1 ? 1.0 : options_.rate;
  const auto add = [&](double factor, ConstMatrixD a, ConstMatrixD b, Matrix<double>& average) {
    gemm(context, Op::kTranspose, Op::kNone, rate * factor, a, b, 1 - rate, average);
  };
  {
    Workspace inner(context);
    const MatrixD x0 = x_->centered_in_double(context, inner, x),
                  y0 = y_->centered_in_double(context, inner, y),
                  target = inner.take_matrix<double>(x.rows, y.cols);
    center(context, moved, Buffer<double>(context, y.cols), target);
    add(1.0 / static_cast<double>(x.rows), x0, x0, x_->average);
    add(1.0 / static_cast<double>(y.rows), y0, y0, y_->average);
    add(1.0, x0, target, average_xy_);
  }
  Teacher fitted = fit();
  for (const double correlation : fitted.correlations) report.correlation_sum += correlation;

  const int64_t rows = std::min(x.rows, kProbeRows), cols = std::min(y.rows, kProbeRows);
  const MatrixF affinity = scratch.take_matrix<float>(rows, cols);
  cosines(context, f.row_range(0, rows), g.row_range(0, cols), affinity);
  const std::vector<float> before = host(context, affinity);
  const MatrixF new_f = scratch.take_matrix<float>(rows, fitted.dim()),
                new_g = scratch.take_matrix<float>(cols, fitted.dim());
  fitted.project(context, Side::kX, x.row_range(0, rows), new_f);
  fitted.project(context, Side::kY, y.row_range(0, cols), new_g);
  cosines(context, new_f, new_g, affinity);
  report.change = relative_difference(host(context, affinity), before);
  if (!std::isfinite(report.change))
    throw NumericalError(fmt::format(
        "self-training: expected finite projections by the teacher of pass {}, found others", report.pass));
  teacher_ = std::move(fitted);
  report_ = report;
}

void SelfTraining::Implementation::transport(ConstMatrixF f, ConstMatrixF g, ConstMatrixF y0, MatrixF moved,
                                             PassReport& report) {
  const int64_t height = stored_ ? f.rows
                                 : detail::strip_height(context_, f.rows, g.rows,
                                                        detail::StripOrigin::kProduct, options_.strip_rows);
  const Embeddings embeddings{f, g};
  Workspace scratch(context_);
  const MatrixF strip = scratch.take_matrix<float>(height, g.rows);
  if (stored_) {
    cosines(context_, f, g, strip);
    sinkhorn_->solve(strip);
  } else {
    sinkhorn_->solve(embeddings, options_.strip_rows);
  }
  report.sinkhorn = sinkhorn_->results()[0];
  report.transport =
      -options_.epsilon * (mean_of(sinkhorn_->row_potentials(0)) + mean_of(sinkhorn_->column_potentials(0)));
  for (int64_t begin = 0; begin < f.rows; begin += height) {
    const MatrixF plan = strip.row_range(0, std::min(height, f.rows - begin));
    if (stored_)
      sinkhorn_->plan(plan, plan);
    else
      sinkhorn_->plan(embeddings, begin, plan);
    gemm(context_, Op::kNone, Op::kNone, 1.0f, plan, y0, 0.0f, moved.row_range(begin, plan.rows));
    if (begin == 0)
      report.effective_matches =
          effective_matches(host(context_, plan.row_range(0, std::min(plan.rows, kProbeRows))), plan.cols);
  }
}

Matrix<double> SelfTraining::Implementation::mixture(const Matrix<double>& pairs,
                                                     const Matrix<double>& average) const {
  Matrix<double> sum(context_, pairs.rows(), pairs.cols(), "covariance of pairs and unpaired rows");
  add_scaled(context_, 1 - share_, pairs, one_, sum);
  add_scaled(context_, share_, average, one_, sum);
  return sum;
}

Teacher SelfTraining::Implementation::fit() const {
  detail::PrincipalBasis x, y;
  for (const auto& [side, basis] : {std::pair{&*x_, &x}, std::pair{&*y_, &y}}) {
    basis->mean = Buffer<double>(context_, side->mixed_mean, "mean of pairs and unpaired rows");
    if (detail::decompose_covariance(context_, mixture(side->pairs_covariance, side->average), *basis) == 0)
      throw NumericalError("self-training: expected rows that vary, found a covariance of 0");
  }
  // M = Vx Sxy Vy', before whitening.
  Matrix<double> half(context_, x.directions.rows, y_->cols(), "reduced cross-covariance"),
      m(context_, x.directions.rows, y.directions.rows, "reduced cross-covariance");
  gemm(context_, Op::kNone, Op::kNone, 1.0, x.directions, mixture(pairs_xy_, average_xy_), 0.0, half);
  gemm(context_, Op::kNone, Op::kTranspose, 1.0, half, y.directions, 0.0, m);
  return detail::teacher_from_reduced(context_, teacher_options(), x, y, detail::whitening(x, options_.ridge),
                                      detail::whitening(y, options_.ridge), std::move(m),
                                      detail::Columns::kAtMost);
}

std::map<std::string, std::vector<double>> SelfTraining::Implementation::state() const {
  const PassReport& r = report_;
  std::map<std::string, std::vector<double>> state = {
      {"report",
       {static_cast<double>(r.pass), static_cast<double>(r.sinkhorn.iterations), r.sinkhorn.row_error,
        r.sinkhorn.column_error, r.sinkhorn.marginal_error, static_cast<double>(r.sinkhorn.status),
        r.transport, r.effective_matches, r.correlation_sum, r.change}}};
  if (r.pass > 0)
    state.insert(
        {{"xx", x_->average.download()}, {"yy", y_->average.download()}, {"xy", average_xy_.download()}});
  return state;
}

void SelfTraining::Implementation::restore(const std::map<std::string, std::vector<double>>& state) {
  if (report_.pass > 0)
    throw InvalidArgument(
        fmt::format("restore: expected an object without passes, found one with {}", report_.pass));
  const auto part = [&](const char* name, int64_t size) -> const std::vector<double>& {
    const auto found = state.find(name);
    if (found == state.end()) throw InvalidArgument(fmt::format("restore: expected '{}', found none", name));
    if (static_cast<int64_t>(found->second.size()) != size)
      throw InvalidArgument(
          fmt::format("restore: expected {} values in '{}', found {}", size, name, found->second.size()));
    for (const double value : found->second)
      if (!std::isfinite(value))
        throw InvalidArgument(fmt::format("restore: expected finite values in '{}', found {}", name, value));
    return found->second;
  };
  const std::vector<double>& r = part("report", 10);
  const auto last_status = static_cast<double>(SinkhornStatus::kIterationLimit);
  if (!(r[0] >= 0 && r[0] < 0x1p31 && r[0] == std::floor(r[0])))
    throw InvalidArgument(fmt::format("restore: expected a number of passes, found {}", r[0]));
  if (!(r[1] >= 0 && r[1] < 0x1p53 && r[5] >= 0 && r[5] <= last_status && r[5] == std::floor(r[5])))
    throw InvalidArgument(
        fmt::format("restore: expected iterations and a status of Sinkhorn, found {} and {}", r[1], r[5]));
  if (r[0] == 0) return;
  const std::vector<double>&xx = part("xx", x_->average.size()), &yy = part("yy", y_->average.size()),
        &xy = part("xy", average_xy_.size());
  x_->average.upload(xx.data());
  y_->average.upload(yy.data());
  average_xy_.upload(xy.data());
  teacher_ = fit();
  report_ = {.pass = static_cast<int64_t>(r[0]),
             .sinkhorn = {.iterations = static_cast<int64_t>(r[1]),
                          .row_error = r[2],
                          .column_error = r[3],
                          .marginal_error = r[4],
                          .status = static_cast<SinkhornStatus>(r[5])},
             .transport = r[6],
             .effective_matches = r[7],
             .correlation_sum = r[8],
             .change = r[9]};
}

SelfTraining::SelfTraining(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y,
                           ConstMatrixF unpaired_x, ConstMatrixF unpaired_y,
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

Teacher self_train(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y, ConstMatrixF unpaired_x,
                   ConstMatrixF unpaired_y, const SelfTrainingOptions& options) {
  SelfTraining training(context, pairs_x, pairs_y, unpaired_x, unpaired_y, options);
  while (!training.finished()) training.pass();
  return training.take_teacher();
}

}  // namespace sotalign
