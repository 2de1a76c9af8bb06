// Densities of the scaling form against the exponential in double precision, the choice of problems that get
// one, folding, and all operations of the form together.
#include <gtest/gtest.h>

#include "support/entropic_oracle.h"
#include "support/scaling_form.h"

namespace sotalign {
namespace kernels_sinkhorn_absorb_test {

using kernels::density_stride;
using kernels::DensityType;
using kernels::SinkhornState;
using testing::bytes_of;
using testing::EntropicOracle;
using testing::expect_same;
using testing::fields;
using testing::kTypes;
using testing::random_uniform;
using testing::ScalingProblems;
using testing::set_scaling;
using testing::weight_of_column;
using testing::weight_of_row;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A solve's first iteration in double precision: after it the density's rows sum to about 1.
EntropicOracle first_iteration(const std::vector<float>& k, int64_t n, int64_t m, double epsilon) {
  EntropicOracle oracle(k, n, m, epsilon);
  double sum_a = 0, sum_b = 0;
  for (int64_t i = 0; i < n; ++i) sum_a += oracle.a[i] = weight_of_row(i, n);
  for (int64_t j = 0; j < m; ++j) sum_b += oracle.b[j] = weight_of_column(j, m);
  for (double& a : oracle.a) a /= sum_a;
  for (double& b : oracle.b) b /= sum_b;
  return oracle.solve(1, false);
}
void set_potentials(ScalingProblems& p, int64_t b, const EntropicOracle& oracle, const std::vector<float>& k,
                    double epsilon) {
  for (int64_t i = 0; i < p.n; ++i) {
    std::copy_n(k.begin() + i * p.m, p.m, p.affinity.begin() + (b * p.n + i) * (p.m + 3));
    p.log_a[b * p.n + i] = std::log(oracle.a[i]);
    p.u[b * p.n + i] = oracle.u[i];
  }
  for (int64_t j = 0; j < p.m; ++j) {
    p.log_b[b * p.m + j] = std::log(oracle.b[j]);
    p.v[b * p.m + j] = oracle.v[j];
  }
  p.inverse_epsilon[b] = static_cast<float>(1.0 / epsilon);
}

class SinkhornAbsorbKernelTest : public testing::ScalingFormTest {};
SOTALIGN_ON_EVERY_DEVICE(SinkhornAbsorbKernelTest);

// At the smaller epsilon exponents span a range of 2000, so most entries are zero.
TEST_P(SinkhornAbsorbKernelTest, DensitiesAgreeWithTheExponential) {
  for (const DensityType type : kTypes)
    for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{1, 1},
                                                                       {2, 1},
                                                                       {1, 2},
                                                                       {31, 33},
                                                                       {33, 31},
                                                                       {32, 32},
                                                                       {127, 129},
                                                                       {300, 3},
                                                                       {3, 1024},
                                                                       {70, 2048},
                                                                       {9, 2500}})
      for (const double epsilon : {0.1, 0.001}) {
        SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " at " + std::to_string(epsilon) +
                     (type == DensityType::kFloat ? " float" : " bfloat16"));
        const auto k = random_uniform(n * m, 90 + static_cast<uint64_t>(n));
        EntropicOracle oracle = first_iteration(k, n, m, epsilon);
        ScalingProblems p(n, m);
        // Moving a constant from one side's potentials to the other's makes no difference.
        for (double& u : oracle.u) u += 40;
        for (double& v : oracle.v) v -= 40;
        set_potentials(p, 0, oracle, k, epsilon);
        p.states[0] = {
            .use_log_domain = 1, .absorb = 1, .coarse = type == DensityType::kBfloat16, .current = 1};
        const ScalingProblems start = p;
        absorb(p);

