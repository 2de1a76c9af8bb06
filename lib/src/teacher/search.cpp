#include "sotalign/teacher/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/svd.h"
#include "teacher/folds.h"
#include "teacher/reduced.h"

namespace sotalign {

namespace {

constexpr int64_t kParts = 5;
/// Rounds of folds go on until kEnoughPairs pairs have been left out, each counted once per round: with
/// fewer, chance decides. Beyond kMorePairsThanNeeded there is little to gain, so a large problem stops
/// within its first round.
constexpr int64_t kEnoughPairs = 500, kMorePairsThanNeeded = 2000;
constexpr int64_t kSmallestDim = 16;
constexpr int kRidges = 9;

/// 1, 3, 10, 30, ... for steps 0, 1, 2, 3, ... and 0.3, 0.1, ... for steps -1, -2, ...
double half_decade(int64_t step) {
  const int64_t decade = step >= 0 ? step / 2 : (step - 1) / 2;
  const double mantissa = step - 2 * decade == 0 ? 1 : 3;
  // 10^n is exact for these n, so each ridge is the double nearest to its printed value.
  const double power = std::pow(10.0, static_cast<double>(std::abs(decade)));
  return decade < 0 ? mantissa / power : mantissa * power;
}

/// Mean squared distance of the rows from `mean`. x [rows, d] is on the host.
double total_variance(ConstMatrixF x, const std::vector<double>& mean) {
  double sum = 0;
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j) {
      const double difference = static_cast<double>(x.row(i)[j]) - mean[static_cast<size_t>(j)];
      sum += difference * difference;
    }
  return sum / static_cast<double>(x.rows);
}

struct Grid {
  std::vector<double> ridges, powers;
  std::vector<int64_t> dims;
};

std::vector<TeacherCandidate> candidates_of(const Grid& grid) {
  std::vector<TeacherCandidate> candidates;
  for (const double ridge : grid.ridges)
    for (const double power : grid.powers)
      for (const int64_t dim : grid.dims)
        candidates.push_back({.ridge = ridge, .dim = dim, .correlation_power = power});
  return candidates;
}

bool rows_differ(ConstMatrixF x, const std::vector<int64_t>& rows) {
  const float* first = x.row(rows[0]);
  return std::any_of(rows.begin(), rows.end(),
                     [&](int64_t i) { return !std::equal(first, first + x.cols, x.row(i)); });
}

/// One side of a fold: the principal components of the kept pairs, and the left-out pairs' scores in them.
struct FoldSide {
  FoldSide(Context& context, ConstMatrixF x, const detail::Fold& fold, const char* name)
      : basis(detail::principal_basis(context, detail::take_rows(context, x, fold.kept), name)),
        left_out(context, static_cast<int64_t>(fold.left_out.size()), basis.scores.cols,
                 "scores of the pairs") {
    const Matrix<double> centered =
        detail::centered_rows(context, detail::take_rows(context, x, fold.left_out), basis.mean);
    gemm(context, Op::kNone, Op::kTranspose, 1.0, centered, basis.directions, 0.0, left_out);
  }

  /// The diagonal of D in teacher/reduced.h.
  Buffer<double> scaling(Context& context, TeacherKind kind, double ridge) const {
    return Buffer<double>(context, kind == TeacherKind::kCca
                                       ? detail::whitening(basis, ridge)
                                       : std::vector<double>(basis.variances.size(), 1.0));
  }

  detail::PrincipalBasis basis;
  Matrix<double> left_out;  // [left out, r]
};

/// Adds the hits and reciprocal ranks of a fold to all candidates.
class FoldScores {
 public:
  FoldScores(Context& context, TeacherKind kind, const Grid& grid, const std::vector<int64_t>& ids,
             std::vector<TeacherCandidate>& candidates)
      : context_(context),
        kind_(kind),
        grid_(grid),
        retrieval_{.image_ids = ids, .text_ids = ids},
        next_(candidates.begin()) {}

  void add(const FoldSide& x, const FoldSide& y) {
    const double divisor = kind_ == TeacherKind::kCca ? static_cast<double>(x.basis.scores.rows) : 1.0;
    const Matrix<double> covariance = detail::reduced_cross_covariance(context_, x.basis, y.basis, divisor);
    for (const double ridge : grid_.ridges) add_ridge(x, y, covariance, ridge);
  }

