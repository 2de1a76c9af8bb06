#include "sotalign/teacher/teacher.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/kinds.h"
#include "kernels/center_rows.h"
#include "kernels/normalize_rows.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/teacher/search.h"
#include "teacher/reduced.h"

namespace sotalign {

namespace {
struct Entry {
  TeacherKind kind;
  const char* name;
  Teacher (*fit)(Context&, ConstMatrixF, ConstMatrixF, const TeacherOptions&);
};
constexpr Entry kTeachers[] = {
    {TeacherKind::kCca, "cca", detail::fit_cca},
    {TeacherKind::kProcrustes, "procrustes", detail::fit_procrustes},
    {TeacherKind::kContrastive, "contrastive", detail::fit_contrastive},
    {TeacherKind::kSelfTraining, "self_training", nullptr},
    {TeacherKind::kAuto, "auto", nullptr},
};

void check(const ContrastiveOptions& options) {
  if (options.steps < 1)
    throw InvalidArgument(fmt::format("teacher steps: expected at least 1, found {}", options.steps));
  if (options.batch < 1)
    throw InvalidArgument(fmt::format("teacher batch: expected at least 1, found {}", options.batch));
  if (!(std::isfinite(options.learning_rate) && options.learning_rate > 0))
    throw InvalidArgument(
        fmt::format("teacher learning rate: expected a finite number > 0, found {}", options.learning_rate));
}

const Entry& entry_of(TeacherKind kind) { return detail::kind_entry("teacher", kTeachers, kind); }
}  // namespace

void detail::check_teacher(ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options) {
  if (a.rows != b.rows || a.rows < 2 || a.cols < 1 || b.cols < 1)
    throw InvalidArgument(
        fmt::format("pairs: expected a and b with the same number of rows, at least 2, found [{}, {}] and "
                    "[{}, {}]",
                    a.rows, a.cols, b.rows, b.cols));
  for (const auto& [name, value] :
       {std::pair{"ridge", options.ridge}, std::pair{"correlation_power", options.correlation_power}})
    if (value && !(std::isfinite(*value) && *value >= 0))
      throw InvalidArgument(fmt::format("{}: expected a finite number >= 0, found {}", name, *value));
  const int64_t dim = options.dim.value_or(0);
  if (options.kind == TeacherKind::kContrastive) {
    if (!options.dim)
      throw InvalidArgument(
          "dim: expected a number, found none; only for cca and procrustes can it be chosen by "
          "cross-validation");
    if (dim < 0)
      throw InvalidArgument(fmt::format("dim: expected 0 (which stands for {}) or more, found {}",
                                        detail::kLargestDefaultDim, dim));
    check(options.contrastive);
    return;
  }
  if (options.kind == TeacherKind::kSelfTraining) {
    // Unpaired rows determine directions, too.
    const int64_t most = std::min(a.cols, b.cols);
    if (dim < 0 || dim > most)
      throw InvalidArgument(
          fmt::format("dim: expected 0 to {}, the columns of the narrower side, found {}", most, dim));
    return;
  }
  const auto [limit, reason] =
      std::min({std::pair{a.cols, "the columns of a"}, std::pair{b.cols, "the columns of b"},
                std::pair{a.rows - 1, "the number of pairs - 1"}},
               [](const auto& l, const auto& r) { return l.first < r.first; });
  if (dim < 0 || dim > limit)
    throw InvalidArgument(fmt::format("dim: expected 0 (as many as possible) to {}, which is {}, found {}",
                                      limit, reason, dim));
}

std::vector<std::string> teacher_names() { return detail::kind_names(kTeachers); }

TeacherKind parse_teacher_kind(const std::string& name) {
  return detail::parse_kind("teacher", kTeachers, name);
}

std::string to_string(TeacherKind kind) { return entry_of(kind).name; }

Teacher fit_teacher(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options) {
  const Entry& entry = entry_of(options.kind);
  if (entry.fit == nullptr)
    throw InvalidArgument(
        fmt::format("teacher: {} needs unpaired rows, see SelfTraining and choose_teacher()", entry.name));
  detail::check_teacher(a, b, options);
  return entry.fit(context, a, b, is_open(options) ? search_teacher(context, a, b, options).chosen : options);
}

void Teacher::project(Context& context, Side side, ConstMatrixF x, MatrixF out) const {
  const Buffer<float>& mean = side == Side::kX ? mean_x : mean_y;
  const Matrix<float>& w = side == Side::kX ? wx : wy;
  if (x.cols != w.rows() || out.rows != x.rows || out.cols != dim())
    throw InvalidArgument(fmt::format("project: the projection is [{}, {}], x is [{}, {}], out is [{}, {}]",
                                      w.rows(), dim(), x.rows, x.cols, out.rows, out.cols));
  // Centring before the product, not after, keeps a row that equals the mean at exactly zero. Tiles of rows
  // keep the scratch memory independent of the size of x.
  constexpr int64_t kRowsAtOnce = 4096;
  Workspace scratch(context);
  const MatrixF centered = scratch.take_matrix<float>(std::min(x.rows, kRowsAtOnce), x.cols);
  for (int64_t first = 0; first < x.rows; first += kRowsAtOnce) {
    const int64_t rows = std::min(x.rows - first, kRowsAtOnce);
    const MatrixF part = centered.row_range(0, rows), result = out.row_range(first, rows);
    kernels::center_rows(context.queue(), kernels::CenterRows<float>{.x = x.row(first),
                                                                     .x_stride = x.stride,
                                                                     .mean = mean.data(),
                                                                     .y = part.data,
                                                                     .y_stride = part.stride,
                                                                     .rows = rows,
                                                                     .cols = x.cols});
    gemm(context, Op::kNone, Op::kNone, 1.0f, part, w, 0.0f, result);
    kernels::normalize_rows(context.queue(), {.x = result.data,
                                              .x_stride = result.stride,
                                              .y = result.data,
                                              .y_stride = result.stride,
                                              .norms = nullptr,
                                              .rows = rows,
                                              .cols = dim()});
  }
}

}  // namespace sotalign
