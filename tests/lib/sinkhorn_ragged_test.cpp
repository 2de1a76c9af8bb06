// Batches of problems with different shapes, against loops in double precision and single solves.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <limits>

#include "sotalign/core/error.h"
#include "sotalign/ot/sinkhorn.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/error_message.h"
#include "support/strided.h"

namespace sotalign {
namespace lib_sinkhorn_ragged_test {

using testing::EntropicOracle;
using testing::error_message;
using testing::random_uniform;
using testing::relative_l1;
using testing::Strided;

using Affinities = std::vector<ConstMatrixF>;

// The emulated device is slow, so it gets few and small problems.
const std::vector<SinkhornShape> kAllShapes = {{1, 1},   {1, 7},   {33, 57}, {64, 31}, {127, 5},
                                               {2, 300}, {130, 1}, {31, 32}, {5, 513}, {200, 33}};
const std::vector<SinkhornShape> kFewShapes = {{1, 1}, {1, 7}, {33, 57}, {9, 3}, {2, 70}};

class SinkhornRaggedTest : public testing::DeviceTest {
 protected:
  // Affinities with different strides, surrounded by NaN.
  struct Problems {
    std::vector<SinkhornShape> shapes;
    std::vector<std::vector<float>> dense;
    std::vector<Strided<float>> memory;
    std::vector<ConstMatrixF> affinities;
    Problems(Context& context, const std::vector<SinkhornShape>& of, uint64_t seed) : shapes(of) {
      for (size_t b = 0; b < of.size(); ++b) {
        const auto [rows, cols] = of[b];
        dense.push_back(random_uniform(rows * cols, seed + b));
        memory.emplace_back(context, dense[b], rows, cols, testing::layouts(cols)[b % 3]);
        affinities.emplace_back(memory[b].data(), rows, cols, memory[b].stride());
      }
    }
  };
  std::vector<std::vector<float>> plans(Sinkhorn& solver, const Problems& problems) {
    std::vector<Strided<float>> memory;
    std::vector<MatrixF> views;
    for (size_t b = 0; b < problems.shapes.size(); ++b) {
      const auto [rows, cols] = problems.shapes[b];
      memory.emplace_back(context, rows, cols, testing::wider(testing::layouts(cols)[b % 3]));
      views.emplace_back(memory[b].data(), rows, cols, memory[b].stride());
    }
    solver.plan(problems.affinities, views);
    std::vector<std::vector<float>> plans;
    for (const Strided<float>& plan : memory) plans.push_back(plan.download());
    return plans;
  }
  static std::vector<double> weights(int64_t count, int64_t without) {
    std::vector<double> w(size_t(count), 1.0);
    for (int64_t i = 0; i < count; ++i) w[i] = count > 2 && i % 7 == without ? 0.0 : 1.0 + double(i % 4);
    double sum = 0;
    for (const double value : w) sum += value;
    for (double& value : w) value /= sum;
    return w;
  }
  const std::vector<SinkhornShape> kShapes = on_cpu() ? kAllShapes : kFewShapes;
  bool on_cpu() const { return GetParam().kind == DeviceKind::kCpu; }
};
SOTALIGN_ON_EVERY_DEVICE(SinkhornRaggedTest);

struct Way {
  SinkhornForm form;
  SinkhornStorage storage;
};
constexpr Way kWays[] = {{SinkhornForm::kLogDomain, SinkhornStorage::kFloat},
                         {SinkhornForm::kScaling, SinkhornStorage::kFloat},
                         {SinkhornForm::kScaling, SinkhornStorage::kLadder}};

TEST_P(SinkhornRaggedTest, PlansAgreeWithTheOracle) {
  const Problems problems(context, kShapes, 1);
  for (const Way& way : kWays)
    for (const Symmetrize symmetrize : {Symmetrize::kNo, Symmetrize::kYes}) {
      if (!on_cpu() && (symmetrize == Symmetrize::kYes) != (way.form == SinkhornForm::kScaling)) continue;
      std::vector<SinkhornOptions> options;
      for (size_t b = 0; b < kShapes.size(); ++b)
        options.push_back({.epsilon = b % 2 == 0 ? 0.05 : 0.2,
                           .symmetrize = symmetrize,
                           .solve = {.iterations = 26, .form = way.form, .storage = way.storage}});
      Sinkhorn solver(context, kShapes, options);
      for (size_t b = 0; b < kShapes.size(); b += 3)
        solver.set_weights(int64_t(b), weights(kShapes[b].rows, 2), weights(kShapes[b].cols, 3));
      solver.solve(problems.affinities);
      const auto results = solver.results();
      const auto found = plans(solver, problems);
      for (size_t b = 0; b < kShapes.size(); ++b) {
        const auto [rows, cols] = kShapes[b];
        SCOPED_TRACE(fmt::format("problem {} [{}, {}], form {}, storage {}", b, rows, cols, int(way.form),
                                 int(way.storage)));
        EntropicOracle oracle(problems.dense[b], rows, cols, options[b].epsilon);
        if (b % 3 == 0) oracle.a = weights(rows, 2), oracle.b = weights(cols, 3);
        oracle.solve(26, symmetrize == Symmetrize::kYes);
        // Six of the 26 iterations use the coarse density; the fine ones do not remove all of its error.
        const double bound = way.storage == SinkhornStorage::kLadder ? 1e-4 : 5e-6;
        EXPECT_WITHIN(relative_l1(found[b], oracle.plan()), bound);
        EXPECT_WITHIN(std::abs(results[b].row_error - oracle.row_error()), bound);
        EXPECT_EQ(results[b].iterations, 26);
        EXPECT_EQ(solver.row_potentials(int64_t(b)).size(), size_t(rows));
        const std::vector<double> v = solver.column_potentials(int64_t(b));
        ASSERT_EQ(v.size(), size_t(cols));
        for (int64_t j = 0; j < cols; ++j) EXPECT_EQ(std::isinf(v[j]), !(oracle.b[j] > 0)) << j;
      }
    }
}

// Bitwise on the CPU. On CUDA the widest problem determines the layout of all: a problem that would have
// another layout alone differs by rounding.
TEST_P(SinkhornRaggedTest, ProblemsAreWhatTheyAreAlone) {
  const Problems problems(context, kShapes, 20);
  for (const Way& way : kWays) {
    SCOPED_TRACE(fmt::format("form {}, storage {}", int(way.form), int(way.storage)));
    const SinkhornOptions options{.epsilon = 0.03,
                                  .symmetrize = Symmetrize::kYes,
                                  .solve = {.iterations = 80,
                                            .tolerance = 1e-4,
                                            .relaxation = 1.3,
                                            .epsilon_scaling = 4,
                                            .form = way.form,
                                            .storage = way.storage}};
    Sinkhorn solver(context, kShapes, options);
    solver.solve(problems.affinities);
    const auto found = plans(solver, problems);
    const auto results = solver.results();
    EXPECT_NE(results[0].iterations, results[2].iterations) << "they should stop at different times";
    for (size_t b = 0; b < kShapes.size(); ++b) {
      const auto [rows, cols] = kShapes[b];
      SCOPED_TRACE(fmt::format("problem {} [{}, {}]", b, rows, cols));
      Sinkhorn single(context, rows, cols, options);
      single.solve(problems.affinities[b]);
      Strided<float> plan(context, rows, cols, testing::layouts(cols)[b % 3]);
      const MatrixF view(plan.data(), rows, cols, plan.stride());
      single.plan(problems.affinities[b], view);
      const std::vector<float> alone = plan.download();
      const SinkhornResult result = single.results()[0];
      EXPECT_EQ(results[b].status, result.status);
      if (on_cpu()) {
        EXPECT_EQ(found[b], alone);
        EXPECT_EQ(solver.row_potentials(int64_t(b)), single.row_potentials(0));
        EXPECT_EQ(solver.column_potentials(int64_t(b)), single.column_potentials(0));
        EXPECT_EQ(results[b].iterations, result.iterations);
        EXPECT_EQ(results[b].row_error, result.row_error);
        EXPECT_EQ(results[b].column_error, result.column_error);
      } else {
        EXPECT_WITHIN(relative_l1(found[b], alone), 2e-5);
        EXPECT_EQ(results[b].iterations, result.iterations);
        EXPECT_WITHIN(std::abs(results[b].marginal_error - result.marginal_error), 2e-6);
      }
      // Plans one at a time, from the batch's potentials.
      Strided<float> one(context, rows, cols, testing::layouts(cols)[b % 3]);
      solver.plan(int64_t(b), problems.affinities[b], MatrixF(one.data(), rows, cols, one.stride()));
      EXPECT_EQ(one.download(), found[b]);
    }
  }
}

TEST_P(SinkhornRaggedTest, WarmStartsAndRepetition) {
  const std::vector<SinkhornShape> shapes = {{12, 9}, {3, 20}, {7, 7}};
  const Problems problems(context, shapes, 40), others(context, shapes, 50);
  for (const Way& way : kWays) {
    const SinkhornOptions options{.epsilon = 0.1,
                                  .solve = {.iterations = 300,
                                            .tolerance = 1e-5,
                                            .check_every = 1,
                                            .form = way.form,
                                            .storage = way.storage}};
    Sinkhorn solver(context, shapes, options);
    solver.solve(problems.affinities);
    const auto cold = solver.results();
    const auto first = plans(solver, problems);
    const int64_t allocations = context.allocations(), waits = context.synchronizations();
    solver.solve(problems.affinities);
    EXPECT_EQ(context.allocations(), allocations);
    EXPECT_EQ(context.synchronizations(), waits);
    EXPECT_EQ(plans(solver, problems), first) << "repeatable to the bit";
    // Other affinities, then the first ones again.
    solver.solve(others.affinities);
    EXPECT_NE(plans(solver, others), first);
    solver.solve(problems.affinities);
    EXPECT_EQ(plans(solver, problems), first);
    for (int64_t b = 0; b < 3; ++b) solver.set_start(b, solver.column_potentials(b));
    solver.solve(problems.affinities);
    for (size_t b = 0; b < 3; ++b) {
      EXPECT_TRUE(solver.results()[b].iterations < cold[b].iterations) << b;
      EXPECT_EQ(solver.results()[b].status, SinkhornStatus::kConverged);
    }
  }
}

// Widths that CUDA reads twice, and layouts not available to batches of several shapes.
TEST_P(SinkhornRaggedTest, WideProblems) {
  for (const int64_t wide : {9000, 33000}) {
    if (!on_cpu() && wide == 9000) continue;
    const std::vector<SinkhornShape> shapes = {{9, 20}, {2, wide}, {12, 3}};
    const Problems problems(context, shapes, 60);
    for (const Way& way : kWays) {
      SCOPED_TRACE(fmt::format("{} columns, form {}", wide, int(way.form)));
      Sinkhorn solver(context, shapes,
                      SinkhornOptions{.epsilon = 0.3,
                                      .solve = {.iterations = 3, .form = way.form, .storage = way.storage}});
      solver.solve(problems.affinities);
      const auto found = plans(solver, problems);
      for (size_t b = 0; b < shapes.size(); ++b) {
        const EntropicOracle oracle =
            EntropicOracle(problems.dense[b], shapes[b].rows, shapes[b].cols, 0.3).solve(3, false);
        EXPECT_WITHIN(relative_l1(found[b], oracle.plan()), 1e-5) << b;
      }
    }
  }
}

// A long problem, a wide one and many small ones: padded, they would be 64 matrices of [600, 700].
TEST_P(SinkhornRaggedTest, MemoryIsThatOfTheEntriesThereAre) {
  std::vector<SinkhornShape> shapes(62, {6, 5});
  shapes.push_back({600, 16});
  shapes.push_back({16, 700});
  int64_t entries = 0, vectors = 0;
  for (const SinkhornShape& shape : shapes) {
    entries += shape.rows * shape.cols;
    vectors += 600 + 700;
  }
  for (const Way& way : kWays) {
    Context own(GetParam());
    const Problems problems(own, shapes, 70);
    const int64_t before = own.bytes_in_use();
    Sinkhorn solver(own, shapes,
                    SinkhornOptions{.solve = {.iterations = 3, .form = way.form, .storage = way.storage}});
    solver.solve(problems.affinities);
    // Vectors of several kinds in double and float; a density with rows padded to 16 entries; column sums of
    // the chunks.
    EXPECT_WITHIN(own.peak_bytes() - before, 150 * vectors + 24 * entries + (1 << 20));
    EXPECT_WITHIN(own.peak_bytes() - before, int64_t{4} * 64 * 600 * 700 / 4);
  }
}

TEST_P(SinkhornRaggedTest, TellsItsMemory) {
  const Sinkhorn solver(context, {{1024, 1000}, {1, 16}, {3, 5}}, SinkhornOptions{});
  EXPECT_TRUE(solver.describe().find("float density in 3.9 MiB") != std::string::npos) << solver.describe();
  EXPECT_EQ(solver.shape(2), (SinkhornShape{3, 5}));
  EXPECT_EQ(solver.rows(), 1024);
  EXPECT_EQ(solver.cols(), 1000);
}

TEST_P(SinkhornRaggedTest, BadInputIsNamed) {
  const std::vector<SinkhornShape> shapes = {{2, 3}, {4, 5}};
  const auto make = [&](const std::vector<SinkhornShape>& of, size_t options) {
    return error_message([&] { Sinkhorn(context, of, std::vector<SinkhornOptions>(options)); });
  };
  EXPECT_EQ(make({}, 0), "shapes: expected one for each problem, found none");
  EXPECT_EQ(make({{2, 3}, {0, 5}}, 2),
            "shapes: expected at least one row and column, found [0, 5] for problem 1");
  EXPECT_EQ(make(shapes, 3), "options: expected one entry for each of 2 problems, found 3");
  Sinkhorn solver(context, shapes, SinkhornOptions{});
  const Matrix<float> small(context, 2, 3), large(context, 4, 5);
  Matrix<float> plan(context, 5, 4);
  EXPECT_EQ(error_message([&] { solver.solve(Affinities{small}); }),
            "affinity: expected one for each of 2 problems, found 1");
  EXPECT_EQ(error_message([&] {
              solver.solve(Affinities{small, small});
            }),
            "affinity of problem 1: expected [4, 5], found [2, 3]");
  EXPECT_EQ(error_message([&] { solver.solve(large); }),
            "affinity: expected one for each of 2 problems, because the batch is ragged, found one matrix");
  EXPECT_EQ(error_message([&] {
              solver.plan(Affinities{small, large}, {plan, plan});
            }),
            "plan of problem 0: expected [2, 3], found [5, 4]");
  EXPECT_EQ(error_message([&] { solver.plan(1, small, plan); }),
            "affinity of problem 1: expected [4, 5], found [2, 3]");
  EXPECT_EQ(error_message([&] {
              solver.set_weights(1, {1.0, 1.0}, {});
            }),
            "weights a: expected 4 values, found 2");
  EXPECT_EQ(error_message([&] { solver.set_start(0, {1.0}); }),
            "column potentials: expected 3 values, found 1");
  EXPECT_EQ(error_message([&] { solver.row_potentials(2); }), "problem: expected one of 2, found 2");
  Sinkhorn uniform(context, 2, 3, SinkhornOptions{});
  EXPECT_EQ(error_message([&] { uniform.solve(Affinities{small}); }),
            "affinity: expected one matrix, because all problems have one shape, found 1");
}

}  // namespace lib_sinkhorn_ragged_test
}  // namespace sotalign
