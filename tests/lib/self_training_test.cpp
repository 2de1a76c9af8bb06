// Self-training of the teacher: passes against double-precision loops, invariances, restored runs, hostile
// data, errors.
#include "sotalign/teacher/self_training.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/sampling/batch_sampler.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_self_training_test {

using testing::error_message;
using testing::max_difference;
using testing::random_normal;
using Doubles = std::vector<double>;
using Floats = std::vector<float>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Rows {
  int64_t n = 0, d = 0;
  Floats values;  // [n, d]
};

/// Rows of both sides depend linearly on hidden rows of four values, plus noise.
struct Data {
  Rows a, b, x, y;
};
Rows image_of(const Floats& hidden, int64_t d, float noise, uint64_t map_seed, uint64_t noise_seed) {
  constexpr int64_t kHidden = 4;
  const int64_t n = static_cast<int64_t>(hidden.size()) / kHidden;
  const Floats map = random_normal(kHidden * d, map_seed);
  Rows rows{n, d, random_normal(n * d, noise_seed, noise)};
  for (int64_t i = 0; i < n; ++i) {
    double squares = 0;
    for (int64_t j = 0; j < d; ++j) {
      for (int64_t h = 0; h < kHidden; ++h)
        rows.values[i * d + j] += hidden[i * kHidden + h] * map[h * d + j];
      squares += double(rows.values[i * d + j]) * double(rows.values[i * d + j]);
    }
    for (int64_t j = 0; j < d; ++j) rows.values[i * d + j] /= static_cast<float>(std::sqrt(squares));
  }
  return rows;
}
/// With nx = ny, row i of y belongs to row nx - 1 - i of x.
Data make_data(int64_t p, int64_t dx, int64_t dy, int64_t nx, int64_t ny, float noise = 0.5f,
               uint64_t seed = 1) {
  const Floats pairs = random_normal(p * 4, seed), first = random_normal(std::max(nx, ny) * 4, seed + 1);
  const Floats hidden_x(first.begin(), first.begin() + nx * 4);
  Floats hidden_y;
  for (int64_t i = ny - 1; i >= 0; --i)
    hidden_y.insert(hidden_y.end(), first.begin() + i * 4, first.begin() + i * 4 + 4);
  return {image_of(pairs, dx, noise, seed + 2, seed + 4), image_of(pairs, dy, noise, seed + 3, seed + 5),
          image_of(hidden_x, dx, noise, seed + 2, seed + 6),
          image_of(hidden_y, dy, noise, seed + 3, seed + 7)};
}

// The oracle: dense matrices in double precision, row-major.

struct Dense {
  int64_t n = 0, m = 0;
  Doubles v;
  Dense(int64_t rows, int64_t cols) : n(rows), m(cols), v(rows * cols) {}
  double& operator()(int64_t i, int64_t j) { return v[i * m + j]; }
  double operator()(int64_t i, int64_t j) const { return v[i * m + j]; }
};
Dense transposed(const Dense& a) {
  Dense t(a.m, a.n);
  for (int64_t i = 0; i < a.n; ++i)
    for (int64_t j = 0; j < a.m; ++j) t(j, i) = a(i, j);
  return t;
}
Dense times(const Dense& a, const Dense& b) {
  Dense c(a.n, b.m);
  for (int64_t i = 0; i < a.n; ++i)
    for (int64_t l = 0; l < a.m; ++l)
      for (int64_t j = 0; j < b.m; ++j) c(i, j) += a(i, l) * b(l, j);
  return c;
}
Dense sum(double alpha, const Dense& a, double beta, const Dense& b) {
  Dense c(a.n, a.m);
  for (size_t i = 0; i < c.v.size(); ++i) c.v[i] = alpha * a.v[i] + beta * b.v[i];
  return c;
}
Dense cholesky(Dense a, double ridge) {
  Dense l(a.n, a.n);
  for (int64_t i = 0; i < a.n; ++i)
    for (int64_t j = 0; j <= i; ++j) {
      double value = a(i, j) + (i == j ? ridge : 0);
      for (int64_t c = 0; c < j; ++c) value -= l(i, c) * l(j, c);
      l(i, j) = i == j ? std::sqrt(value) : value / l(j, j);
    }
  return l;
}
/// l^-1 b
Dense solve_lower(const Dense& l, Dense b) {
  for (int64_t i = 0; i < b.n; ++i)
    for (int64_t j = 0; j < b.m; ++j) {
      for (int64_t c = 0; c < i; ++c) b(i, j) -= l(i, c) * b(c, j);
      b(i, j) /= l(i, i);
    }
  return b;
}
/// l'^-1 b
Dense solve_upper(const Dense& l, Dense b) {
  for (int64_t i = b.n - 1; i >= 0; --i)
    for (int64_t j = 0; j < b.m; ++j) {
      for (int64_t c = i + 1; c < b.n; ++c) b(i, j) -= l(c, i) * b(c, j);
      b(i, j) /= l(i, i);
    }
  return b;
}
/// One-sided Jacobi: rotates the columns of a until they are orthogonal. Returns a V and V, columns in
/// descending order of length.
std::pair<Dense, Dense> jacobi(Dense a) {
  Dense v(a.m, a.m);
  for (int64_t i = 0; i < a.m; ++i) v(i, i) = 1;
  for (int sweep = 0; sweep < 60; ++sweep)
    for (int64_t p = 0; p < a.m; ++p)
      for (int64_t q = p + 1; q < a.m; ++q) {
        double pp = 0, qq = 0, pq = 0;
        for (int64_t i = 0; i < a.n; ++i)
          pp += a(i, p) * a(i, p), qq += a(i, q) * a(i, q), pq += a(i, p) * a(i, q);
        if (std::abs(pq) <= 1e-17 * std::sqrt(pp * qq) && pp >= qq) continue;
        const double angle = 0.5 * std::atan2(2 * pq, pp - qq), c = std::cos(angle), s = std::sin(angle);
        for (Dense* m : {&a, &v})
          for (int64_t i = 0; i < m->n; ++i) {
            const double left = (*m)(i, p), right = (*m)(i, q);
            (*m)(i, p) = c * left + s * right, (*m)(i, q) = c * right - s * left;
          }
      }
  return {a, v};  // atan2 puts the longer of two columns first
}