 private:
  void add_ridge(const FoldSide& x, const FoldSide& y, ConstMatrixD covariance, double ridge) {
    const Buffer<double> dx = x.scaling(context_, kind_, ridge), dy = y.scaling(context_, kind_, ridge);
    Matrix<double> m(context_, covariance.rows, covariance.cols, "reduced cross-covariance");
    detail::scale(context_, covariance, dx.data(), dy.data(), m.view());
    ThinSvd parts = svd(context_, std::move(m));
    std::vector<double> correlations = parts.values.download();
    // Without any correlation, keep one arbitrary direction instead of none: such a fold decides nothing.
    const int64_t rank = std::max<int64_t>(1, detail::numerical_rank(correlations));
    const int64_t most = std::min(rank, detail::kLargestDefaultDim);
    correlations.resize(static_cast<size_t>(most));

    const MatrixD u(parts.u.data(), parts.u.rows(), most, parts.u.cols());
    const MatrixD vt = parts.vt.view().row_range(0, most);
    detail::scale(context_, u, dx.data(), nullptr, u);
    detail::scale(context_, vt, nullptr, dy.data(), vt);
    Matrix<double> f(context_, x.left_out.rows(), most, "projections"),
        g(context_, y.left_out.rows(), most, "projections");
    gemm(context_, Op::kNone, Op::kNone, 1.0, x.left_out, u, 0.0, f);
    gemm(context_, Op::kNone, Op::kTranspose, 1.0, y.left_out, vt, 0.0, g);
    for (const double power : grid_.powers) add_power(f, g, correlations, power);
  }

  void add_power(ConstMatrixD f, ConstMatrixD g, std::vector<double> weights, double power) {
    for (double& weight : weights) weight = std::pow(weight, power);
    const Buffer<double> factors(context_, weights);
    Matrix<float> images(context_, f.rows, f.cols, "projections"),
        texts(context_, g.rows, g.cols, "projections");
    detail::scale(context_, f, nullptr, factors.data(), images.view());
    detail::scale(context_, g, nullptr, factors.data(), texts.view());
    for (const int64_t dim : grid_.dims) {
      const int64_t k = dim == 0 ? f.cols : std::min(dim, f.cols);
      const RetrievalRanks ranks = retrieval_ranks(context_, ConstMatrixF(images.data(), f.rows, k, f.cols),
                                                   ConstMatrixF(texts.data(), g.rows, k, g.cols), retrieval_);
      for (const std::vector<int64_t>* side : {&ranks.image_to_text, &ranks.text_to_image})
        for (const int64_t rank : *side) {
          next_->mean_r1 += rank == 1 ? 1 : 0;
          next_->mean_reciprocal_rank += 1.0 / static_cast<double>(rank);
        }
      ++next_;
    }
  }

  Context& context_;
  TeacherKind kind_;
  const Grid& grid_;
  RetrievalOptions retrieval_;
  std::vector<TeacherCandidate>::iterator next_;
};

Grid make_grid(Context& context, ConstMatrixF a, ConstMatrixF b, ConstMatrixF host_a, ConstMatrixF host_b,
               const TeacherOptions& options) {
  const bool cca = options.kind == TeacherKind::kCca;
  const TeacherOptions fallback;
  Grid grid;
  if (!cca || options.ridge) {
    grid.ridges = {options.ridge.value_or(*fallback.ridge)};
  } else {
    const double variance = std::sqrt(total_variance(host_a, detail::mean_of_pairs(context, a, "a")) *
                                      total_variance(host_b, detail::mean_of_pairs(context, b, "b")));
    const auto last = static_cast<int64_t>(std::lround(2 * std::log10(variance)));
    for (int64_t step = last - kRidges + 1; step <= last; ++step) grid.ridges.push_back(half_decade(step));
  }
  grid.powers = {0, 0.5, 1};
  if (!cca || options.correlation_power)
    grid.powers = {options.correlation_power.value_or(*fallback.correlation_power)};
  if (options.dim) {
    grid.dims = {*options.dim};
  } else {
    const int64_t limit = std::min({a.cols, b.cols, a.rows - 1, detail::kLargestDefaultDim});
    for (int64_t dim = kSmallestDim; dim < limit; dim *= 2) grid.dims.push_back(dim);
    grid.dims.push_back(0);
  }
  return grid;
}

auto merit(const TeacherCandidate& c) {
  return std::tuple(c.mean_reciprocal_rank, c.mean_r1,
                    c.dim == 0 ? std::numeric_limits<int64_t>::max() : c.dim, c.ridge, -c.correlation_power);
}

}  // namespace

