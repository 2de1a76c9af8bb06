// KLOT against golden vectors (computed with the authors' code in float64), finite differences and loops in
// double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/klot_gradient.h"
#include "sotalign/core/error.h"
#include "sotalign/ot/klot.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/npy.h"
#include "support/shared_data.h"
#include "support/strided.h"
#include "support/test_files.h"

namespace sotalign {
namespace lib_klot_test {

using testing::EntropicOracle;
using testing::random_uniform;
using testing::relative_l1;

class KlotTest : public testing::DeviceTest {
 protected:
  struct Run {
    KlotResult result;
    std::vector<float> gradient;
  };
  Run run(const std::vector<float>& k, const std::vector<float>& teacher, int64_t n, int64_t m,
          const KlotOptions& options, double scale = 1.0) {
    const Matrix<float> dk(context, k.data(), n, m), dt(context, teacher.data(), n, m);
    Matrix<float> gradient(context, n, m);
    Klot klot(context, n, m, options);
    klot.run(dk, dt, gradient, scale);
    return {klot.result(), gradient.download()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(KlotTest);

// Small strips with a shorter last one would need matrices too large for this test: EmbeddingKlotTest covers
// them. This test is about the cost of rounding to 16 bits.
TEST_P(KlotTest, FixedPointIsWithinOnePerMilleOfGoldenVectors) {
  for (const auto& [name, epsilon, epsilon_teacher, iterations] :
       {std::tuple{"klot_0", 0.05, 0.01, 100}, {"klot_1", 0.05, 0.01, 100}}) {
    SCOPED_TRACE(name);
    const std::string path = testing::test_files() + "/golden/" + name;
    const testing::GoldenArray k = testing::read_golden(path + ".k_student.npy"),
                               t = testing::read_golden(path + ".k_teacher.npy");
    const int64_t n = k.shape[0], m = k.shape[1];
    FixedPointMatrix student(context, n, m, "student"), teacher(context, n, m, "teacher");
    const Matrix<float> dk(context, k.as_float().data(), n, m), dt(context, t.as_float().data(), n, m);
    student.encode(context, dk.view().row_range(0, n / 2));
    student.encode(context, dk.view().row_range(n / 2, n - n / 2), n / 2);
    teacher.encode(context, dt);
    Matrix<float> gradient(context, n, m);
    Klot klot(context, n, m,
              KlotOptions{.epsilon_student = epsilon, .epsilon_teacher = epsilon_teacher}.with_both(
                  {.iterations = iterations}));
    klot.run(student, teacher, gradient);
    EXPECT_WITHIN(relative_l1(gradient.download(), testing::read_golden(path + ".grad.npy").values), 1e-3);
    const double value = klot.result().value;
    klot.run(student, teacher, {});  // value only
    EXPECT_EQ(klot.result().value, value);
  }
}

// The small cases are in the repository. The whole set is used if available.
TEST_P(KlotTest, GoldenVectors) {
  std::string folder = testing::shared_data() + "/golden/";
  if (!std::filesystem::exists(folder)) folder = testing::test_files() + "/golden/";
  const nlohmann::json manifest = nlohmann::json::parse(std::ifstream(folder + "manifest.json"));
  int cases = 0;
  for (const nlohmann::json& entry : manifest) {
    const std::string name = entry["case"];
    if (!name.starts_with("klot_") || !std::filesystem::exists(folder + name + ".grad.npy")) continue;
    SCOPED_TRACE(name);
    ++cases;
    const int64_t n = entry["n"], m = entry["m"];
    const KlotOptions options =
        KlotOptions{.epsilon_student = entry["epsilon_student"],
                    .epsilon_teacher = entry["epsilon_teacher"],
                    .symmetrize = entry["symmetrize"] ? Symmetrize::kYes : Symmetrize::kNo}
            .with_both({.iterations = entry["iterations"]});
    const std::vector<float> k = testing::read_golden(folder + name + ".k_student.npy").as_float();
    const std::vector<float> t = testing::read_golden(folder + name + ".k_teacher.npy").as_float();
    Matrix<float> dk(context, k.data(), n, m), dt(context, t.data(), n, m), dg(context, n, m);
    Klot klot(context, n, m, options);
    klot.run(dk, dt, dg);
    const KlotResult result = klot.result();
    const std::vector<float> gradient = dg.download();

    const double value = entry["value"];
    EXPECT_WITHIN(std::abs(result.value - value), value < 0.1 ? 1e-6 : 1e-5 * value);
    EXPECT_WITHIN(relative_l1(gradient, testing::read_golden(folder + name + ".grad.npy").values,
                              0.1 / options.epsilon_student),
                  5e-5);
    // The manifest's error is the mean over rows; ours is the sum.
    EXPECT_WITHIN(std::abs(result.student.row_error - double(entry["marginal_error_student"]) * double(n)),
                  2e-6);
    EXPECT_WITHIN(std::abs(result.teacher.row_error - double(entry["marginal_error_teacher"]) * double(n)),
                  5e-6);

    klot.solver().plan(0, dk, dk);
    klot.solver().plan(1, dt, dt);
    EXPECT_WITHIN(
        relative_l1(dk.download(), testing::read_golden(folder + name + ".plan_student.npy").values), 2e-5);
    EXPECT_WITHIN(
        relative_l1(dt.download(), testing::read_golden(folder + name + ".plan_teacher.npy").values), 2e-5);
  }
  EXPECT_GE(cases, 5);
}

TEST_P(KlotTest, ShapesAgreeWithTheOracle) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{1, 1},
                                                                     {1, 2},
                                                                     {2, 1},
                                                                     {2, 2},
                                                                     {31, 33},
                                                                     {33, 31},
                                                                     {32, 32},
                                                                     {127, 129},
                                                                     {257, 1},
                                                                     {1, 257},
                                                                     {130, 65},
                                                                     {300, 7}}) {
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    const auto k = random_uniform(n * m, 10 + n), t = random_uniform(n * m, 20 + m);
    const KlotOptions options =
        KlotOptions{.epsilon_student = 0.07, .epsilon_teacher = 0.02}.with_both({.iterations = 10});
    const auto [result, gradient] = run(k, t, n, m, options);
    const EntropicOracle student = EntropicOracle(k, n, m, 0.07).solve(10, true);
    const EntropicOracle teacher = EntropicOracle(t, n, m, 0.02).solve(10, true);
    EXPECT_WITHIN(std::abs(result.value - klot_value(student, teacher)),
                  1e-5 * std::max(0.1, klot_value(student, teacher)));
    std::vector<double> expected = student.plan();
    const std::vector<double> target = teacher.plan();
    for (size_t i = 0; i < expected.size(); ++i) expected[i] = (expected[i] - target[i]) / 0.07;
    EXPECT_WITHIN(relative_l1(gradient, expected, 0.1 / 0.07), 2e-5);
  }
}

// Each side is solved exactly as a Sinkhorn with its options would, and value and gradient are those of the
// plans that it stands for: exactly `iterations` iterations in double, or those of a converged solve.
TEST_P(KlotTest, SidesMayDifferInEveryOption) {
  struct Case {
    const char* name;
    SolveOptions student, teacher;
    int64_t student_iterations, teacher_iterations;  // of the oracle
  };
  const int64_t kMany = 2000;
  const Case cases[] = {
      {"iterations", {.iterations = 3}, {.iterations = 17}, 3, 17},
      {"form",
       {.iterations = 9, .form = SinkhornForm::kLogDomain},
       {.iterations = 9, .form = SinkhornForm::kScaling},
       9,
       9},
      {"relaxation", {.iterations = 300, .relaxation = 1.4}, {.iterations = 200}, kMany, kMany},
      {"tolerance",
       {.iterations = 500, .tolerance = 1e-5, .check_every = 2},
       {.iterations = 500, .tolerance = 3e-6, .check_every = 7},
       kMany,
       kMany},
      {"storage",
       {.iterations = 200, .storage = SinkhornStorage::kLadder},
       {.iterations = 200},
       kMany,
       kMany},
      {"epsilon scaling", {.iterations = 150}, {.iterations = 200, .epsilon_scaling = 8}, kMany, kMany},
      {"everything",
       {.iterations = 200, .tolerance = 1e-5, .check_every = 3, .form = SinkhornForm::kLogDomain},
       {.iterations = 300, .relaxation = 1.3, .epsilon_scaling = 4, .storage = SinkhornStorage::kLadder},
       kMany,
       kMany}};
  const int64_t n = 31, m = 29;
  const auto k = random_uniform(n * m, 51), t = random_uniform(n * m, 52);
  const Matrix<float> dk(context, k.data(), n, m), dt(context, t.data(), n, m);
  Matrix<float> gradient(context, n, m), plan(context, n, m), expected_plan(context, n, m);
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const KlotOptions options{
        .epsilon_student = 0.2, .epsilon_teacher = 0.1, .student = c.student, .teacher = c.teacher};
    Klot klot(context, n, m, options);
    klot.run(dk, dt, gradient);
    const int64_t allocations = context.allocations();
    klot.run(dk, dt, gradient);
    EXPECT_EQ(context.allocations(), allocations);
    const KlotResult result = klot.result();

    for (const bool teacher : {false, true}) {
      const int64_t problem = teacher ? 1 : 0;
      const Matrix<float>& affinity = teacher ? dt : dk;
      Sinkhorn side(context, n, m,
                    SinkhornOptions{.epsilon = teacher ? 0.1 : 0.2,
                                    .symmetrize = Symmetrize::kYes,
                                    .solve = teacher ? c.teacher : c.student});
      side.solve(affinity);
      EXPECT_EQ(klot.solver().row_potentials(problem), side.row_potentials(0));
      EXPECT_EQ(klot.solver().column_potentials(problem), side.column_potentials(0));
      klot.solver().plan(problem, affinity, plan);
      side.plan(affinity, expected_plan);
      EXPECT_EQ(plan.download(), expected_plan.download());
      const SinkhornResult found = teacher ? result.teacher : result.student, expected = side.results()[0];
      EXPECT_EQ(found.iterations, expected.iterations);
      EXPECT_EQ(found.row_error, expected.row_error);
      EXPECT_EQ(found.column_error, expected.column_error);
      EXPECT_EQ(found.status, expected.status);
    }

    const EntropicOracle student = EntropicOracle(k, n, m, 0.2).solve(c.student_iterations, true),
                         teacher = EntropicOracle(t, n, m, 0.1).solve(c.teacher_iterations, true);
    const std::vector<double> p = student.plan(), q = teacher.plan();
    std::vector<double> expected(p.size());
    for (size_t i = 0; i < p.size(); ++i) expected[i] = (p[i] - q[i]) / 0.2;
    EXPECT_WITHIN(std::abs(result.value - klot_value(student, teacher)), 1e-4 * klot_value(student, teacher));
    EXPECT_WITHIN(relative_l1(gradient.download(), expected), 1e-4);
  }
}

// The gradient is exact at convergence; it is divided by the student's epsilon.
TEST_P(KlotTest, GradientAgreesWithFiniteDifferences) {
  const int64_t n = 9, m = 7;
  auto k = random_uniform(n * m, 1);
  const auto t = random_uniform(n * m, 2);
  const KlotOptions options =
      KlotOptions{.epsilon_student = 0.3, .epsilon_teacher = 0.1}.with_both({.iterations = 300});
  const std::vector<float> gradient = run(k, t, n, m, options).gradient;
  const EntropicOracle teacher = EntropicOracle(t, n, m, 0.1).solve(300, true);
  std::vector<double> expected(gradient.size());
  const float h = 1.0f / 1024;
  for (size_t i = 0; i < k.size(); ++i) {
    const float kept = k[i];
    k[i] = kept + h;
    const double above = klot_value(EntropicOracle(k, n, m, 0.3).solve(300, true), teacher);
    k[i] = kept - h;
    const double below = klot_value(EntropicOracle(k, n, m, 0.3).solve(300, true), teacher);
    expected[i] = (above - below) / (double(kept + h) - double(kept - h));
    k[i] = kept;
  }
  EXPECT_WITHIN(relative_l1(gradient, expected), 2e-5);
}

TEST_P(KlotTest, EqualAffinitiesGiveZero) {
  const auto k = random_uniform(40 * 50, 3);
  const auto [result, gradient] = run(k, k, 40, 50, {.epsilon_student = 0.05, .epsilon_teacher = 0.05});
  EXPECT_EQ(result.value, 0.0);
  EXPECT_EQ(gradient, std::vector<float>(gradient.size(), 0.0f));
}

TEST_P(KlotTest, GradientMayOverwriteEitherAffinityAndIsScaled) {
  const auto k = random_uniform(65 * 70, 4), t = random_uniform(65 * 70, 5);
  const KlotOptions options = KlotOptions{}.with_both({.iterations = 20});
  const std::vector<float> expected = run(k, t, 65, 70, options, 3.0).gradient;
  const std::vector<float> plain = run(k, t, 65, 70, options).gradient;
  for (size_t i = 0; i < plain.size(); ++i)
    EXPECT_NEAR(expected[i], 3 * plain[i], 1e-6 * std::abs(plain[i]) + 1e-12);
  for (const bool over_teacher : {false, true}) {
    Matrix<float> dk(context, k.data(), 65, 70), dt(context, t.data(), 65, 70);
    Klot klot(context, 65, 70, options);
    klot.run(dk, dt, over_teacher ? dt : dk, 3.0);
    EXPECT_EQ((over_teacher ? dt : dk).download(), expected);
  }
}

// Matrices in memory that another context allocated, so that the solvers know nothing about it, with strides
// and alignments of their own. The same stride for both affinities is solved as one batch, others in turn.
TEST_P(KlotTest, RunsOnViewsOfTheCallersMemory) {
  const int64_t n = 33, m = 37;
  const auto k = random_uniform(n * m, 61), t = random_uniform(n * m, 62);
  const KlotOptions options =
      KlotOptions{.epsilon_student = 0.1, .epsilon_teacher = 0.05}.with_both({.iterations = 12});
  const EntropicOracle student = EntropicOracle(k, n, m, 0.1).solve(12, true),
                       teacher = EntropicOracle(t, n, m, 0.05).solve(12, true);
  const std::vector<double> p = student.plan(), q = teacher.plan();
  std::vector<double> expected(p.size());
  for (size_t i = 0; i < p.size(); ++i) expected[i] = (p[i] - q[i]) / 0.1;

  Context owner(GetParam());
  Klot klot(context, n, m, options);
  Sinkhorn sinkhorn(
      context, n, m,
      SinkhornOptions{.epsilon = 0.1, .symmetrize = Symmetrize::kYes, .solve = {.iterations = 12}});
  for (const testing::Layout& layout : testing::layouts(m))
    for (const bool same_stride : {true, false}) {
      SCOPED_TRACE(::testing::Message() << "offset " << layout.offset << ", gap " << layout.gap
                                        << (same_stride ? ", one batch" : ", in turn"));
      const testing::Strided<float> dk(owner, k, n, m, layout),
          dt(owner, t, n, m, same_stride ? layout : testing::wider(layout));
      testing::Strided<float> gradient(owner, n, m, testing::wider(layout)), plan(owner, n, m, layout);
      const ConstMatrixF student_view(dk.data(), n, m, dk.stride()),
          teacher_view(dt.data(), n, m, dt.stride());
      klot.run(student_view, teacher_view, {gradient.data(), n, m, gradient.stride()});
      EXPECT_WITHIN(std::abs(klot.result().value - klot_value(student, teacher)),
                    1e-5 * klot_value(student, teacher));
      EXPECT_WITHIN(relative_l1(gradient.download(), expected, 0.1 / 0.1), 2e-5);
      sinkhorn.solve(student_view);
      sinkhorn.plan(student_view, {plan.data(), n, m, plan.stride()});
      context.synchronize();
      EXPECT_WITHIN(relative_l1(plan.download(), p), 5e-6);
      EXPECT_EQ(dk.download(), k);
      EXPECT_EQ(dt.download(), t);
    }
}

TEST_P(KlotTest, RepeatsBitForBitWhateverTheThreads) {
  const auto k = random_uniform(300 * 130, 6), t = random_uniform(300 * 130, 7);
  const KlotOptions options = KlotOptions{}.with_both({.iterations = 8});
  const Run first = run(k, t, 300, 130, options);
  for (const int threads : {1, 2, 3}) {
    Context other(GetParam(), threads);
    const Matrix<float> dk(other, k.data(), 300, 130), dt(other, t.data(), 300, 130);
    Matrix<float> gradient(other, 300, 130);
    Klot klot(other, 300, 130, options);
    klot.run(dk, dt, gradient);
    klot.run(dk, dt, gradient);
    EXPECT_EQ(gradient.download(), first.gradient);
    EXPECT_EQ(klot.result().value, first.result.value);
  }
}

TEST_P(KlotTest, FurtherRunsAllocateNothing) {
  const auto k = random_uniform(100 * 100, 8);
  const Matrix<float> dk(context, k.data(), 100, 100), dt(context, k.data(), 100, 100);
  Matrix<float> gradient(context, 100, 100);
  Klot klot(context, 100, 100, KlotOptions{}.with_both({.iterations = 5}));
  klot.run(dk, dt, gradient);
  const int64_t before = context.allocations();
  klot.run(dk, dt, gradient);
  EXPECT_EQ(context.allocations(), before);
}

TEST_P(KlotTest, ZeroWeightsLeaveTheirRowsAndColumnsAlone) {
  const int64_t n = 20, m = 24;
  const auto k = random_uniform(n * m, 9), t = random_uniform(n * m, 10);
  std::vector<double> a(n, 1.0), b(m, 2.0);
  a[0] = a[7] = a[19] = 0;
  b[3] = b[23] = 0;
  const Matrix<float> dk(context, k.data(), n, m), dt(context, t.data(), n, m);
  Matrix<float> gradient(context, n, m);
  Klot klot(context, n, m, {});
  klot.set_weights(a, b);
  klot.run(dk, dt, gradient);
  EntropicOracle student(k, n, m, 0.05), teacher(t, n, m, 0.01);
  for (EntropicOracle* o : {&student, &teacher}) {
    for (int64_t i = 0; i < n; ++i) o->a[i] = a[i] / 17;
    for (int64_t j = 0; j < m; ++j) o->b[j] = b[j] / 44;
    o->solve(100, true);
  }
  EXPECT_WITHIN(std::abs(klot.result().value - klot_value(student, teacher)),
                1e-5 * klot_value(student, teacher));
  const std::vector<float> g = gradient.download();
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j)
      if (a[i] == 0 || b[j] == 0) {
        EXPECT_EQ(g[i * m + j], 0.0f);
      }
}