        // Rounding v moves a part of it into t, so that the plan does not change.
        for (int64_t j = 0; j < m; ++j) {
          EXPECT_WITHIN(std::abs(double(p.t(0, 1)[j]) - 1.0), 1e-4);
          const double before = p.v[j] + std::log(double(p.t(0, 1)[j]));
          EXPECT_TRUE(before == oracle.v[j] || std::abs(before - oracle.v[j]) <= 1e-7) << before;
          EXPECT_EQ(p.column_mass[j], static_cast<float>(std::exp(p.log_b[j])));
        }
        for (int64_t j = m; j < p.width; ++j) EXPECT_TRUE(p.t(0, 0)[j] == 0 && p.t(0, 1)[j] == 0);
        for (int64_t i = 0; i < n; ++i) {
          EXPECT_EQ(p.s(0, 1)[i], 1.0f);
          EXPECT_EQ(p.row_mass[i], static_cast<float>(std::exp(p.log_a[i])));
        }

        // Single precision rounds an exponent of 86 by 4e-6, and its summands by a few times that; at the
        // smaller epsilon the summands reach 1000.
        const double tolerance =
            (epsilon < 0.01 ? 2e-4 : 1e-5) + (type == DensityType::kFloat ? 0 : 1.0 / 256);
        double worst = 0;
        int64_t zeros = 0;
        for (int64_t i = 0; i < n; ++i) {
          for (int64_t j = 0; j < m; ++j) {
            const double x = k[i * m + j] * double(p.inverse_epsilon[0]) + p.u[i] - p.log_a[i] + p.v[j];
            const double expected =
                p.log_a[i] > -kInfinity && p.log_b[j] > -kInfinity && x > -86 ? std::exp(x) : 0.0;
            const float actual = p.entry(0, i, j, type);
            if (std::abs(x + 86) < 1e-3) continue;  // may fall on either side
            zeros += expected == 0;
            if (expected == 0 ? actual != 0.0f : !(std::abs(actual / expected - 1.0) <= worst))
              worst = expected == 0 ? kInfinity : std::abs(actual / expected - 1.0);
          }
          for (int64_t j = m; j < density_stride(m, type); ++j) EXPECT_EQ(p.entry(0, i, j, type), 0.0f);
        }
        EXPECT_WITHIN(worst, tolerance);
        EXPECT_TRUE(epsilon > 0.01 || m < 30 || zeros > n * m / 2) << zeros;
        const int64_t used = kernels::density_bytes(1, n, m, type);
        EXPECT_EQ(std::count(p.density.begin() + used, p.density.end(), 0xff), p.density_bytes - used);

        const SinkhornState expected_state{
            .use_log_domain = 0, .absorb = 0, .coarse = start.states[0].coarse, .current = 1};
        EXPECT_EQ(fields(p.states[0]), fields(expected_state));
        EXPECT_EQ(p.u, start.u);
        EXPECT_EQ(bytes_of(p.s(0, 0), n), bytes_of(start.row_scale.data(), n));
        EXPECT_EQ(bytes_of(p.affinity.data(), n * m), bytes_of(start.affinity.data(), n * m));
        ScalingProblems again = start;
        absorb(again);
        expect_same(again, p);
      }
}

// K has a large constant offset, which the potentials cancel: what single precision loses of the row
// potentials (6e-5 near 1000) must be recovered.
TEST_P(SinkhornAbsorbKernelTest, LargePotentialsLoseNothing) {
  const int64_t n = 37, m = 41;
  const double epsilon = 1.0 / 128;
  const auto k = random_uniform(n * m, 95, 8.0f, 8.02f);
  ScalingProblems p(n, m);
  set_potentials(p, 0, first_iteration(k, n, m, epsilon), k, epsilon);
  p.states[0] = {.use_log_domain = 1, .absorb = 1};
  absorb(p);
  double worst = 0;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) {
      if (p.log_a[i] == -kInfinity || p.log_b[j] == -kInfinity) continue;
      const double expected = std::exp(128.0 * double(k[i * m + j]) + p.u[i] - p.log_a[i] + p.v[j]);
      const double error = std::abs(double(p.entry(0, i, j, DensityType::kFloat)) / expected - 1.0);
      if (!(error <= worst)) worst = error;
    }
  EXPECT_WITHIN(worst, 2e-6);
}

