// Sinkhorn: stopping, batches, weights, starts and hostile affinities, against loops in double precision.
#include "sotalign/ot/sinkhorn.h"

#include <gtest/gtest.h>

#include "sotalign/core/error.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_sinkhorn_test {

using testing::EntropicOracle;
using testing::random_uniform;
using testing::relative_l1;

class SinkhornTest : public testing::DeviceTest {
 protected:
  struct Solved {
    SinkhornResult result;
    std::vector<float> plan;
    std::vector<double> u, v;
  };
  Solved finish(Sinkhorn& solver, const Matrix<float>& affinity) {
    solver.solve(affinity);
    Matrix<float> plan(context, affinity.rows(), affinity.cols());
    solver.plan(affinity, plan);
    return {solver.results()[0], plan.download(), solver.row_potentials(0), solver.column_potentials(0)};
  }
  Solved solve(const std::vector<float>& k, int64_t n, int64_t m, const SinkhornOptions& options) {
    const Matrix<float> affinity(context, k.data(), n, m);
    Sinkhorn solver(context, n, m, options);
    return finish(solver, affinity);
  }
};
SOTALIGN_ON_EVERY_DEVICE(SinkhornTest);

TEST_P(SinkhornTest, PlansAgreeWithTheOracleAtEveryEpsilon) {
  const int64_t n = 129, m = 70;
  const auto k = random_uniform(n * m, 1);
  for (const double epsilon : {1.0, 0.1, 0.05, 0.01, 0.005, 0.001}) {
    SCOPED_TRACE(epsilon);
    const Solved s = solve(k, n, m, {.epsilon = epsilon, .solve = {.iterations = 25}});
    const EntropicOracle oracle = EntropicOracle(k, n, m, epsilon).solve(25, false);
    EXPECT_WITHIN(relative_l1(s.plan, oracle.plan()), epsilon < 0.005 ? 2e-5 : 5e-6);
    EXPECT_WITHIN(std::abs(s.result.row_error - oracle.row_error()), 5e-6);
    EXPECT_WITHIN(s.result.column_error, 5e-6);
    EXPECT_EQ(s.result.status, SinkhornStatus::kFixed);
    EXPECT_EQ(s.result.iterations, 25);
    // The potentials define the plan.
    double worst = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j)
        worst = std::max(
            worst, std::abs(std::exp(double(k[i * m + j]) / epsilon + s.u[i] + s.v[j]) - s.plan[i * m + j]));
    EXPECT_WITHIN(worst, 1e-4 / double(std::max(n, m)));
  }
}

TEST_P(SinkhornTest, ToleranceStopsAndIsMet) {
  const int64_t n = 100, m = 75;
  const auto k = random_uniform(n * m, 2);
  int64_t before = 0;
  for (const double tolerance : {1e-1, 1e-2, 1e-3, 1e-4, 1e-5}) {
    const Solved s = solve(
        k, n, m, {.epsilon = 0.1, .solve = {.iterations = 300, .tolerance = tolerance, .check_every = 1}});
    EXPECT_EQ(s.result.status, SinkhornStatus::kConverged);
    EXPECT_WITHIN(s.result.marginal_error, tolerance * 1.01 + 1e-6);
    EXPECT_GE(s.result.iterations, before) << "a tighter tolerance took fewer iterations";
    before = s.result.iterations;
  }
  EXPECT_GT(before, 3);
  EXPECT_LT(before, 300);
  const Solved rare =
      solve(k, n, m, {.epsilon = 0.1, .solve = {.iterations = 300, .tolerance = 1e-5, .check_every = 50}});
  EXPECT_EQ(rare.result.iterations, 50);
  const Solved limited = solve(k, n, m, {.epsilon = 0.001, .solve = {.iterations = 10, .tolerance = 1e-6}});
  EXPECT_EQ(limited.result.status, SinkhornStatus::kIterationLimit);
  EXPECT_EQ(limited.result.iterations, 10);
  EXPECT_GT(limited.result.marginal_error, 1e-6);
}

TEST_P(SinkhornTest, SymmetrizeAveragesTheRowPotentials) {
  const int64_t n = 30, m = 40;
  const auto k = random_uniform(n * m, 3);
  const Solved s =
      solve(k, n, m, {.epsilon = 0.02, .symmetrize = Symmetrize::kYes, .solve = {.iterations = 3}});
  EXPECT_WITHIN(relative_l1(s.plan, EntropicOracle(k, n, m, 0.02).solve(3, true).plan()), 5e-6);
  EXPECT_FALSE(relative_l1(s.plan, EntropicOracle(k, n, m, 0.02).solve(3, false).plan()) < 1e-3);
}

