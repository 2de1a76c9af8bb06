// The solver's forms and options: they change the work, not the answer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sotalign/core/error.h"
#include "sotalign/ot/klot.h"
#include "sotalign/ot/sinkhorn.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_sinkhorn_form_test {

using testing::EntropicOracle;
using testing::random_uniform;
using testing::relative_l1;

// Cosines with the true pairs on the diagonal, as trained embeddings have them: Sinkhorn converges slowly on
// these.
std::vector<float> paired_affinity(int64_t n, unsigned seed) {
  std::vector<float> k = random_uniform(n * n, seed);
  for (float& x : k) x *= 0.3f;
  for (int64_t i = 0; i < n; ++i) k[i * n + i] = 0.45f + 0.3f * k[i * n + (i + 1) % n];
  return k;
}

class SinkhornFormTest : public testing::DeviceTest {
 protected:
  struct Solved {
    SinkhornResult result;
    std::vector<float> plan;
  };
  Solved solve(const std::vector<float>& k, int64_t n, int64_t m, const SinkhornOptions& options) {
    const Matrix<float> affinity(context, k.data(), n, m);
    Sinkhorn solver(context, n, m, options);
    solver.solve(affinity);
    Matrix<float> plan(context, n, m);
    solver.plan(affinity, plan);
    return {solver.results()[0], plan.download()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(SinkhornFormTest);

TEST_P(SinkhornFormTest, ScalingEqualsLogDomain) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{1, 1}, {1, 7}, {33, 1}, {65, 31}, {127, 129}})
    for (const double epsilon : {0.1, 0.05, 0.01, 0.005, 0.001}) {
      SCOPED_TRACE(fmt::format("{} x {}, epsilon {}", n, m, epsilon));
      auto k = random_uniform(n * m, 3);
      for (float& x : k) x *= 0.5f;
      const SinkhornOptions log{.epsilon = epsilon,
                                .solve = {.iterations = 40, .form = SinkhornForm::kLogDomain}};
      SinkhornOptions scaling = log;
      scaling.solve.form = SinkhornForm::kScaling;
      const Solved a = solve(k, n, m, log), b = solve(k, n, m, scaling);
      EXPECT_WITHIN(relative_l1(b.plan, std::vector<double>(a.plan.begin(), a.plan.end())),
                    epsilon < 0.005 ? 2e-5 : 5e-6);
      EXPECT_EQ(b.result.iterations, 40);
      EXPECT_WITHIN(std::abs(a.result.row_error - b.result.row_error), 5e-6);
    }
}

// Factors far from 1 require new densities; a distant start requires the log domain.
TEST_P(SinkhornFormTest, DensitiesAreMadeAnewWherePotentialsMoveFar) {
  const int64_t n = 40, m = 56;
  auto k = random_uniform(n * m, 5);
  for (int64_t j = 0; j < m; ++j) k[3 * m + j] -= 1.0f;  // a row far from all others
  const Matrix<float> affinity(context, k.data(), n, m);
  std::vector<double> start(m);
  for (int64_t j = 0; j < m; ++j) start[j] = j % 2 ? 60.0 : -60.0;
  for (const double epsilon : {0.01, 0.001}) {
    std::vector<std::vector<float>> plans;
    for (const SinkhornForm form : {SinkhornForm::kScaling, SinkhornForm::kLogDomain}) {
      Sinkhorn solver(context, n, m,
                      SinkhornOptions{.epsilon = epsilon, .solve = {.iterations = 80, .form = form}});
      solver.set_start(0, start);
      solver.solve(affinity);
      Matrix<float> plan(context, n, m);
      solver.plan(affinity, plan);
      plans.push_back(plan.download());
      EXPECT_EQ(solver.results()[0].iterations, 80);
    }
    EXPECT_WITHIN(relative_l1(plans[0], std::vector<double>(plans[1].begin(), plans[1].end())), 2e-5);
  }
}