// A column without mass has no entries and adds nothing to row sums, whatever its potential.
TEST_P(SinkhornAbsorbKernelTest, ColumnsWithoutMassHaveNoEntries) {
  const int64_t n = 31, m = 35, column = m / 2;
  const auto k = random_uniform(n * m, 96);
  for (const DensityType type : kTypes)
    for (const double potential : {-kInfinity, 0.0, -3.0, 40.0}) {
      SCOPED_TRACE(potential);
      ScalingProblems p(n, m);
      set_potentials(p, 0, first_iteration(k, n, m, 0.1), k, 0.1);
      ASSERT_EQ(p.log_b[column], -kInfinity);
      p.v[column] = potential;
      p.states[0] = {.use_log_domain = 1, .absorb = 1, .coarse = type == DensityType::kBfloat16};
      absorb(p);
      for (int64_t i = 0; i < n; ++i) EXPECT_EQ(p.entry(0, i, column, type), 0.0f);
      EXPECT_EQ(p.v[column], potential);
      EXPECT_EQ(p.t(0, 0)[column], 1.0f);
      EXPECT_EQ(p.column_mass[column], 0.0f);
      scale(p, type);
      EXPECT_EQ(p.t(0, 1)[column], 1.0f);
      EXPECT_WITHIN(p.states[0].row_error, 1.0);
    }
}

// Only problems that want a density get one, of the right type; the others stay unchanged. A batch gives the
// same result as its problems one by one.
TEST_P(SinkhornAbsorbKernelTest, DensitiesAreMadeWhereAskedFor) {
  const int64_t n = 37, m = 41;
  struct Case {
    SinkhornState state;
    bool wanted, wanted_refined;
    int coarse;  // afterwards, unless refined
  };
  const std::vector<Case> cases = {
      {{.use_log_domain = 0, .absorb = 1}, true, true, 0},
      {{.use_log_domain = 1, .absorb = 0}, true, true, 0},
      {{.use_log_domain = 0, .absorb = 0}, false, false, 0},
      {{.use_log_domain = 0, .absorb = 0, .coarse = 1}, false, true, 1},
      {{.use_log_domain = 0, .absorb = 1, .coarse = 1}, true, true, 1},
      {{.use_log_domain = 0, .absorb = 0, .coarse = 2}, true, true, 0},
      {{.active = 0, .use_log_domain = 1, .absorb = 1, .coarse = 2}, false, false, 2}};
  const auto count = static_cast<int64_t>(cases.size());
  ScalingProblems start(n, m, count);
  for (int64_t b = 0; b < count; ++b) {
    const auto k = random_uniform(n * m, 200 + static_cast<uint64_t>(b));
    set_potentials(start, b, first_iteration(k, n, m, 0.05), k, 0.05);
    start.states[b] = cases[b].state;
    start.states[b].current = static_cast<int32_t>(b % 2);
    for (const int copy : {0, 1}) {
      const auto s = random_uniform(n, 300, 0.5f, 2.0f), t = random_uniform(m, 301, 0.5f, 2.0f);
      std::copy(s.begin(), s.end(), start.s(b, copy));
      std::copy(t.begin(), t.end(), start.t(b, copy));
    }
  }
  for (const Refine refine : {Refine::kNo, Refine::kYes}) {
    ScalingProblems folded = start, made = start;
    fold(folded, Which::kWanted, refine);
    absorb(made, refine);
    for (int64_t b = 0; b < count; ++b) {
      SCOPED_TRACE(b);
      const bool wanted = refine == Refine::kYes ? cases[b].wanted_refined : cases[b].wanted;
      ScalingProblems single = start.one(b);
      fold(single, Which::kWanted, refine);
      expect_same(single, folded.one(b));
      single = start.one(b);
      absorb(single, refine);
      expect_same(single, made.one(b));
      if (!wanted) {
        expect_same(folded.one(b), start.one(b));
        expect_same(made.one(b), start.one(b));
        continue;
      }
      EXPECT_EQ(fields(folded.states[b]), fields(start.states[b]));  // absorbing changes them, not folding
      EXPECT_NE(folded.one(b).u, start.one(b).u);
      EXPECT_NE(made.one(b).density, start.one(b).density);
      EXPECT_EQ(made.states[b].coarse, refine == Refine::kYes ? 0 : cases[b].coarse);
      EXPECT_TRUE(made.states[b].absorb == 0 && made.states[b].use_log_domain == 0);
    }
  }
}