Doubles mean_of(const Dense& rows) {
  Doubles mean(rows.m);
  for (int64_t i = 0; i < rows.n; ++i)
    for (int64_t j = 0; j < rows.m; ++j) mean[j] += rows(i, j) / double(rows.n);
  return mean;
}
Dense less(Dense rows, const Doubles& mean) {
  for (int64_t i = 0; i < rows.n; ++i)
    for (int64_t j = 0; j < rows.m; ++j) rows(i, j) -= mean[j];
  return rows;
}
Dense covariance(const Dense& a, const Dense& b) {
  Dense c = times(transposed(a), b);
  for (double& value : c.v) value /= double(a.n);
  return c;
}
Dense dense(const Rows& rows) {
  Dense m(rows.n, rows.d);
  m.v.assign(rows.values.begin(), rows.values.end());
  return m;
}

struct OracleTeacher {
  Doubles mean_x, mean_y, correlations;
  Dense wx, wy;
  Dense project(Side side, const Dense& rows) const {
    Dense p = times(less(rows, side == Side::kX ? mean_x : mean_y), side == Side::kX ? wx : wy);
    for (int64_t i = 0; i < p.n; ++i) {
      double squares = 0;
      for (int64_t j = 0; j < p.m; ++j) squares += p(i, j) * p(i, j);
      for (int64_t j = 0; j < p.m; ++j) p(i, j) = squares > 0 ? p(i, j) / std::sqrt(squares) : 0;
    }
    return p;
  }
  Dense affinity(const Dense& x, const Dense& y) const {
    return times(project(Side::kX, x), transposed(project(Side::kY, y)));
  }
};

struct Oracle {
  SelfTrainingOptions o;
  Dense a, b, x, y;  // a and b less their means
  Doubles mean_a, mean_b, mean_x, mean_y;
  double share;
  Dense xx, yy, xy;
  OracleTeacher teacher;
  PassReport report;

  Oracle(const Data& data, const SelfTrainingOptions& options)
      : o(options),
        a(dense(data.a)),
        b(dense(data.b)),
        x(dense(data.x)),
        y(dense(data.y)),
        mean_a(mean_of(a)),
        mean_b(mean_of(b)),
        mean_x(mean_of(x)),
        mean_y(mean_of(y)),
        xx(a.m, a.m),
        yy(b.m, b.m),
        xy(a.m, b.m),
        teacher{{}, {}, {}, Dense(0, 0), Dense(0, 0)} {
    a = less(a, mean_a), b = less(b, mean_b);
    const double unpaired = o.unpaired_weight * double(std::min(x.n, y.n));
    share = unpaired / (double(a.n) + unpaired);
    fit(covariance(a, a), covariance(b, b), covariance(a, b));
    teacher.mean_x = mean_a, teacher.mean_y = mean_b;
  }