TEST_P(SinkhornTest, BatchesAreBitwiseWhatSingleSolvesAre) {
  const int64_t n = 131, m = 67;
  const std::vector<double> epsilons = {0.05, 0.01, 0.3};
  const auto k = random_uniform(3 * n * m, 4);
  std::vector<SinkhornOptions> options;
  for (const double epsilon : epsilons)
    options.push_back(
        {.epsilon = epsilon, .symmetrize = Symmetrize::kYes, .solve = {.iterations = 60, .tolerance = 1e-4}});
  const Matrix<float> all(context, k.data(), 3 * n, m);
  Matrix<float> plans(context, 3 * n, m);
  Sinkhorn batch(context, n, m, options);
  batch.solve(all);
  batch.plan(all, plans);
  const std::vector<float> together = plans.download();
  const std::vector<SinkhornResult> results = batch.results();
  EXPECT_NE(results[1].iterations, results[2].iterations) << "the problems should stop at different times";
  for (int64_t b = 0; b < 3; ++b) {
    const std::vector<float> own(k.begin() + b * n * m, k.begin() + (b + 1) * n * m);
    const Solved single = solve(own, n, m, options[b]);
    EXPECT_EQ(single.plan,
              std::vector<float>(together.begin() + b * n * m, together.begin() + (b + 1) * n * m));
    EXPECT_EQ(single.u, batch.row_potentials(b));
    EXPECT_EQ(single.result.iterations, results[b].iterations);
    EXPECT_EQ(single.result.marginal_error, results[b].marginal_error);
  }
}

TEST_P(SinkhornTest, ProblemsOfABatchMayDifferInEveryOption) {
  const int64_t n = 40, m = 53;
  const std::vector<SinkhornOptions> options = {
      {.epsilon = 0.05, .solve = {.iterations = 30}},
      {.epsilon = 0.1, .solve = {.iterations = 30}},
      {.epsilon = 0.1, .symmetrize = Symmetrize::kYes, .solve = {.iterations = 30}},
      {.epsilon = 0.05, .solve = {.iterations = 4, .form = SinkhornForm::kLogDomain}},
      {.epsilon = 0.05, .solve = {.iterations = 45, .relaxation = 1.4, .epsilon_scaling = 8}},
      {.epsilon = 0.2, .solve = {.iterations = 60, .tolerance = 1e-4, .check_every = 3}},
      {.epsilon = 0.05, .solve = {.iterations = 40, .storage = SinkhornStorage::kLadder}}};
  const int64_t problems = static_cast<int64_t>(options.size());
  const auto k = random_uniform(problems * n * m, 17);
  const Matrix<float> all(context, k.data(), problems * n, m);
  Matrix<float> plans(context, problems * n, m);
  Sinkhorn batch(context, n, m, options);
  batch.solve(all);
  const int64_t allocations = context.allocations();
  batch.solve(all);
  EXPECT_EQ(context.allocations(), allocations);
  batch.plan(all, plans);
  const std::vector<float> together = plans.download();
  const std::vector<SinkhornResult> results = batch.results();
  for (int64_t b = 0; b < problems; ++b) {
    SCOPED_TRACE(b);
    const std::vector<float> own(k.begin() + b * n * m, k.begin() + (b + 1) * n * m);
    const Solved single = solve(own, n, m, options[b]);
    EXPECT_EQ(single.plan,
              std::vector<float>(together.begin() + b * n * m, together.begin() + (b + 1) * n * m));
    EXPECT_EQ(single.u, batch.row_potentials(b));
    EXPECT_EQ(single.v, batch.column_potentials(b));
    EXPECT_EQ(single.result.iterations, results[b].iterations);
    EXPECT_EQ(single.result.marginal_error, results[b].marginal_error);
    EXPECT_EQ(single.result.status, results[b].status);
  }
  EXPECT_CONTAINS(batch.describe(), "problem 0: scaling form");
  EXPECT_CONTAINS(batch.describe(), "; problem 3: log domain");
  EXPECT_EQ(batch.describe().find("problem 1:"), std::string::npos) << "solved together with problem 0";
}