// The last pass alone, from potentials that have not converged, with a different stride for each matrix.
TEST_P(KlotTest, GradientsAgreeWithTheOracleForAnyPotentials) {
  constexpr float kGuard = 77.0f;
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 1}, {1, 2}, {31, 33}, {33, 31}, {32, 256}, {7, 257}, {127, 515}, {17000, 2}}) {
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    const auto k = random_uniform(n * m, 30 + n), t = random_uniform(n * m, 40 + m);
    EntropicOracle student(k, n, m, 0.0625), teacher(t, n, m, 0.03125);  // exact, as are the inverses
    // Zero weights leave u or v at -inf.
    for (EntropicOracle* o : {&student, &teacher}) {
      if (n > 2) o->a[n / 2] = 0;
      if (m > 2) o->b[m - 1] = 0;
      o->solve(1, false);
      for (int64_t i = 0; i < n; ++i) o->u[i] += 0.1 * std::sin(double(i)) + (o == &student ? 300 : 0);
      for (int64_t j = 0; j < m; ++j) o->v[j] -= o == &student ? 300 : 0;
    }
    const auto padded = [&](const std::vector<float>& dense, int64_t stride) {
      std::vector<float> host(n * stride, kGuard);
      for (int64_t i = 0; i < n; ++i) std::copy_n(dense.begin() + i * m, m, host.begin() + i * stride);
      return Buffer<float>(context, host);
    };
    const Buffer<float> dk = padded(k, m + 1), dt = padded(t, m + 2);
    const Buffer<float> inverse(context, std::vector<float>{16.0f, 32.0f});
    std::vector<double> log_a(n), log_b(m);
    for (int64_t i = 0; i < n; ++i) log_a[i] = std::log(student.a[i]);
    for (int64_t j = 0; j < m; ++j) log_b[j] = std::log(student.b[j]);
    const Buffer<double> a(context, log_a), b(context, log_b), us(context, student.u), vs(context, student.v),
        ut(context, teacher.u), vt(context, teacher.v);
    const int64_t stride = m + 3;
    Buffer<float> gradient(context, std::vector<float>(n * stride, kGuard));
    Buffer<double> value(context, 1);
    kernels::KlotGradient args{.student = {.affinity = dk.data(),
                                           .rows = n,
                                           .cols = m,
                                           .row_stride = m + 1,
                                           .inverse_epsilon = inverse.data(),
                                           .log_a = a.data(),
                                           .log_b = b.data()},
                               .u_student = us.data(),
                               .v_student = vs.data(),
                               .teacher = {.affinity = dt.data(),
                                           .rows = n,
                                           .cols = m,
                                           .row_stride = m + 2,
                                           .inverse_epsilon = inverse.data() + 1,
                                           .log_a = a.data(),
                                           .log_b = b.data()},
                               .u_teacher = ut.data(),
                               .v_teacher = vt.data(),
                               .gradient = gradient.data(),
                               .gradient_stride = stride,
                               .gradient_scale = 0.5f,
                               .value = value.data()};
    const int64_t bytes = static_cast<int64_t>(klot_gradient_scratch(context.queue(), args));
    Buffer<unsigned char> scratch(context, std::vector<unsigned char>(bytes + 256, 0x42));
    args.scratch = scratch.data();
    klot_gradient(context.queue(), args);
    const std::vector<float> found = gradient.download();
    const double found_value = value.download()[0];

    const std::vector<double> p = student.plan(), q = teacher.plan();
    std::vector<float> dense;
    std::vector<double> expected;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < stride; ++j) {
        if (j >= m) {
          ASSERT_EQ(found[i * stride + j], kGuard);
          continue;
        }
        dense.push_back(found[i * stride + j]);
        expected.push_back(0.5 * 16 * (p[i * m + j] - q[i * m + j]));
        if (student.a[i] == 0 || student.b[j] == 0) {
          ASSERT_EQ(dense.back(), 0.0f);
        }
      }
    EXPECT_WITHIN(relative_l1(dense, expected, 0.5 * 16), 1e-6);
    const double expected_value = klot_value(student, teacher);
    EXPECT_WITHIN(std::abs(found_value - expected_value), 1e-6 * std::max(1.0, std::abs(expected_value)));

    // Value only: writes nothing but the value, with the same bits.
    args.gradient = nullptr;
    value.upload(std::vector<double>{-1.0}.data());
    klot_gradient(context.queue(), args);
    EXPECT_EQ(value.download()[0], found_value);
    EXPECT_EQ(gradient.download(), found);
    const std::vector<unsigned char> after = scratch.download();
    EXPECT_EQ(std::count(after.begin() + bytes, after.end(), 0x42), 256);
  }
}