TEST_P(SinkhornFormTest, LadderIsAsGoodAsItsLastIterations) {
  const int64_t n = 90, m = 75;
  const auto k = random_uniform(n * m, 6);
  for (const double epsilon : {0.05, 0.01}) {
    const SinkhornOptions options{
        .epsilon = epsilon,
        .solve = {.iterations = 100, .form = SinkhornForm::kScaling, .storage = SinkhornStorage::kLadder}};
    const Solved s = solve(k, n, m, options);
    EXPECT_WITHIN(relative_l1(s.plan, EntropicOracle(k, n, m, epsilon).solve(100, false).plan()), 5e-5);
    EXPECT_EQ(s.result.iterations, 100);
    // bfloat16 was used: float alone gives other bits.
    SinkhornOptions floats = options;
    floats.solve.storage = SinkhornStorage::kFloat;
    EXPECT_NE(s.plan, solve(k, n, m, floats).plan);
  }
  // With fewer iterations than the fine ones, nothing is coarse.
  const SinkhornOptions few{.solve = {.iterations = 12, .form = SinkhornForm::kScaling}};
  SinkhornOptions few_ladder = few;
  few_ladder.solve.storage = SinkhornStorage::kLadder;
  EXPECT_EQ(solve(k, n, m, few).plan, solve(k, n, m, few_ladder).plan);
}

TEST_P(SinkhornFormTest, LadderMeetsTheTolerance) {
  const int64_t n = 80;
  const auto k = random_uniform(n * n, 7);
  const SinkhornOptions options{
      .epsilon = 0.05, .solve = {.iterations = 500, .tolerance = 1e-6, .storage = SinkhornStorage::kLadder}};
  const Solved s = solve(k, n, n, options);
  EXPECT_EQ(s.result.status, SinkhornStatus::kConverged);
  EXPECT_WITHIN(s.result.marginal_error, 2e-6);
  EXPECT_LT(s.result.iterations, 200);
  EXPECT_WITHIN(relative_l1(s.plan, EntropicOracle(k, n, n, 0.05).solve(500, false).plan()), 2e-5);
}

TEST_P(SinkhornFormTest, OverRelaxationSavesIterationsAndKeepsTheAnswer) {
  const int64_t n = 60;
  const auto k = paired_affinity(n, 8);
  for (const SinkhornForm form : {SinkhornForm::kScaling, SinkhornForm::kLogDomain}) {
    SinkhornOptions plain{.epsilon = 0.05, .solve = {.iterations = 3000, .tolerance = 1e-5, .form = form}},
        relaxed = plain;
    relaxed.solve.relaxation = 1.6;
    const Solved a = solve(k, n, n, plain), b = solve(k, n, n, relaxed);
    EXPECT_EQ(a.result.status, SinkhornStatus::kConverged);
    EXPECT_EQ(b.result.status, SinkhornStatus::kConverged);
    EXPECT_LT(b.result.iterations * 3, a.result.iterations * 2) << a.result.iterations;
    EXPECT_WITHIN(b.result.column_error, 1e-5);  // convergence checks and the end follow a plain iteration
    const std::vector<double> exact = EntropicOracle(k, n, n, 0.05).solve(3000, false).plan();
    EXPECT_WITHIN(relative_l1(b.plan, exact), 1e-3);
    EXPECT_WITHIN(relative_l1(b.plan, exact), 3 * relative_l1(a.plan, exact) + 1e-5);
  }
}

TEST_P(SinkhornFormTest, EpsilonScalingReachesTheSamePlan) {
  const int64_t n = 60, m = 45;
  const auto k = random_uniform(n * m, 12);
  for (const SinkhornForm form : {SinkhornForm::kScaling, SinkhornForm::kLogDomain}) {
    SinkhornOptions options{
        .epsilon = 0.05,
        .solve = {.iterations = 1000, .tolerance = 1e-6, .epsilon_scaling = 8, .form = form}};
    const Solved s = solve(k, n, m, options);
    EXPECT_EQ(s.result.status, SinkhornStatus::kConverged);
    EXPECT_WITHIN(relative_l1(s.plan, EntropicOracle(k, n, m, 0.05).solve(1000, false).plan()), 2e-5);
    // Three stages of five iterations each; every stage starts from the previous one's potentials.
    options.solve.iterations = 16;
    options.solve.tolerance = 0;
    std::vector<double> v(m, 0.0);
    EntropicOracle oracle(k, n, m, 0.05);
    for (const double multiple : {8.0, 4.0, 2.0, 1.0}) {
      oracle = EntropicOracle(k, n, m, 0.05 * multiple);
      oracle.v = v;
      oracle.iterate(multiple == 1 ? 1 : 5);
      v = oracle.v;
      for (double& x : v) x *= 2;
    }
    const Solved few = solve(k, n, m, options);
    EXPECT_EQ(few.result.iterations, 16);
    EXPECT_WITHIN(relative_l1(few.plan, oracle.plan()), 5e-6);
  }
}