  void fit(const Dense& sxx, const Dense& syy, const Dense& sxy) {
    const Dense lx = cholesky(sxx, o.ridge), ly = cholesky(syy, o.ridge);
    const Dense m = transposed(solve_lower(ly, transposed(solve_lower(lx, sxy))));
    const auto [mv, v] = jacobi(m);
    Doubles lengths(m.m);
    for (int64_t j = 0; j < m.m; ++j) {
      for (int64_t i = 0; i < m.n; ++i) lengths[j] += mv(i, j) * mv(i, j);
      lengths[j] = std::sqrt(lengths[j]);
    }
    int64_t k =
        std::count_if(lengths.begin(), lengths.end(), [&](double s) { return s > 1e-12 * lengths[0]; });
    if (o.dim > 0) k = std::min(k, o.dim);
    Dense left(m.n, k), right(m.m, k);
    for (int64_t j = 0; j < k; ++j) {
      const double weight = std::pow(lengths[j], o.correlation_power);
      for (int64_t i = 0; i < m.n; ++i) left(i, j) = mv(i, j) / lengths[j] * weight;
      for (int64_t i = 0; i < m.m; ++i) right(i, j) = v(i, j) * weight;
    }
    teacher.wx = solve_upper(lx, left), teacher.wy = solve_upper(ly, right);
    teacher.correlations.assign(lengths.begin(), lengths.begin() + k);
  }

  Dense batch(const Dense& rows, const char* stream) const {
    if (o.batch >= rows.n) return rows;
    const BatchSampler order(rows.n, 1, o.seed, stream_id(stream));
    const int64_t batches = rows.n / o.batch,
                  first = report.pass / batches * rows.n + report.pass % batches * o.batch;
    Dense drawn(o.batch, rows.m);
    std::set<int64_t> seen;
    for (int64_t i = 0; i < o.batch; ++i) {
      const int64_t row = order.index(first + i, 0);
      EXPECT_TRUE(seen.insert(row).second);
      for (int64_t j = 0; j < rows.m; ++j) drawn(i, j) = rows(row, j);
    }
    return drawn;
  }

  void pass() {
    const Dense bx = batch(x, "self_training.unpaired_x"), by = batch(y, "self_training.unpaired_y");
    const Dense k = teacher.affinity(bx, by);
    testing::EntropicOracle ot(Floats(k.v.begin(), k.v.end()), k.n, k.m, o.epsilon);
    ot.solve(o.solve.iterations, false);
    Dense p(k.n, k.m);
    p.v = ot.plan();
    const Dense x0 = less(bx, mean_x), y0 = less(by, mean_y);
    const double rate = report.pass == 0 ? 1 : o.rate;
    xx = sum(1 - rate, xx, rate, covariance(x0, x0));
    yy = sum(1 - rate, yy, rate, covariance(y0, y0));
    xy = sum(1 - rate, xy, rate, times(transposed(x0), times(p, y0)));
    fit(sum(1 - share, covariance(a, a), share, xx), sum(1 - share, covariance(b, b), share, yy),
        sum(1 - share, covariance(a, b), share, xy));
    teacher.mean_x = mean_a, teacher.mean_y = mean_b;
    for (size_t j = 0; j < mean_a.size(); ++j)
      teacher.mean_x[j] = (1 - share) * mean_a[j] + share * mean_x[j];
    for (size_t j = 0; j < mean_b.size(); ++j)
      teacher.mean_y[j] = (1 - share) * mean_b[j] + share * mean_y[j];

    ++report.pass;
    report.transport = 0;
    double value = 0, entropy = 0;
    for (int64_t i = 0; i < k.n; ++i) {
      double row = 0, row_entropy = 0;
      for (int64_t j = 0; j < k.m; ++j) row += p(i, j);
      for (int64_t j = 0; j < k.m; ++j) {
        value += p(i, j) * (k(i, j) - o.epsilon * std::log(p(i, j)));
        row_entropy -= p(i, j) / row * std::log(p(i, j) / row);
      }
      entropy += row_entropy / double(k.n);
    }
    // The dual; the value itself differs by what the row sums lack.
    double largest = 0;
    for (const double u : ot.u)
      report.transport -= o.epsilon * u / double(k.n), largest = std::max(largest, std::abs(u));
    for (const double v : ot.v) report.transport -= o.epsilon * v / double(k.m);
    EXPECT_WITHIN(std::abs(value - report.transport), o.epsilon * largest * ot.row_error() + 1e-6);
    report.effective_matches = std::exp(entropy);
    report.correlation_sum = std::accumulate(teacher.correlations.begin(), teacher.correlations.end(), 0.0);
    const Dense after = teacher.affinity(bx, by);
    const auto norm = [](const Doubles& v) {
      return std::sqrt(std::inner_product(v.begin(), v.end(), v.begin(), 0.0));
    };
    report.change = norm(sum(1, after, -1, k).v) / std::max(norm(after.v), norm(k.v));
  }
};