TEST_P(SinkhornTest, WarmStartReachesTheSamePlanSooner) {
  const int64_t n = 60;
  const auto k = random_uniform(n * n, 6);
  const Matrix<float> affinity(context, k.data(), n, n);
  const SinkhornOptions options{.epsilon = 0.02,
                                .solve = {.iterations = 2000, .tolerance = 1e-5, .check_every = 1}};
  Sinkhorn solver(context, n, n, options);
  const Solved cold = finish(solver, affinity);
  // Moving a constant between the potentials changes nothing: the start is equivalent, though its values look
  // far off.
  std::vector<double> shifted = cold.v;
  for (double& value : shifted) value += 500;
  solver.set_start(0, shifted);
  const Solved warm = finish(solver, affinity);
  EXPECT_LT(warm.result.iterations, cold.result.iterations / 4);
  EXPECT_EQ(warm.result.status, SinkhornStatus::kConverged);
  EXPECT_WITHIN(relative_l1(warm.plan, cold.plan), 5e-5);
}

// Starts that exceed the bounds of the fused iteration, so that the log-domain updates must take over.
TEST_P(SinkhornTest, WildStartsAreSafe) {
  const int64_t n = 64, m = 96;
  const auto k = random_uniform(n * m, 7);
  const Matrix<float> affinity(context, k.data(), n, m);
  Sinkhorn solver(context, n, m, SinkhornOptions{.epsilon = 0.05, .solve = {.iterations = 100}});
  const Solved cold = finish(solver, affinity);
  std::vector<double> start(m);
  for (int64_t j = 0; j < m; ++j) start[j] = j % 2 == 0 ? 5000.0 : -5000.0;
  solver.set_start(0, start);
  const Solved wild = finish(solver, affinity);
  EXPECT_WITHIN(relative_l1(wild.plan, cold.plan), 1e-5);
}

TEST_P(SinkhornTest, WeightsAreMetAndZeroWeightsGiveZeroRows) {
  const int64_t n = 40, m = 33;
  const auto k = random_uniform(n * m, 8);
  std::vector<double> a(n), b(m);
  for (int64_t i = 0; i < n; ++i) a[i] = i % 5 == 0 ? 0.0 : double(i);
  for (int64_t j = 0; j < m; ++j) b[j] = j % 7 == 3 ? 0.0 : std::pow(10.0, -double(j % 12));
  for (const double epsilon : {0.5, 0.01, 0.001}) {
    SCOPED_TRACE(epsilon);
    const Matrix<float> affinity(context, k.data(), n, m);
    Sinkhorn solver(context, n, m, SinkhornOptions{.epsilon = epsilon, .solve = {.iterations = 30}});
    solver.set_weights(0, a, b);
    const Solved s = finish(solver, affinity);
    EntropicOracle oracle(k, n, m, epsilon);
    double sum_a = 0, sum_b = 0;
    for (const double x : a) sum_a += x;
    for (const double x : b) sum_b += x;
    for (int64_t i = 0; i < n; ++i) oracle.a[i] = a[i] / sum_a;
    for (int64_t j = 0; j < m; ++j) oracle.b[j] = b[j] / sum_b;
    oracle.solve(30, false);
    EXPECT_WITHIN(relative_l1(s.plan, oracle.plan()), 2e-5);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j)
        if (a[i] == 0 || b[j] == 0) {
          EXPECT_EQ(s.plan[i * m + j], 0.0f);
        }
    EXPECT_TRUE(std::isinf(s.u[0]) && std::isinf(s.v[3]));
    EXPECT_WITHIN(s.result.column_error, 1e-5);
  }
}