TEST_P(SinkhornFormTest, AnErrorThatNoLongerFallsEndsTheSolve) {
  const int64_t n = 70, m = 50;
  const auto k = random_uniform(n * m, 9);
  for (const SinkhornForm form : {SinkhornForm::kScaling, SinkhornForm::kLogDomain}) {
    const Solved s = solve(
        k, n, m,
        {.epsilon = 0.1, .solve = {.iterations = 2000, .tolerance = 1e-12, .check_every = 2, .form = form}});
    EXPECT_EQ(s.result.status, SinkhornStatus::kStalled);
    EXPECT_LT(s.result.iterations, 300);
    EXPECT_WITHIN(s.result.marginal_error, 5e-6);
  }
}

TEST_P(SinkhornFormTest, KlotPassesOptionsOn) {
  const int64_t n = 40;
  const auto student = random_uniform(n * n, 10), teacher = random_uniform(n * n, 11);
  const Matrix<float> ks(context, student.data(), n, n), kt(context, teacher.data(), n, n);
  const auto gradient_of = [&](const KlotOptions& options) {
    Klot klot(context, n, n, options);
    Matrix<float> gradient(context, n, n);
    klot.run(ks, kt, gradient);
    return gradient.download();
  };
  const std::vector<float> usual =
      gradient_of(KlotOptions{.epsilon_student = 0.2, .epsilon_teacher = 0.1}.with_both({.iterations = 30}));
  EXPECT_EQ(usual, gradient_of(KlotOptions{.epsilon_student = 0.2, .epsilon_teacher = 0.1}.with_both(
                       {.iterations = 30, .form = SinkhornForm::kScaling})));
  for (const KlotOptions& other : {KlotOptions{.epsilon_student = 0.2, .epsilon_teacher = 0.1}.with_both(
                                       {.iterations = 30, .form = SinkhornForm::kLogDomain}),
                                   KlotOptions{.epsilon_student = 0.2, .epsilon_teacher = 0.1}.with_both(
                                       {.iterations = 30, .storage = SinkhornStorage::kLadder}),
                                   KlotOptions{.epsilon_student = 0.2, .epsilon_teacher = 0.1}.with_both(
                                       {.iterations = 30, .relaxation = 1.1}),
                                   KlotOptions{.epsilon_student = 0.2, .epsilon_teacher = 0.1}.with_both(
                                       {.iterations = 30, .epsilon_scaling = 4})}) {
    const std::vector<float> gradient = gradient_of(other);
    EXPECT_NE(gradient, usual);
    EXPECT_WITHIN(relative_l1(gradient, std::vector<double>(usual.begin(), usual.end())), 1e-3);
  }
}

TEST_P(SinkhornFormTest, TellsItsFormAndWhy) {
  const auto line = [&](int64_t cols, const SinkhornOptions& options) {
    return Sinkhorn(context, 8, cols, options).describe();
  };
  EXPECT_CONTAINS(line(8, {}), "scaling form (up to 100 iterations repay a density), float");
  EXPECT_CONTAINS(line(8, {.solve = {.form = SinkhornForm::kScaling}}), "scaling form (chosen)");
  EXPECT_CONTAINS(line(8, {.solve = {.iterations = 5}}), "log domain (too few iterations");
  EXPECT_CONTAINS(line(8, {.solve = {.form = SinkhornForm::kLogDomain}}), "log domain (chosen)");
  EXPECT_CONTAINS(line(8, {.solve = {.storage = SinkhornStorage::kLadder}}), "bfloat16, then float density");
  EXPECT_CONTAINS(line(70000, {}),
                  context.device().kind == DeviceKind::kCpu ? "groups of 1 rows" : "two reads");
}

TEST_P(SinkhornFormTest, RejectsWhatItCannotDo) {
  for (const double relaxation : {0.0, -1.0, 2.0, std::nan("")})
    EXPECT_THROW(Sinkhorn(context, 2, 2, SinkhornOptions{.solve = {.relaxation = relaxation}}),
                 InvalidArgument);
  EXPECT_THROW(Sinkhorn(context, 2, 2,
                        SinkhornOptions{.solve = {.form = SinkhornForm::kLogDomain,
                                                  .storage = SinkhornStorage::kLadder}}),
               InvalidArgument);
}

}  // namespace lib_sinkhorn_form_test
}  // namespace sotalign