class SelfTrainingTest : public testing::DeviceTest {
 protected:
  /// Owns the rows that a training refers to.
  struct Run {
    Matrix<float> a, b, x, y;
    SelfTraining training;
    Run(Context& context, const Data& data, const SelfTrainingOptions& options)
        : a(context, data.a.values.data(), data.a.n, data.a.d),
          b(context, data.b.values.data(), data.b.n, data.b.d),
          x(context, data.x.values.data(), data.x.n, data.x.d),
          y(context, data.y.values.data(), data.y.n, data.y.d),
          training(context, a, b, x, y, options) {}
  };

  Floats affinity(const Teacher& teacher, const Rows& x, const Rows& y) {
    Matrix<float> px(context, x.n, teacher.dim()), py(context, y.n, teacher.dim()), k(context, x.n, y.n);
    teacher.project(context, Side::kX, Matrix<float>(context, x.values.data(), x.n, x.d), px);
    teacher.project(context, Side::kY, Matrix<float>(context, y.values.data(), y.n, y.d), py);
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, px, py, 0.0f, k);
    return k.download();
  }
  Floats trained_affinity(const Data& data, const SelfTrainingOptions& options) {
    Run run(context, data, options);
    while (!run.training.finished()) run.training.pass();
    return affinity(run.training.teacher(), data.x, data.y);
  }
  double mean_r1(const Teacher& teacher, const Rows& x, const Rows& y) {
    Matrix<float> px(context, x.n, teacher.dim()), py(context, y.n, teacher.dim());
    teacher.project(context, Side::kX, Matrix<float>(context, x.values.data(), x.n, x.d), px);
    teacher.project(context, Side::kY, Matrix<float>(context, y.values.data(), y.n, y.d), py);
    return retrieval(context, px, py).mean_r1;
  }
};
SOTALIGN_ON_EVERY_DEVICE(SelfTrainingTest);

void expect_same(const PassReport& actual, const PassReport& expected) {
  EXPECT_EQ(actual.pass, expected.pass);
  EXPECT_EQ(actual.sinkhorn.iterations, expected.sinkhorn.iterations);
  EXPECT_EQ(actual.sinkhorn.row_error, expected.sinkhorn.row_error);
  EXPECT_EQ(actual.sinkhorn.column_error, expected.sinkhorn.column_error);
  EXPECT_EQ(actual.sinkhorn.marginal_error, expected.sinkhorn.marginal_error);
  EXPECT_EQ(actual.sinkhorn.status, expected.sinkhorn.status);
  EXPECT_EQ(actual.transport, expected.transport);
  EXPECT_EQ(actual.effective_matches, expected.effective_matches);
  EXPECT_EQ(actual.correlation_sum, expected.correlation_sum);
  EXPECT_EQ(actual.change, expected.change);
}
void expect_same(const Teacher& actual, const Teacher& expected) {
  EXPECT_EQ(actual.mean_x.download(), expected.mean_x.download());
  EXPECT_EQ(actual.mean_y.download(), expected.mean_y.download());
  EXPECT_EQ(actual.wx.download(), expected.wx.download());
  EXPECT_EQ(actual.wy.download(), expected.wy.download());
  EXPECT_EQ(actual.correlations, expected.correlations);
}