TEST_P(KlotTest, RejectsWhatDoesNotFit) {
  EXPECT_THROW(Klot(context, 0, 3, {}), InvalidArgument);
  EXPECT_THROW(Klot(context, 3, 3, {.epsilon_student = 0}), InvalidArgument);
  EXPECT_THROW(Klot(context, 3, 3, {.epsilon_teacher = std::nan("")}), InvalidArgument);
  EXPECT_THROW(Klot(context, 3, 3, {.student = {.iterations = 0}}), InvalidArgument);
  EXPECT_THROW(Klot(context, 3, 3, {.teacher = {.relaxation = 2}}), InvalidArgument);
  Klot klot(context, 3, 3, {});
  Matrix<float> right(context, 3, 3), wrong(context, 3, 4);
  EXPECT_THROW(klot.run(right, wrong, right), InvalidArgument);
  EXPECT_THROW(klot.run(right, right, wrong), InvalidArgument);
  FixedPointMatrix fixed(context, 3, 3, "right"), wide(context, 3, 4, "wrong");
  EXPECT_THROW(klot.run(fixed, wide, right), InvalidArgument);
  EXPECT_THROW(klot.run(fixed, fixed, wrong), InvalidArgument);
  EXPECT_THROW(fixed.encode(context, wrong), InvalidArgument);
  EXPECT_THROW(fixed.encode(context, right, 1), InvalidArgument);
}

// K, K* and one density: the gradient overwrites K, and student and teacher are solved one after the other.
TEST(KlotMemory, PeaksAtThreeMatrices) {
  const int64_t n = 1100;
  Context context;
  const auto values = random_uniform(n * n, 20);
  Matrix<float> student(context, values.data(), n, n), teacher(context, values.data(), n, n);
  Klot klot(context, n, n, KlotOptions{}.with_both({.iterations = 8}));
  klot.run(student, teacher, student);
  EXPECT_EQ(klot.result().student.iterations, 8);
  EXPECT_LE(double(context.peak_bytes()), 3.5 * double(n * n) * sizeof(float));
}

}  // namespace lib_klot_test
}  // namespace sotalign
