// After convergence, the host stops queueing. Counted on the emulated device, with a launch or more for each
// iteration (sinkhorn_on_chip_test.cpp: one for all).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "sotalign/ot/klot.h"
#include "sotalign/ot/sinkhorn.h"
#include "support/compare.h"
#include "support/deferred_work.h"
#include "support/devices.h"
#include "support/launch_count.h"

namespace sotalign {
namespace lib_sinkhorn_launches_test {

using testing::random_uniform;

// A context reads this when it is made.
struct PlainKernels {
  PlainKernels() { setenv("SOTALIGN_PLAIN", "1", 1); }
  ~PlainKernels() { unsetenv("SOTALIGN_PLAIN"); }
};
class SinkhornLaunchesTest : private PlainKernels, public testing::DeviceTest {
 protected:
  void SetUp() override {
    if (!testing::is_emulated(GetParam())) GTEST_SKIP() << "needs an emulated device, which counts launches";
  }
  struct Counted {
    int64_t launches = 0, iterations = 0;
    std::vector<double> v;
  };
  /// The second of two solves: the first one allocates.
  Counted count(Sinkhorn& solver, const std::function<void()>& solve) {
    solve();
    context.synchronize();  // deferred work is counted when it runs
    const int64_t before = simt::launch_count();
    solve();
    context.synchronize();
    Counted counted;
    counted.launches = simt::launch_count() - before;
    for (int64_t b = 0; b < solver.batch(); ++b) {
      counted.iterations = std::max(counted.iterations, solver.results()[static_cast<size_t>(b)].iterations);
      const std::vector<double> v = solver.column_potentials(b);
      counted.v.insert(counted.v.end(), v.begin(), v.end());
    }
    return counted;
  }
  static std::vector<SinkhornOptions> options_of(const SolveOptions& solve,
                                                 const std::vector<double>& epsilons, int64_t limit) {
    std::vector<SinkhornOptions> options;
    for (const double epsilon : epsilons) {
      options.push_back({.epsilon = epsilon, .solve = solve});
      options.back().solve.iterations = limit;
    }
    return options;
  }
  Counted count(const SolveOptions& solve, const std::vector<double>& epsilons, int64_t limit) {
    const int64_t rows = static_cast<int64_t>(epsilons.size()) * kRows;
    const Matrix<float> affinity(context, random_uniform(rows * kCols, 5).data(), rows, kCols);
    Sinkhorn solver(context, kRows, kCols, options_of(solve, epsilons, limit));
    return count(solver, [&] { solver.solve(affinity); });
  }
  // At most 8 iterations are queued after the check that ends the solve. An iteration takes at most 12
  // launches: 2 of its own, 2 for the other density of a ladder, and 8 that offer the log domain and a new
  // density. Before and after them, a solve takes fewer than 16.
  static int64_t most_launches(int64_t iterations) { return (iterations + 1 + 8) * 12 + 16; }
  void expect_bounded(const SolveOptions& solve, const std::vector<double>& epsilons) {
    for (const int64_t check_every : {1, 5, 20}) {
      SCOPED_TRACE(fmt::format("a check every {} iterations", check_every));
      SolveOptions o = solve;
      o.check_every = check_every;
      const Counted converged = count(o, epsilons, 5000);
      EXPECT_LT(converged.iterations, 200);
      EXPECT_LE(converged.launches, most_launches(converged.iterations));
      // To the bit: only launches without an effect are left out. The last iterations of a ladder differ.
      const bool ladder = o.storage == SinkhornStorage::kLadder;
      EXPECT_EQ(converged.v, count(o, epsilons, converged.iterations + (ladder ? 500 : 1)).v);
    }
  }
  static constexpr int64_t kRows = 40, kCols = 30;
};
SOTALIGN_ON_EVERY_DEVICE(SinkhornLaunchesTest);

// An iteration takes 2 launches in the scaling form, 4 in the log domain. The first 32, every fourth and the
// last offer the log domain (5 launches) and, in the scaling form, a new density (3 more): 49 of 99.
TEST_P(SinkhornLaunchesTest, LateIterationsRarelyOfferRecovery) {
  for (const auto& [form, most] : {std::pair{SinkhornForm::kScaling, 99 * 2 + 49 * 8 + 20},
                                   {SinkhornForm::kLogDomain, 99 * 4 + 49 * 5 + 20}}) {
    const Counted counted = count({.form = form}, {0.3}, 100);
    EXPECT_EQ(counted.iterations, 100);
    EXPECT_LE(counted.launches, most);
    EXPECT_GE(counted.launches, most - 40);
  }
}
TEST_P(SinkhornLaunchesTest, ScalingForm) {
  expect_bounded({.tolerance = 1e-4, .form = SinkhornForm::kScaling}, {0.3});
}
TEST_P(SinkhornLaunchesTest, LogDomain) {
  expect_bounded({.tolerance = 1e-4, .form = SinkhornForm::kLogDomain}, {0.3});
}
TEST_P(SinkhornLaunchesTest, EpsilonScaling) {
  for (const SinkhornForm form : {SinkhornForm::kScaling, SinkhornForm::kLogDomain})
    expect_bounded({.tolerance = 1e-4, .epsilon_scaling = 8, .form = form}, {0.3});
}
TEST_P(SinkhornLaunchesTest, Relaxation) {
  expect_bounded({.tolerance = 1e-4, .relaxation = 1.3, .form = SinkhornForm::kScaling}, {0.3});
}
TEST_P(SinkhornLaunchesTest, Batch) {
  for (const SinkhornForm form : {SinkhornForm::kScaling, SinkhornForm::kLogDomain})
    expect_bounded({.tolerance = 1e-4, .form = form}, {0.5, 0.2, 1.0});
}

TEST_P(SinkhornLaunchesTest, Ladder) {
  expect_bounded({.tolerance = 1e-5, .form = SinkhornForm::kScaling, .storage = SinkhornStorage::kLadder},
                 {0.5, 0.2});
}
TEST_P(SinkhornLaunchesTest, RaggedBatch) {
  const std::vector<SinkhornShape> shapes = {{kRows, kCols}, {7, 12}};
  const Matrix<float> first(context, random_uniform(kRows * kCols, 5).data(), kRows, kCols),
      second(context, random_uniform(7 * 12, 6).data(), 7, 12);
  Sinkhorn solver(context, shapes, options_of({.tolerance = 1e-4}, {0.3, 0.3}, 5000));
  const Counted counted = count(solver, [&] { solver.solve(std::vector<ConstMatrixF>{first, second}); });
  EXPECT_LT(counted.iterations, 200);
  EXPECT_LE(counted.launches, most_launches(counted.iterations));
}
TEST_P(SinkhornLaunchesTest, Klot) {
  const Matrix<float> student(context, random_uniform(kRows * kCols, 5).data(), kRows, kCols),
      teacher(context, random_uniform(kRows * kCols, 6).data(), kRows, kCols);
  Matrix<float> gradient(context, kRows, kCols);
  const SolveOptions solve{.iterations = 5000, .tolerance = 1e-4};
  Klot klot(context, kRows, kCols,
            {.epsilon_student = 0.3, .epsilon_teacher = 0.5, .student = solve, .teacher = solve});
  klot.run(student, teacher, gradient);
  const int64_t before = simt::launch_count();
  klot.run(student, teacher, gradient);
  const int64_t launches = simt::launch_count() - before;
  const KlotResult result = klot.result();
  EXPECT_LT(std::max(result.student.iterations, result.teacher.iterations), 200);
  EXPECT_LE(launches, most_launches(std::max(result.student.iterations, result.teacher.iterations)));
}
// Work that runs only when the host waits for it, and a solver that goes while copies are on their way.
TEST_P(SinkhornLaunchesTest, DeferredWork) {
  const testing::WorkDeferred deferred;
  expect_bounded({.tolerance = 1e-4, .form = SinkhornForm::kScaling}, {0.3});
  const Matrix<float> affinity(context, random_uniform(kRows * kCols, 5).data(), kRows, kCols);
  {
    Sinkhorn solver(context, kRows, kCols, options_of({.tolerance = 1e-9, .check_every = 1}, {0.01}, 12)[0]);
    solver.solve(affinity);
  }
  context.synchronize();
}

}  // namespace lib_sinkhorn_launches_test
}  // namespace sotalign