TEST_P(SelfTrainingTest, AgreesWithDoubleLoops) {
  struct Case {
    int64_t p, dx, dy, nx, ny, batch;
    double ridge, power;
    int64_t dim;
  };
  for (const Case& c : {Case{5, 7, 9, 12, 15, 100, 0.01, 0.5, 512}, Case{40, 7, 9, 33, 20, 100, 0.03, 0, 0},
                        Case{12, 9, 4, 33, 50, 16, 0.01, 1, 3}, Case{2, 3, 5, 31, 32, 8, 0.1, 0.5, 0},
                        Case{10, 1, 3, 4, 9, 4, 0.01, 0.5, 1}, Case{6, 17, 8, 40, 1, 40, 0.01, 0.5, 0},
                        Case{8, 31, 33, 20, 32, 19, 0.05, 0.5, 512}})
    for (const PlanMemory memory : {PlanMemory::kStored, PlanMemory::kStreamed}) {
      SCOPED_TRACE(::testing::Message()
                   << "p " << c.p << ", dx " << c.dx << ", dy " << c.dy << ", nx " << c.nx << ", ny " << c.ny
                   << ", stored " << (memory == PlanMemory::kStored));
      const Data data = make_data(c.p, c.dx, c.dy, c.nx, c.ny);
      const SelfTrainingOptions options{.batch = c.batch,
                                        .unpaired_weight = 0.7,
                                        .rate = 0.4,
                                        .epsilon = 0.1,
                                        .solve = {.iterations = 60},
                                        .ridge = c.ridge,
                                        .correlation_power = c.power,
                                        .dim = c.dim,
                                        .memory = memory,
                                        .strip_rows = 7,
                                        .seed = 3};
      Run run(context, data, options);
      Oracle oracle(data, options);
      EXPECT_WITHIN(std::abs(run.training.unpaired_share() - oracle.share), 1e-15);
      const Dense x = dense(data.x), y = dense(data.y);
      for (int pass = 0; pass <= 3; ++pass) {
        SCOPED_TRACE("pass " + std::to_string(pass));
        if (pass > 0) run.training.pass(), oracle.pass();
        const Teacher& teacher = run.training.teacher();
        EXPECT_EQ(teacher.kind, TeacherKind::kCca);
        EXPECT_WITHIN(max_difference(teacher.correlations, oracle.teacher.correlations), 1e-5);
        EXPECT_WITHIN(max_difference(teacher.mean_x.download(), oracle.teacher.mean_x), 1e-7);
        EXPECT_WITHIN(max_difference(teacher.mean_y.download(), oracle.teacher.mean_y), 1e-7);
        EXPECT_WITHIN(max_difference(affinity(teacher, data.x, data.y), oracle.teacher.affinity(x, y).v),
                      5e-5);
        const PassReport &report = run.training.last(), &expected = oracle.report;
        EXPECT_EQ(report.pass, pass);
        EXPECT_WITHIN(std::abs(report.transport - expected.transport), 2e-5);
        EXPECT_WITHIN(std::abs(report.correlation_sum - expected.correlation_sum), 2e-5);
        EXPECT_WITHIN(std::abs(report.change - expected.change), 1e-4);
        if (pass == 0) continue;
        // In strips, it is the first strip that is measured.
        if (memory == PlanMemory::kStored) {
          EXPECT_WITHIN(std::abs(report.effective_matches / expected.effective_matches - 1), 1e-4);
        }
        EXPECT_TRUE(report.effective_matches > 0.999 && report.effective_matches < 1.001 * double(data.y.n));
      }
    }
}

TEST_P(SelfTrainingTest, StripsChangeNoResult) {
  const Data data = make_data(9, 12, 10, 70, 65);
  SelfTrainingOptions options{.passes = 2, .solve = {.iterations = 40}, .memory = PlanMemory::kStored};
  const Floats stored = trained_affinity(data, options);
  options.memory = PlanMemory::kStreamed;
  for (const int64_t height : {0, 1, 33, 100}) {
    options.strip_rows = height;
    EXPECT_WITHIN(max_difference(trained_affinity(data, options), stored), 2e-5);
  }
  options.solve.form = SinkhornForm::kScaling;
  EXPECT_EQ(error_message([&] { Run(context, data, options); }).substr(0, 13), "form scaling:");
}

TEST_P(SelfTrainingTest, RepeatsAndContinuesBitForBit) {
  const Data data = make_data(12, 20, 15, 90, 60);
  // The emulator is slow: it repeats fewer of these passes.
  const bool emulated = testing::is_emulated(GetParam());
  const std::vector<int> stops = emulated ? std::vector<int>{0, 2, 4} : std::vector<int>{0, 1, 2, 3, 4};
  // Passes over some rows, over all of y, over all rows.
  for (const int64_t batch : {25, 75, 100}) {
    if (emulated && batch == 25) continue;  // rows of x are drawn with 75, too
    SCOPED_TRACE(::testing::Message() << "batch " << batch);
    const SelfTrainingOptions options{.passes = 4, .batch = batch, .seed = 7};
    Run whole(context, data, options), again(context, data, options);
    for (int pass = 0; pass <= 4; ++pass) {
      if (pass > 0) whole.training.pass(), again.training.pass();
      expect_same(again.training.teacher(), whole.training.teacher());
      expect_same(again.training.last(), whole.training.last());
    }
    EXPECT_TRUE(whole.training.finished());
    for (const int stop : stops) {
      SCOPED_TRACE("stopped after pass " + std::to_string(stop));
      Run first(context, data, options), second(context, data, options);
      for (int pass = 0; pass < stop; ++pass) first.training.pass();
      second.training.restore(first.training.state());
      EXPECT_EQ(second.training.passes_done(), stop);
      EXPECT_EQ(second.training.finished(), stop == 4);
      EXPECT_EQ(second.training.state(), first.training.state());
      expect_same(second.training.teacher(), first.training.teacher());
      expect_same(second.training.last(), first.training.last());
      while (!second.training.finished()) second.training.pass();
      expect_same(second.training.teacher(), whole.training.teacher());
      expect_same(second.training.last(), whole.training.last());
    }
    again.training.pass();
    // A pass after the last one is possible.
    EXPECT_EQ(again.training.passes_done(), 5);
  }
  const SelfTrainingOptions options{.passes = 4, .batch = 25, .seed = 7};
  Run run(context, data, options), other_seed(context, data, {.passes = 4, .batch = 25, .seed = 8});
  run.training.pass(), other_seed.training.pass();
  EXPECT_NE(other_seed.training.teacher().wx.download(), run.training.teacher().wx.download());
}

