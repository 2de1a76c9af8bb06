// Solves whose iterations run in one launch, against the same solves in separate launches: results are equal
// to the bit.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>

#include "ot/sinkhorn_solver.h"
#include "sotalign/core/error.h"
#include "sotalign/ot/sinkhorn.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/launch_count.h"

namespace sotalign {
namespace lib_sinkhorn_on_chip_test {

using detail::SinkhornSolver;
using testing::random_uniform;
using Placement = SinkhornSolver::Placement;

class SinkhornOnChipTest : public testing::DeviceTest {
 protected:
  void SetUp() override {
    if (context.device().kind == DeviceKind::kCpu) GTEST_SKIP() << "the CPU backend launches nothing";
    const OnChipSupport support = sinkhorn_on_chip_support(context);
    ASSERT_EQ(support.why_not, "");
    ASSERT_GE(support.most_rows, 200);
  }
  /// Everything that a solve leaves behind, as text.
  static std::string outcome(const SinkhornSolver& solver) try {
    std::string text;
    for (const SinkhornResult& r : solver.results())
      text += fmt::format("{} {} {} {}\n", r.iterations, r.row_error, r.column_error, to_string(r.status));
    for (int64_t b = 0; b < solver.batch(); ++b)
      for (const auto& values : {solver.row_potentials(b), solver.column_potentials(b)})
        for (const double value : values) text += fmt::format("{} ", value);  // shortest exact form
    return text;
  } catch (const NumericalError& error) {
    return error.what();
  }
  struct Solved {
    std::string outcome;
    int64_t launches = 0;
  };
  Solved solve(
      Placement placement, const std::vector<float>& k, int64_t n, int64_t m,
      const std::vector<SinkhornOptions>& options,
      const std::function<void(SinkhornSolver&)>& prepare = [](SinkhornSolver&) {}) {
    const Matrix<float> affinity(context, k.data(), static_cast<int64_t>(options.size()) * n, m);
    SinkhornSolver solver(context, n, m, options);
    solver.place(placement);
    prepare(solver);
    EXPECT_EQ(solver.describe().find("on chip") != std::string::npos, placement != Placement::kLaunches);
    const int64_t before = counts_ ? simt::launch_count() : 0;
    solver.solve(affinity);
    context.synchronize();
    return {outcome(solver), counts_ ? simt::launch_count() - before : 0};
  }
  void expect_equal(
      const std::vector<float>& k, int64_t n, int64_t m, const std::vector<SinkhornOptions>& options,
      const std::function<void(SinkhornSolver&)>& prepare = [](SinkhornSolver&) {}) {
    const Solved expected = solve(Placement::kLaunches, k, n, m, options, prepare);
    EXPECT_EQ(solve(Placement::kOnChip, k, n, m, options, prepare).outcome, expected.outcome);
  }
  static SinkhornOptions options_of(double epsilon, SolveOptions solve) {
    solve.form = SinkhornForm::kScaling;
    return {.epsilon = epsilon, .solve = solve};
  }
  const bool counts_ = testing::is_emulated(GetParam());
};
SOTALIGN_ON_EVERY_DEVICE(SinkhornOnChipTest);

// Layouts of 1 to 4 packets per thread, chunks of several sizes, blocks with and without rows of their own.
TEST_P(SinkhornOnChipTest, ShapesAgreeToTheBit) {
  for (const auto& [n, m] : {std::pair<int64_t, int64_t>{1, 1},
                             {1, 7},
                             {9, 1},
                             {65, 31},
                             {200, 200},
                             {13, 600},
                             {11, 1100},
                             {7, 2100},
                             {2300, 3}})
    for (const auto storage : {SinkhornStorage::kFloat, SinkhornStorage::kLadder}) {
      SCOPED_TRACE(
          fmt::format("{} x {}, {}", n, m, storage == SinkhornStorage::kLadder ? "ladder" : "float"));
      expect_equal(random_uniform(n * m, 3), n, m, {options_of(0.2, {.iterations = 33, .storage = storage})});
    }
}

// Small, for ThreadSanitizer: several chunks per group of threads, and several iterations.
TEST_P(SinkhornOnChipTest, SmallProblemsAgreeToTheBit) {
  expect_equal(random_uniform(75 * 33, 4), 75, 33, {options_of(0.2, {.iterations = 8, .tolerance = 1e-9})});
}

// A smaller epsilon needs the log domain and new densities; the schedule decides when.
TEST_P(SinkhornOnChipTest, RecoveriesHappenInTheSameIterations) {
  const int64_t n = 40, m = 56;
  auto k = random_uniform(n * m, 5);
  for (int64_t j = 0; j < m; ++j) k[static_cast<size_t>(3 * m + j)] -= 1.0f;  // a row far from all others
  std::vector<double> start(static_cast<size_t>(m));
  for (int64_t j = 0; j < m; ++j) start[static_cast<size_t>(j)] = j % 2 ? 60.0 : -60.0;
  for (const double epsilon : {0.01, 0.001, 0.0003})
    for (const int64_t iterations : {2, 3, 34, 39, 80}) {
      SCOPED_TRACE(fmt::format("epsilon {}, {} iterations", epsilon, iterations));
      expect_equal(k, n, m, {options_of(epsilon, {.iterations = iterations})},
                   [&](SinkhornSolver& solver) { solver.set_start(0, start); });
    }
}

TEST_P(SinkhornOnChipTest, ToleranceRelaxationAndLadderAgreeToTheBit) {
  const int64_t n = 60, m = 45;
  const auto k = random_uniform(n * m, 7);
  for (const double tolerance : {1e-2, 1e-5, 1e-12})  // the last one stalls
    for (const int64_t check_every : {1, 5, 7})
      for (const double relaxation : {1.0, 1.4})
        for (const auto storage : {SinkhornStorage::kFloat, SinkhornStorage::kLadder}) {
          SCOPED_TRACE(
              fmt::format("tolerance {}, checks {}, relaxation {}", tolerance, check_every, relaxation));
          expect_equal(k, n, m,
                       {options_of(0.1, {.iterations = 150,
                                         .tolerance = tolerance,
                                         .check_every = check_every,
                                         .relaxation = relaxation,
                                         .storage = storage})});
        }
}

// Problems of a batch converge, refine and recover in different iterations.
TEST_P(SinkhornOnChipTest, ProblemsOfABatchAgreeToTheBit) {
  const int64_t n = 50, m = 30;
  const auto k = random_uniform(3 * n * m, 9);
  for (const auto storage : {SinkhornStorage::kFloat, SinkhornStorage::kLadder})
    for (const double tolerance : {0.0, 1e-5})
      for (const int64_t iterations : {12, 35, 90}) {
        std::vector<SinkhornOptions> options;
        for (const double epsilon : {0.5, 0.02, 0.0005})
          options.push_back(
              options_of(epsilon, {.iterations = iterations, .tolerance = tolerance, .storage = storage}));
        SCOPED_TRACE(fmt::format("tolerance {}, {} iterations", tolerance, iterations));
        expect_equal(k, n, m, options, [&](SinkhornSolver& solver) {
          std::vector<double> a(static_cast<size_t>(n), 1.0), b(static_cast<size_t>(m), 1.0);
          a[4] = 0, b[7] = 0, a[9] = 1e-30;
          solver.set_weights(1, a, b);
        });
      }
}

// NaN and infinities end in the same state or the same error.
TEST_P(SinkhornOnChipTest, HostileAffinitiesAgreeToTheBit) {
  const int64_t n = 30, m = 40;
  for (const float poison : {std::nanf(""), INFINITY, -INFINITY, 3e38f}) {
    SCOPED_TRACE(poison);
    auto k = random_uniform(n * m, 11);
    k[77] = poison;
    expect_equal(k, n, m, {options_of(0.1, {.iterations = 45})});
  }
}

TEST_P(SinkhornOnChipTest, EpsilonScalingAgreesToTheBit) {
  expect_equal(random_uniform(70 * 50, 13), 70, 50,
               {options_of(0.02, {.iterations = 60, .tolerance = 1e-6, .epsilon_scaling = 8})});
}

// A launch runs until convergence, however many iterations that takes.
TEST_P(SinkhornOnChipTest, OneLaunchRunsAllIterations) {
  if (!counts_) GTEST_SKIP() << "needs an emulated device, which counts launches";
  const auto k = random_uniform(80 * 64, 15);
  std::vector<int64_t> launches;
  for (const int64_t iterations : {20, 2000})
    launches.push_back(
        solve(Placement::kChoose, k, 80, 64, {options_of(0.3, {.iterations = iterations, .tolerance = 1e-6})})
            .launches);
  EXPECT_EQ(launches[0], launches[1]);
  EXPECT_LT(launches[0], 16);
  EXPECT_GT(solve(Placement::kLaunches, k, 80, 64, {options_of(0.3, {.iterations = 20})}).launches, 50);
}

TEST_P(SinkhornOnChipTest, OnlyWhatFitsRunsOnTheChip) {
  const int64_t most = sinkhorn_on_chip_support(context).most_rows;
  const auto on_chip = [&](int64_t n, int64_t m, size_t problems) {
    return SinkhornSolver(context, n, m, std::vector<SinkhornOptions>(problems, options_of(0.1, {})))
               .describe()
               .find("on chip") != std::string::npos;
  };
  EXPECT_TRUE(on_chip(most, most, 1));
  EXPECT_FALSE(on_chip(most + 1, most + 1, 1));
  EXPECT_FALSE(on_chip(most, most, 2));
  EXPECT_TRUE(on_chip(8, 4096, 1));
  EXPECT_FALSE(on_chip(8, 4097, 1));
  EXPECT_FALSE(on_chip(8193, 4, 1));
  SinkhornOptions log_domain = options_of(0.1, {});
  log_domain.solve.form = SinkhornForm::kLogDomain;
  EXPECT_EQ(Sinkhorn(context, 8, 8, log_domain).describe().find("on chip"), std::string::npos);
}

TEST_P(SinkhornOnChipTest, SwitchedOffByTheEnvironment) {
  setenv("SOTALIGN_PLAIN", "1", 1);
  Context plain(context.device());
  unsetenv("SOTALIGN_PLAIN");
  EXPECT_EQ(sinkhorn_on_chip_support(plain).why_not, "SOTALIGN_PLAIN is 1");
  EXPECT_EQ(Sinkhorn(plain, 8, 8, options_of(0.1, {})).describe().find("on chip"), std::string::npos);
}

}  // namespace lib_sinkhorn_on_chip_test
}  // namespace sotalign