// Whether the start is set before or after the weights.
TEST_P(SinkhornTest, StartsGiveColumnsWithoutMassNothing) {
  const int64_t n = 23, m = 19;
  const double minus_infinity = -std::numeric_limits<double>::infinity();
  const auto k = random_uniform(n * m, 9);
  const Matrix<float> affinity(context, k.data(), n, m);
  std::vector<double> b(m, 1.0), wild(m), right(m);
  for (int64_t j = 0; j < m; ++j) {
    b[j] = j % 6 == 1 ? 0.0 : 1.0;
    wild[j] = b[j] > 0 ? 0.1 * double(j) : 700.0;
    right[j] = b[j] > 0 ? wild[j] : minus_infinity;
  }
  for (const SinkhornForm form : {SinkhornForm::kScaling, SinkhornForm::kLogDomain})
    for (const int64_t iterations : {1, 3}) {
      const SinkhornOptions options{.epsilon = 0.1, .solve = {.iterations = iterations, .form = form}};
      Sinkhorn expected(context, n, m, options), before(context, n, m, options),
          after(context, n, m, options);
      expected.set_weights(0, {}, b);
      expected.set_start(0, right);
      before.set_start(0, wild);
      before.set_weights(0, {}, b);
      after.set_weights(0, {}, b);
      after.set_start(0, wild);
      const Solved e = finish(expected, affinity);
      for (Sinkhorn* solver : {&before, &after}) {
        const Solved s = finish(*solver, affinity);
        EXPECT_EQ(s.u, e.u);
        EXPECT_EQ(s.v, e.v);
        EXPECT_EQ(s.plan, e.plan);
        for (int64_t i = 0; i < n; ++i) EXPECT_EQ(s.plan[i * m + 1], 0.0f);
        EXPECT_EQ(s.v[1], minus_infinity);
      }
      // With other weights all columns take part again, from the start set for them.
      Sinkhorn fresh(context, n, m, options);
      std::vector<double> start = right;
      for (double& v : start) v = std::isinf(v) ? 0.0 : v;
      fresh.set_start(0, start);
      before.set_weights(0, {}, {});
      EXPECT_EQ(finish(before, affinity).v, finish(fresh, affinity).v);
    }
}

TEST_P(SinkhornTest, ExtremeWeightsStayFinite) {
  const int64_t n = 70, m = 5;
  const auto k = random_uniform(n * m, 9);
  std::vector<double> a(n, 1e-60);
  a[3] = 1.0;
  const Matrix<float> affinity(context, k.data(), n, m);
  Sinkhorn solver(context, n, m, SinkhornOptions{.epsilon = 0.01, .solve = {.iterations = 20}});
  solver.set_weights(0, a, {});
  const Solved s = finish(solver, affinity);
  for (const float p : s.plan) EXPECT_TRUE(std::isfinite(p));
  for (const double u : s.u) EXPECT_TRUE(std::isfinite(u));
  EXPECT_WITHIN(s.result.marginal_error, 1e-5);
}

TEST_P(SinkhornTest, HostileAffinities) {
  const int64_t n = 33, m = 47;
  std::vector<std::vector<float>> hostile;
  hostile.emplace_back(n * m, 0.0f);  // all equal
  hostile.emplace_back(n * m, -1.0f);
  hostile.push_back(random_uniform(n * m, 10));  // +-1 everywhere
  for (float& x : hostile.back()) x = x > 0 ? 1.0f : -1.0f;
  hostile.emplace_back(n * m, 0.0f);  // one outlier
  hostile.back()[5] = 1.0f;
  hostile.emplace_back(n * m, -1.0f);  // one row and one column far from all others
  for (int64_t j = 0; j < m; ++j) hostile.back()[7 * m + j] = 1.0f;
  for (int64_t i = 0; i < n; ++i) hostile.back()[i * m + 11] = 1.0f;
  for (const std::vector<float>& k : hostile)
    for (const double epsilon : {0.05, 0.001}) {
      const Solved s = solve(k, n, m, {.epsilon = epsilon, .solve = {.iterations = 25}});
      EXPECT_WITHIN(relative_l1(s.plan, EntropicOracle(k, n, m, epsilon).solve(25, false).plan()), 2e-5);
      EXPECT_WITHIN(s.result.column_error, 5e-6);
    }
}

TEST_P(SinkhornTest, StridedAffinities) {
  const int64_t n = 20, m = 30, stride = 37;
  const auto padded = random_uniform(n * stride, 11);
  std::vector<float> dense;
  for (int64_t i = 0; i < n; ++i)
    dense.insert(dense.end(), padded.begin() + i * stride, padded.begin() + i * stride + m);
  const Matrix<float> storage(context, padded.data(), n, stride);
  const ConstMatrixF view(storage.data(), n, m, stride);
  Sinkhorn solver(context, n, m, SinkhornOptions{});
  solver.solve(view);
  EXPECT_EQ(solver.row_potentials(0), solve(dense, n, m, {}).u);
}