TEST_P(SelfTrainingTest, PassesOverAllRowsKeepTheirCovariance) {
  const Data data = make_data(12, 20, 15, 90, 60);
  Run run(context, data, {.passes = 4, .batch = 75, .rate = 0.3});  // all of y, not of x
  run.training.pass();
  const auto first = run.training.state();
  run.training.pass();
  const auto second = run.training.state();
  EXPECT_EQ(second.at("yy"), first.at("yy"));
  EXPECT_NE(second.at("xx"), first.at("xx"));
  EXPECT_NE(second.at("xy"), first.at("xy"));
}

TEST_P(SelfTrainingTest, BeatsItsFirstTeacher) {
  // 12 pairs in 24 and 20 dimensions, of which only 4 are shared: far too few for CCA.
  const Data data = make_data(12, 24, 20, 300, 300, 1.0f);
  Run run(context, data, {.passes = 6, .batch = 250});
  const Rows test_x{100, data.x.d, {data.x.values.begin(), data.x.values.begin() + 100 * data.x.d}};
  Rows test_y{100, data.y.d, {}};
  for (int64_t i = 0; i < 100; ++i) {
    const auto row = data.y.values.begin() + (299 - i) * data.y.d;
    test_y.values.insert(test_y.values.end(), row, row + data.y.d);
  }
  const double before = mean_r1(run.training.teacher(), test_x, test_y);
  while (!run.training.finished()) run.training.pass();
  const double after = mean_r1(run.training.teacher(), test_x, test_y);
  EXPECT_EQ(run.training.last().sinkhorn.status, SinkhornStatus::kConverged);
  EXPECT_GT(after, before + 0.15) << before << " to " << after;
  EXPECT_LT(run.training.last().change, 0.2);
}

TEST_P(SelfTrainingTest, WithoutWeightUnpairedRowsChangeNothing) {
  const Data data = make_data(30, 9, 11, 40, 50);
  Run run(context, data, {.unpaired_weight = 0, .dim = 6});
  EXPECT_EQ(run.training.unpaired_share(), 0.0);
  const Teacher teacher =
      fit_teacher(context, run.a, run.b, {.ridge = 0.01, .dim = 6, .correlation_power = 0.5});
  const Floats expected = affinity(teacher, data.x, data.y);
  EXPECT_EQ(affinity(run.training.teacher(), data.x, data.y), expected);
  run.training.pass();
  EXPECT_WITHIN(max_difference(affinity(run.training.teacher(), data.x, data.y), expected), 1e-5);
  EXPECT_WITHIN(run.training.last().change, 1e-5);
  // The other end: the pairs decide where it starts, nothing else. c N does not overflow.
  Run unpaired(context, data, {.unpaired_weight = 1e308});
  EXPECT_EQ(unpaired.training.unpaired_share(), 1.0);
  unpaired.training.pass();
  EXPECT_GT(unpaired.training.last().change, 0.01);
}

TEST_P(SelfTrainingTest, OrderShiftRotationAndScaleDoNotMatter) {
  const Data data = make_data(10, 8, 6, 45, 37);
  const SelfTrainingOptions options{.passes = 3, .solve = {.iterations = 60}};
  const Floats expected = trained_affinity(data, options);

  Data changed = data;  // the unpaired images backwards
  for (int64_t i = 0; i < data.x.n; ++i)
    std::copy_n(data.x.values.begin() + (data.x.n - 1 - i) * 8, 8, changed.x.values.begin() + i * 8);
  Run run(context, changed, options);
  while (!run.training.finished()) run.training.pass();
  EXPECT_WITHIN(max_difference(affinity(run.training.teacher(), data.x, data.y), expected), 5e-5);

  changed = data;  // all images shifted
  for (Rows* rows : {&changed.a, &changed.x})
    for (size_t i = 0; i < rows->values.size(); ++i) rows->values[i] += 0.25f * float(i % 8);
  EXPECT_WITHIN(max_difference(trained_affinity(changed, options), expected), 5e-5);

  changed = data;  // all texts rotated in the plane of the columns 1 and 4
  for (Rows* rows : {&changed.b, &changed.y})
    for (int64_t i = 0; i < rows->n; ++i) {
      float &u = rows->values[i * 6 + 1], &v = rows->values[i * 6 + 4];
      const float old = u;
      u = 0.8f * old - 0.6f * v, v = 0.6f * old + 0.8f * v;
    }
  EXPECT_WITHIN(max_difference(trained_affinity(changed, options), expected), 5e-5);

  changed = data;  // everything doubled
  for (Rows* rows : {&changed.a, &changed.b, &changed.x, &changed.y})
    for (float& value : rows->values) value *= 2;
  SelfTrainingOptions scaled = options;
  scaled.ridge = 4 * options.ridge;
  EXPECT_WITHIN(max_difference(trained_affinity(changed, scaled), expected), 5e-5);
}