bool is_open(const TeacherOptions& options) {
  return !options.ridge || !options.dim || !options.correlation_power;
}

TeacherSearch search_teacher(Context& context, ConstMatrixF a, ConstMatrixF b,
                             const TeacherOptions& options) {
  detail::check_teacher(a, b, options);
  const bool cca = options.kind == TeacherKind::kCca;
  const TeacherOptions fallback;
  TeacherSearch search{.chosen = options};
  search.chosen.ridge = options.ridge.value_or(*fallback.ridge);
  search.chosen.dim = options.dim.value_or(*fallback.dim);
  search.chosen.correlation_power = options.correlation_power.value_or(*fallback.correlation_power);
  if (options.dim && (!cca || (options.ridge && options.correlation_power))) {
    search.reason = "nothing to choose";
    return search;
  }

  detail::mean_of_pairs(context, a, "a"), detail::mean_of_pairs(context, b, "b");  // throw if not finite
  const std::vector<float> rows_a = detail::host_rows(context, a), rows_b = detail::host_rows(context, b);
  const ConstMatrixF host_a(rows_a.data(), a.rows, a.cols), host_b(rows_b.data(), b.rows, b.cols);
  const std::vector<int64_t> groups = detail::group_pairs(host_a, host_b);
  const int64_t group_count = 1 + *std::max_element(groups.begin(), groups.end());
  if (group_count < kFewestGroups) {
    search.reason = fmt::format("defaults, for {} different pairs are too few to choose by", group_count);
    return search;
  }

  const Grid grid = make_grid(context, a, b, host_a, host_b, options);
  std::vector<TeacherCandidate> candidates = candidates_of(grid);
  int64_t seen = 0;
  for (int64_t round = 0; seen < kEnoughPairs; ++round)
    for (const detail::Fold& fold : detail::divide_pairs(groups, kParts, options.seed, round)) {
      if (seen >= kMorePairsThanNeeded) break;
      seen += static_cast<int64_t>(fold.left_out.size());
      if (!rows_differ(host_a, fold.kept) || !rows_differ(host_b, fold.kept)) continue;
      std::vector<int64_t> ids;
      for (const int64_t pair : fold.left_out) ids.push_back(groups[static_cast<size_t>(pair)]);
      const FoldSide x(context, a, fold, "a"), y(context, b, fold, "b");
      FoldScores(context, options.kind, grid, ids, candidates).add(x, y);
      ++search.folds;
      search.left_out += static_cast<int64_t>(fold.left_out.size());
    }
  if (search.folds == 0) {
    search.reason = "defaults, for without one group of equal rows the pairs do not vary";
    return search;
  }
  for (TeacherCandidate& candidate : candidates) {
    candidate.mean_r1 /= static_cast<double>(2 * search.left_out);
    candidate.mean_reciprocal_rank /= static_cast<double>(2 * search.left_out);
  }
  search.candidates = std::move(candidates);
  const TeacherCandidate& best =
      *std::max_element(search.candidates.begin(), search.candidates.end(),
                        [](const auto& l, const auto& r) { return merit(l) < merit(r); });
  search.chosen.ridge = best.ridge;
  search.chosen.dim = best.dim;
  search.chosen.correlation_power = best.correlation_power;
  search.reason =
      fmt::format("mean reciprocal rank {:.3f} of {} left-out pairs in {} folds, the best of {} candidates",
                  best.mean_reciprocal_rank, search.left_out, search.folds, search.candidates.size());
  return search;
}

}  // namespace sotalign