TEST_P(SinkhornAbsorbKernelTest, FoldingMovesFactorsIntoPotentials) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {31, 700}, {700, 31}}) {
    ScalingProblems p(n, m, 2);
    for (int64_t b = 0; b < 2; ++b) {
      set_scaling(p, b, DensityType::kFloat, 70 + static_cast<uint64_t>(b));  // the current copy alternates
      for (int64_t i = 0; i < n; ++i) p.u[b * n + i] = 300 + double(i);
      for (int64_t j = 0; j < m; ++j) p.v[b * m + j] = j == m / 2 && m > 2 ? -kInfinity : -300 + double(j);
    }
    p.states[1].active = 0;
    ScalingProblems start = p;
    fold(p, Which::kWanted);
    expect_same(p, start);
    fold(p, Which::kAll);
    for (int64_t b = 0; b < 2; ++b) {
      const int current = p.states[b].current;
      for (int64_t i = 0; i < n; ++i) {
        EXPECT_WITHIN(
            std::abs(p.u[b * n + i] - start.u[b * n + i] - std::log(double(start.s(b, current)[i]))), 1e-12);
        EXPECT_EQ(p.s(b, current)[i], 1.0f);
      }
      for (int64_t j = 0; j < m; ++j) {
        const double expected = start.v[b * m + j] + std::log(double(start.t(b, current)[j]));
        EXPECT_TRUE(p.v[b * m + j] == expected || std::abs(p.v[b * m + j] - expected) <= 1e-12);
        EXPECT_EQ(p.t(b, current)[j], 1.0f);
      }
      EXPECT_EQ(bytes_of(p.s(b, 1 - current), n), bytes_of(start.s(b, 1 - current), n));
      EXPECT_EQ(bytes_of(p.t(b, 1 - current), p.width), bytes_of(start.t(b, 1 - current), p.width));
      EXPECT_EQ(fields(p.states[b]), fields(start.states[b]));
    }
  }
}

// Density, iterations, folding, then the same from a new density. Starting with bfloat16 for half the
// iterations leaves no error after as many float iterations.
TEST_P(SinkhornAbsorbKernelTest, TogetherTheySolve) {
  const int64_t n = 61, m = 47;
  const double epsilon = 0.1;
  const auto k = random_uniform(n * m, 400);
  for (const int coarse : {0, 1}) {
    const EntropicOracle start = first_iteration(k, n, m, epsilon);
    ScalingProblems p(n, m);
    set_potentials(p, 0, start, k, epsilon);
    p.states[0] = {.use_log_domain = 0, .coarse = coarse};
    absorb(p);
    for (int i = 0; i < 40; ++i) {
      if (i == 20) {
        p.states[0].absorb = 1;
        fold(p, Which::kWanted, Refine::kYes);
        absorb(p, Refine::kYes);
      }
      scale(p, coarse && i < 20 ? DensityType::kBfloat16 : DensityType::kFloat);
    }
    fold(p, Which::kAll);
    EXPECT_EQ(p.states[0].iterations, 40);
    EntropicOracle expected = first_iteration(k, n, m, epsilon), actual = expected;
    for (int i = 0; i < 40; ++i) {
      for (int64_t row = 0; row < n; ++row) expected.u[row] = expected.row_update(row);
      for (int64_t j = 0; j < m; ++j) expected.v[j] = expected.column_update(j);
    }
    actual.u = p.u, actual.v = p.v;
    EXPECT_WITHIN(testing::relative_l1(actual.plan(), expected.plan()), coarse ? 2e-5 : 1e-6);
    EXPECT_WITHIN(p.states[0].row_error, 1e-5);
  }
}

}  // namespace kernels_sinkhorn_absorb_test
}  // namespace sotalign