TEST_P(SelfTrainingTest, StopsOnceTheTeacherHardlyChanges) {
  const Data data = make_data(20, 8, 6, 40, 40);
  Run run(context, data, {.passes = 50, .change_tolerance = 0.02});
  double change = kInfinity;
  while (!run.training.finished()) {
    EXPECT_GT(change, 0.02);
    run.training.pass();
    change = run.training.last().change;
  }
  EXPECT_LE(change, 0.02);
  EXPECT_GT(run.training.passes_done(), 1);
  EXPECT_LT(run.training.passes_done(), 50);
}

TEST_P(SelfTrainingTest, TheRankLimitsTheDimension) {
  const Data data = make_data(5, 12, 10, 60, 50);
  Run run(context, data, {.dim = 7});
  EXPECT_EQ(run.training.teacher().dim(), 4);  // five centred pairs
  run.training.pass();
  EXPECT_EQ(run.training.teacher().dim(), 7);
  Run all(context, data, {.dim = 0});
  all.training.pass();
  EXPECT_EQ(all.training.teacher().dim(), 10);
  const Teacher teacher = self_train(context, run.a, run.b, run.x, run.y, {.passes = 1, .dim = 7});
  expect_same(teacher, run.training.teacher());
}

TEST_P(SelfTrainingTest, DegenerateRowsGiveFiniteTeachers) {
  const Data data = make_data(10, 6, 5, 30, 25);
  const auto expect_finite = [&](const char* what, const Data& changed) {
    SCOPED_TRACE(what);
    for (const double ridge : {0.01, 0.0}) {
      const Floats k = trained_affinity(changed, {.passes = 3, .ridge = ridge});
      EXPECT_WITHIN(max_difference(k, Floats(k.size())), 1.00001);
    }
  };
  const auto repeat_first = [](Rows rows) {
    for (size_t i = 0; i < rows.values.size(); ++i) rows.values[i] = rows.values[i % size_t(rows.d)];
    return rows;
  };
  Data changed = data;
  changed.x = repeat_first(data.x);
  expect_finite("equal unpaired images", changed);
  changed.y = repeat_first(data.y);
  expect_finite("all unpaired rows equal", changed);
  changed = data;
  std::fill(changed.x.values.begin(), changed.x.values.end(), 0.0f);
  expect_finite("unpaired images of zeros", changed);
  changed = data;
  for (Rows* rows : {&changed.a, &changed.x})
    for (int64_t i = 0; i < rows->n; ++i) rows->values[i * 6 + 2] = 7.0f, rows->values[i * 6 + 3] = 0.0f;
  expect_finite("constant columns", changed);
  changed = data;  // pairs of rank 1 on one side
  for (int64_t i = 0; i < data.a.n; ++i)
    for (int64_t j = 0; j < 6; ++j) changed.a.values[i * 6 + j] = float(i + 1) * float(j + 1) * 0.02f;
  expect_finite("pairs of rank 1", changed);
  changed.x = changed.a;
  expect_finite("images of rank 1", changed);
  changed = data;
  for (Rows* rows : {&changed.x, &changed.y})
    for (size_t i = 0; i < rows->values.size() / 2; ++i)
      rows->values[rows->values.size() - 1 - i] = rows->values[i];
  expect_finite("duplicates", changed);
  changed = data;
  changed.x = {1, 6, {data.x.values.begin(), data.x.values.begin() + 6}};
  changed.y = {1, 5, {data.y.values.begin(), data.y.values.begin() + 5}};
  expect_finite("one unpaired row", changed);
}

TEST_P(SelfTrainingTest, ADivergingPassThrowsAndKeepsTheTeacher) {
  Data data = make_data(10, 6, 5, 30, 25);
  for (int64_t j = 0; j < 6; ++j) data.x.values[6 + j] = j % 2 ? 3e38f : -3e38f;
  Run run(context, data, {});
  const Floats before = run.training.teacher().wx.download();
  EXPECT_THROW(run.training.pass(), NumericalError);
  EXPECT_EQ(run.training.passes_done(), 0);
  EXPECT_EQ(run.training.teacher().wx.download(), before);
}