TEST_P(SinkhornTest, PermutingTheProblemPermutesThePlan) {
  const int64_t n = 90, m = 80;
  const auto k = random_uniform(n * m, 12);
  std::vector<float> reversed(k.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) reversed[(n - 1 - i) * m + (m - 1 - j)] = k[i * m + j];
  const Solved straight = solve(k, n, m, {.solve = {.iterations = 30}}),
               mirrored = solve(reversed, n, m, {.solve = {.iterations = 30}});
  std::vector<float> back(k.size());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) back[i * m + j] = mirrored.plan[(n - 1 - i) * m + (m - 1 - j)];
  EXPECT_WITHIN(relative_l1(back, straight.plan), 2e-6);
}

TEST_P(SinkhornTest, RowsOfThePlanEqualThoseOfTheWhole) {
  const int64_t n = 37, m = 21;
  const auto k = random_uniform(n * m, 14);
  const Matrix<float> affinity(context, k.data(), n, m);
  Sinkhorn solver(context, n, m, SinkhornOptions{});
  const std::vector<float> whole = finish(solver, affinity).plan;
  Matrix<float> parts(context, n, m);
  parts.upload(k.data());
  for (const auto& [first, count] : {std::pair<int64_t, int64_t>{30, 7}, {0, 1}, {1, 29}, {5, 0}}) {
    const MatrixF rows = parts.view().row_range(first, count);  // the plan overwrites its affinity
    solver.plan_rows(rows, first, rows);
  }
  EXPECT_EQ(parts.download(), whole);
  Matrix<float> wide(context, n, m + 1);
  EXPECT_THROW(solver.plan_rows(affinity.view(), 1, parts), InvalidArgument);
  EXPECT_THROW(solver.plan_rows(affinity.view(), -1, parts), InvalidArgument);
  EXPECT_THROW(solver.plan_rows(affinity.view(), 0, wide), InvalidArgument);
  EXPECT_THROW(solver.plan_rows(affinity.view(), 0, {wide.data(), n, m, m + 1}), InvalidArgument);
}

TEST_P(SinkhornTest, RejectsWhatItCannotDo) {
  EXPECT_THROW(Sinkhorn(context, 0, 5, SinkhornOptions{}), InvalidArgument);
  EXPECT_THROW(Sinkhorn(context, 5, 5, SinkhornOptions{.epsilon = 0.0}), InvalidArgument);
  EXPECT_THROW(Sinkhorn(context, 5, 5, SinkhornOptions{.epsilon = std::nan("")}), InvalidArgument);
  EXPECT_THROW(Sinkhorn(context, 5, 5, SinkhornOptions{.epsilon = 1e-40}), InvalidArgument);
  EXPECT_THROW(Sinkhorn(context, 5, 5, SinkhornOptions{.solve = {.iterations = 0}}), InvalidArgument);
  EXPECT_THROW(Sinkhorn(context, 5, 5, SinkhornOptions{.solve = {.tolerance = -1.0}}), InvalidArgument);
  EXPECT_THROW(Sinkhorn(context, 5, 5, SinkhornOptions{.solve = {.check_every = 0}}), InvalidArgument);
  EXPECT_THROW(
      Sinkhorn(context, {{5, 5}, {5, 5}}, {{.solve = {.iterations = 5}}, {.solve = {.iterations = 6}}}),
      InvalidArgument);
  Sinkhorn solver(context, 2, 3, SinkhornOptions{});
  EXPECT_THROW(solver.set_weights(0, {1.0}, {}), InvalidArgument);
  EXPECT_THROW(solver.set_weights(0, {0.0, 0.0}, {}), InvalidArgument);
  EXPECT_THROW(solver.set_weights(0, {1.0, -1.0}, {}), InvalidArgument);
  EXPECT_THROW(solver.set_weights(0, {1.0, std::nan("")}, {}), InvalidArgument);
  EXPECT_THROW(solver.set_start(0, {0.0, 0.0}), InvalidArgument);
  EXPECT_THROW(solver.set_start(0, {0.0, 0.0, std::nan("")}), InvalidArgument);
  const double none = -std::numeric_limits<double>::infinity();
  EXPECT_THROW(solver.set_start(0, {none, none, none}), InvalidArgument);
  solver.set_weights(0, {}, {1.0, 1.0, 0.0});
  EXPECT_THROW(solver.set_start(0, {none, none, 0.0}), InvalidArgument);
  EXPECT_THROW(solver.solve(Matrix<float>(context, 3, 3)), InvalidArgument);
}

}  // namespace lib_sinkhorn_test
}  // namespace sotalign