TEST_P(SelfTrainingTest, ErrorsSayWhatIsWrong) {
  const Data data = make_data(10, 6, 5, 30, 25);
  const auto message = [&](const Data& changed, const SelfTrainingOptions& options = {}) {
    return error_message([&] { Run(context, changed, options); });
  };
  const auto starts = [](const std::string& text, const std::string& part) {
    EXPECT_EQ(text.substr(0, part.size()), part);
    EXPECT_EQ(text.find('\n'), std::string::npos);
  };
  EXPECT_EQ(message(data), "no exception");
  starts(message(data, {.passes = 0}), "passes: expected at least 1, found 0");
  starts(message(data, {.batch = 0}), "batch: expected at least 1, found 0");
  starts(message(data, {.dim = -1}), "dim: expected at least 0, found -1");
  starts(message(data, {.strip_rows = -1}), "strip_rows: expected at least 0, found -1");
  for (const double bad : {-0.1, std::nan(""), kInfinity}) {
    starts(message(data, {.unpaired_weight = bad}), "unpaired_weight: expected a finite number >= 0, found ");
    starts(message(data, {.ridge = bad}), "ridge: expected a finite number >= 0, found ");
    starts(message(data, {.correlation_power = bad}),
           "correlation_power: expected a finite number >= 0, found ");
    starts(message(data, {.change_tolerance = bad}),
           "change_tolerance: expected a finite number >= 0, found ");
    starts(message(data, {.rate = bad}), "rate: expected a number in (0, 1], found ");
    starts(message(data, {.epsilon = bad}), "epsilon: expected ");
  }
  starts(message(data, {.rate = 0}), "rate: ");
  starts(message(data, {.rate = 1.5}), "rate: ");
  starts(message(data, {.solve = {.tolerance = std::nan("")}}), "tolerance: ");
  starts(message(data, {.solve = {.iterations = 0}}), "iterations: ");

  Data changed = data;
  changed.b.n = 9, changed.b.values.resize(45);
  starts(message(changed),
         "pairs: expected both sides with the same number of rows, at least 2, found [10, 6] and [9, 5]");
  changed = data;
  changed.a.n = changed.b.n = 1;
  starts(message(changed), "pairs: ");
  changed = data;
  changed.x.n = 0;
  starts(message(changed),
         "unpaired_x: expected at least one row of 6 columns, as the pairs have, found [0, 6]");
  changed = data;
  changed.y.n = 20, changed.y.d = 6;
  starts(message(changed),
         "unpaired_y: expected at least one row of 5 columns, as the pairs have, found [20, 6]");
  for (const float bad : {kNan, std::numeric_limits<float>::infinity()})
    for (const auto& [name, rows] :
         {std::pair{"pairs_x: ", &Data::a}, std::pair{"pairs_y: ", &Data::b},
          std::pair{"unpaired_x: ", &Data::x}, std::pair{"unpaired_y: ", &Data::y}}) {
      changed = data;
      (changed.*rows).values[8] = bad;
      starts(message(changed), name);
    }
  changed = data;
  for (size_t i = 6; i < changed.a.values.size(); ++i) changed.a.values[i] = changed.a.values[i % 6];
  starts(message(changed), "pairs_x: expected rows that differ");
}

TEST_P(SelfTrainingTest, RestoreRefusesAStateThatDoesNotFit) {
  const Data data = make_data(10, 6, 5, 30, 25);
  Run run(context, data, {});
  run.training.pass();
  const auto state = run.training.state();
  const auto restored = [&](const std::map<std::string, Doubles>& changed) {
    Run fresh(context, data, {});
    const std::string message = error_message([&] { fresh.training.restore(changed); });
    EXPECT_EQ(fresh.training.passes_done(), message == "no exception" ? 1 : 0);
    return message;
  };
  EXPECT_EQ(restored(state), "no exception");
  EXPECT_EQ(error_message([&] { run.training.restore(state); }),
            "restore: expected an object without passes, found one with 1");
  for (const auto& [name, values] : state) {
    SCOPED_TRACE(name);
    auto changed = state;
    changed.erase(name);
    EXPECT_EQ(restored(changed), "restore: expected '" + name + "', found none");
    changed = state;
    changed[name].pop_back();
    EXPECT_EQ(restored(changed), "restore: expected " + std::to_string(values.size()) + " values in '" +
                                     name + "', found " + std::to_string(values.size() - 1));
    changed = state;
    changed[name][1] = std::nan("");
    EXPECT_EQ(restored(changed), "restore: expected finite values in '" + name + "', found nan");
  }
  for (const double passes : {-1.0, 0.5, 1e300}) {
    auto changed = state;
    changed["report"][0] = passes;
    EXPECT_EQ(restored(changed).substr(0, 37), "restore: expected a number of passes,");
  }
  auto changed = state;
  changed["report"][5] = 9;
  EXPECT_EQ(restored(changed), "restore: expected iterations and a status of Sinkhorn, found " +
                                   std::to_string(int(state.at("report")[1])) + " and 9");
}

}  // namespace lib_self_training_test
}  // namespace sotalign
