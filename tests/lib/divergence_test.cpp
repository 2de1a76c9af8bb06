// InfoNCE and CKA, and the interface that they share with KLOT: golden vectors (computed in float64), loops
// in double precision and finite differences, on every device.
#include "sotalign/loss/divergence.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "sotalign/core/error.h"
#include "sotalign/loss/infonce.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/divergence_oracle.h"
#include "support/error_message.h"
#include "support/npy.h"
#include "support/test_files.h"

namespace sotalign {
namespace lib_divergence_test {

using testing::cka_oracle;
using testing::DivergenceOracle;
using testing::infonce_oracle;
using testing::random_uniform;
using testing::relative_l1;

constexpr const char *kBoth[] = {"infonce", "cka"}, *kAll[] = {"klot", "infonce", "cka"};

class DivergenceTest : public testing::DeviceTest {
 protected:
  struct Run {
    double value;
    std::vector<float> gradient;
  };
  Run run(const DivergenceOptions& options, const std::vector<float>& k, const std::vector<float>& teacher,
          int64_t n, int64_t m, double scale = 1.0) {
    const Matrix<float> dk(context, k.data(), n, m), dt(context, teacher.data(), n, m);
    Matrix<float> gradient(context, n, m);
    const auto divergence = make_divergence(context, n, m, options);
    divergence->run(dk, dt, gradient, scale);
    return {divergence->result().value, gradient.download()};
  }
  Run run(const std::string& name, const std::vector<float>& k, const std::vector<float>& teacher, int64_t n,
          int64_t m, double scale = 1.0) {
    return run(options_of(name), k, teacher, n, m, scale);
  }
  static DivergenceOptions options_of(const std::string& name) {
    return {.name = name,
            .epsilon_student = kTemperatures.epsilon_student,
            .epsilon_teacher = kTemperatures.epsilon_teacher};
  }
  static DivergenceOracle oracle(const std::string& name, const std::vector<float>& k,
                                 const std::vector<float>& teacher, int64_t n, int64_t m) {
    return name == "cka" ? cka_oracle(k, teacher, n, m)
                         : infonce_oracle(k, teacher, n, m, kTemperatures.epsilon_student,
                                          kTemperatures.epsilon_teacher);
  }
  static constexpr InfoNceOptions kTemperatures{.epsilon_student = 0.07, .epsilon_teacher = 0.02};
};
SOTALIGN_ON_EVERY_DEVICE(DivergenceTest);

TEST_P(DivergenceTest, GoldenVectors) {
  const std::string folder = testing::test_files() + "/golden/";
  int cases = 0;
  for (const nlohmann::json& entry : nlohmann::json::parse(std::ifstream(folder + "manifest.json"))) {
    const std::string name = entry["case"];
    if (!name.starts_with("infonce_") && !name.starts_with("cka_")) continue;
    SCOPED_TRACE(name);
    ++cases;
    // CKA's cases use the same affinities.
    const std::string affinities = folder + "infonce_" + name.back();
    const int64_t n = entry["n"];
    const DivergenceOptions options{.name = name.substr(0, name.find('_')),
                                    .epsilon_student = entry["epsilon_student"],
                                    .epsilon_teacher = entry["epsilon_teacher"]};
    const auto [value, gradient] =
        run(options, testing::read_golden(affinities + ".k_student.npy").as_float(),
            testing::read_golden(affinities + ".k_teacher.npy").as_float(), n, n);
    EXPECT_WITHIN(std::abs(value - double(entry["value"])), 1e-6);
    EXPECT_WITHIN(relative_l1(gradient, testing::read_golden(folder + name + ".grad.npy").values), 2e-6);
  }
  EXPECT_EQ(cases, 4);
}

TEST_P(DivergenceTest, ShapesAgreeWithTheOracle) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{2, 2},
                                                                     {2, 3},
                                                                     {3, 2},
                                                                     {31, 33},
                                                                     {33, 31},
                                                                     {32, 32},
                                                                     {127, 129},
                                                                     {257, 2},
                                                                     {2, 257},
                                                                     {130, 65},
                                                                     {70, 259}}) {
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    const auto k = random_uniform(n * m, 10 + n), t = random_uniform(n * m, 20 + m);
    for (const std::string name : kBoth) {
      SCOPED_TRACE(name);
      const auto [value, gradient] = run(name, k, t, n, m);
      const DivergenceOracle expected = oracle(name, k, t, n, m);
      EXPECT_WITHIN(std::abs(value - expected.value), 1e-6 * std::max(1.0, expected.value));
      // For 2 x 2 the gradient of CKA is zero: all doubly centred matrices are multiples of one.
      EXPECT_WITHIN(relative_l1(gradient, expected.gradient, n * m == 4 ? 1.0 : 0.0), 2e-6);
    }
  }
}

// A single row has only its row softmax; CKA is degenerate (see DegenerateMatricesAgreeWithNone).
TEST_P(DivergenceTest, SingleRowsAndColumns) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 40}, {300, 1}}) {
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    const auto k = random_uniform(n * m, 3), t = random_uniform(n * m, 4);
    const auto [value, gradient] = run("infonce", k, t, n, m);
    const DivergenceOracle expected = oracle("infonce", k, t, n, m);
    EXPECT_WITHIN(std::abs(value - expected.value), 1e-6 * std::max(1.0, expected.value));
    EXPECT_WITHIN(relative_l1(gradient, expected.gradient, 0.1), 2e-6);
  }
}

TEST_P(DivergenceTest, GradientsAgreeWithFiniteDifferences) {
  const int64_t n = 9, m = 7;
  const auto t = random_uniform(n * m, 2);
  for (const std::string name : kBoth) {
    SCOPED_TRACE(name);
    auto k = random_uniform(n * m, 1);
    const std::vector<float> gradient = run(name, k, t, n, m).gradient;
    std::vector<double> expected(gradient.size());
    const float h = 1.0f / 4096;
    for (size_t i = 0; i < k.size(); ++i) {
      const float kept = k[i];
      k[i] = kept + h;
      const double above = oracle(name, k, t, n, m).value;
      k[i] = kept - h;
      const double below = oracle(name, k, t, n, m).value;
      expected[i] = (above - below) / (double(kept + h) - double(kept - h));
      k[i] = kept;
    }
    EXPECT_WITHIN(relative_l1(gradient, expected), 2e-5);
  }
}

TEST_P(DivergenceTest, HostileDataAgreesWithTheOracle) {
  const int64_t n = 35, m = 41;
  const auto noise = random_uniform(n * m, 5), other = random_uniform(n * m, 6);
  std::vector<float> outlier = noise, signs = noise, same(noise.size(), 0.25f), far = noise;
  outlier[77] = 1000.0f;
  for (float& x : signs) x = x < 0 ? -1.0f : 1.0f;
  for (float& x : far) x = 64.0f + x / 64;  // small variation on a large offset
  for (const auto& [name, k] : {std::pair{"outlier", outlier}, std::pair{"signs", signs},
                                std::pair{"constant", same}, std::pair{"far", far}}) {
    for (const bool as_student : {true, false}) {
      SCOPED_TRACE(name);
      const std::vector<float>&s = as_student ? k : other, &t = as_student ? other : k;
      for (const double epsilon : {1e-3, 0.05}) {
        const DivergenceOptions options{
            .name = "infonce", .epsilon_student = epsilon, .epsilon_teacher = epsilon};
        const auto [value, gradient] = run(options, s, t, n, m);
        const DivergenceOracle expected = infonce_oracle(s, t, n, m, epsilon, epsilon);
        // 1 / epsilon is a float and multiplies numbers as large as the value.
        EXPECT_WITHIN(std::abs(value - expected.value), 2e-7 * std::max(1.0, expected.value));
        EXPECT_WITHIN(relative_l1(gradient, expected.gradient, 0.1 / epsilon), 2e-5);
      }
      if (k == same) continue;
      const auto [value, gradient] = run("cka", s, t, n, m);
      const DivergenceOracle expected = cka_oracle(s, t, n, m);
      EXPECT_WITHIN(std::abs(value - expected.value), 1e-9);
      EXPECT_WITHIN(relative_l1(gradient, expected.gradient), 2e-6);
    }
  }
}

// Centring leaves nothing: the value is 1 and the gradient 0, not NaN.
TEST_P(DivergenceTest, DegenerateMatricesAgreeWithNone) {
  const auto expect_none = [&](const std::vector<float>& k, int64_t n, int64_t m) {
    const auto other = random_uniform(n * m, 8);
    for (const auto& [s, t] : {std::pair{k, other}, std::pair{other, k}, std::pair{k, k}}) {
      const auto [value, gradient] = run("cka", s, t, n, m);
      EXPECT_EQ(value, 1.0);
      EXPECT_EQ(gradient, std::vector<float>(s.size(), 0.0f));
    }
  };
  expect_none({0.5f}, 1, 1);
  expect_none(random_uniform(40, 7), 1, 40);
  expect_none(random_uniform(300, 7), 300, 1);
  for (const float constant : {0.0f, 0.3f, -1.0f, 1e6f})
    expect_none(std::vector<float>(33 * 47, constant), 33, 47);
  const auto a = random_uniform(33, 9), b = random_uniform(47, 10);
  std::vector<float> sums(33 * 47), rows(33 * 47);
  for (int64_t i = 0; i < 33; ++i)
    for (int64_t j = 0; j < 47; ++j) sums[i * 47 + j] = a[i] + b[j], rows[i * 47 + j] = 3 * a[i];
  expect_none(sums, 33, 47);
  expect_none(rows, 33, 47);
}

// Flatness is relative to the entries themselves, although sums are shifted by the first entry, which here is
// far from most others.
TEST_P(DivergenceTest, LittleStructureBesideALargeRowIsSeen) {
  const int64_t n = 33, m = 47;
  const auto noise = random_uniform(n * m, 14, -0.05f, 0.05f);
  std::vector<float> k = noise;
  for (int64_t j = 0; j < m; ++j) k[j] += 1e5f;
  EXPECT_WITHIN(run("cka", k, noise, n, m).value, 0.1);
  EXPECT_WITHIN(run("cka", noise, k, n, m).value, 0.1);
}

// CKA ignores positive scaling and row and column offsets, but not the sign.
TEST_P(DivergenceTest, CkaIsBlindToScaleRowsAndColumns) {
  const int64_t n = 30, m = 50;
  const auto k = random_uniform(n * m, 11), a = random_uniform(n, 12), b = random_uniform(m, 13);
  std::vector<float> same = k, opposite = k;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j) same[i * m + j] = 4 * k[i * m + j] + a[i] + b[j];
  for (float& x : opposite) x = -x;
  EXPECT_WITHIN(std::abs(run("cka", k, same, n, m).value), 1e-10);
  EXPECT_WITHIN(std::abs(run("cka", k, opposite, n, m).value - 2), 1e-10);
}

TEST_P(DivergenceTest, EqualAffinitiesGiveZero) {
  const auto k = random_uniform(40 * 50, 3);
  const DivergenceOptions equal{.name = "infonce", .epsilon_student = 0.05, .epsilon_teacher = 0.05};
  const auto [value, gradient] = run(equal, k, k, 40, 50);
  EXPECT_EQ(value, 0.0);
  EXPECT_EQ(gradient, std::vector<float>(gradient.size(), 0.0f));
}

TEST_P(DivergenceTest, NanIsSeen) {
  const auto k = random_uniform(40 * 37, 3), t = random_uniform(40 * 37, 4);
  for (const std::string name : kBoth)
    for (const size_t at : {0, 36, 700, 40 * 37 - 1}) {
      SCOPED_TRACE(name + " " + std::to_string(at));
      auto bad = k;
      bad[at] = std::nanf("");
      EXPECT_TRUE(std::isnan(run(name, bad, t, 40, 37).value));
      EXPECT_TRUE(std::isnan(run(name, t, bad, 40, 37).value));
      EXPECT_TRUE(std::isnan(run(name, bad, std::vector<float>(k.size(), 1.0f), 40, 37).value));
    }
}

TEST_P(DivergenceTest, GradientMayOverwriteEitherAffinityAndIsScaled) {
  const int64_t n = 33, m = 72;  // rows of whole vectors, then not
  for (const int64_t cols : {m, m - 1})
    for (const std::string name : kAll) {
      SCOPED_TRACE(name + " " + std::to_string(cols));
      const auto k = random_uniform(n * cols, 4), t = random_uniform(n * cols, 5);
      DivergenceOptions options = options_of(name);
      options.student = options.teacher = {.iterations = 2};
      const auto [value, expected] = run(options, k, t, n, cols, 3.0);
      const auto [plain_value, plain] = run(options, k, t, n, cols);
      EXPECT_EQ(value, plain_value);
      for (size_t i = 0; i < plain.size(); ++i)
        EXPECT_NEAR(expected[i], 3 * plain[i], 1e-6 * std::abs(plain[i]) + 1e-9);
      for (const bool over_teacher : {false, true}) {
        Matrix<float> dk(context, k.data(), n, cols), dt(context, t.data(), n, cols);
        const auto divergence = make_divergence(context, n, cols, options);
        divergence->run(dk, dt, MatrixF(), 3.0);  // value only
        EXPECT_EQ(divergence->result().value, value);
        divergence->run(dk, dt, over_teacher ? dt : dk, 3.0);
        EXPECT_EQ((over_teacher ? dt : dk).download(), expected);
        EXPECT_EQ((over_teacher ? dk : dt).download(), over_teacher ? k : t);
        EXPECT_EQ(divergence->result().value, value);
      }
    }
}

TEST_P(DivergenceTest, RepeatsBitForBitWhateverTheThreads) {
  const auto k = random_uniform(300 * 130, 6), t = random_uniform(300 * 130, 7);
  for (const std::string name : kBoth) {
    const Run first = run(name, k, t, 300, 130);
    for (const int threads : {1, 2, 3}) {
      Context other(GetParam(), threads);
      const Matrix<float> dk(other, k.data(), 300, 130), dt(other, t.data(), 300, 130);
      Matrix<float> gradient(other, 300, 130);
      const auto divergence = make_divergence(other, 300, 130, options_of(name));
      divergence->run(dk, dt, gradient);
      divergence->run(dk, dt, gradient);
      EXPECT_EQ(gradient.download(), first.gradient);
      EXPECT_EQ(divergence->result().value, first.value);
    }
  }
}

TEST_P(DivergenceTest, FurtherRunsAllocateNothingAndNeverWait) {
  const auto k = random_uniform(100 * 90, 8), t = random_uniform(100 * 90, 9);
  const Matrix<float> dk(context, k.data(), 100, 90), dt(context, t.data(), 100, 90);
  Matrix<float> gradient(context, 100, 90);
  for (const std::string name : kAll) {
    const auto divergence = make_divergence(
        context, 100, 90, {.name = name, .student = {.iterations = 5}, .teacher = {.iterations = 5}});
    divergence->run(dk, dt, gradient);
    const int64_t allocations = context.allocations(), copies = context.host_copies(),
                  waits = context.synchronizations();
    divergence->run(dk, dt, gradient);
    EXPECT_EQ(context.allocations(), allocations);
    EXPECT_EQ(context.host_copies(), copies);
    EXPECT_EQ(context.synchronizations(), waits);
  }
}

TEST_P(DivergenceTest, KlotIsWhatItIsByItself) {
  const auto k = random_uniform(20 * 30, 8), t = random_uniform(20 * 30, 9);
  const KlotOptions options = KlotOptions{.epsilon_student = 0.2}.with_both({.iterations = 7});
  const Matrix<float> dk(context, k.data(), 20, 30), dt(context, t.data(), 20, 30);
  Matrix<float> expected(context, 20, 30), gradient(context, 20, 30);
  Klot klot(context, 20, 30, options);
  klot.run(dk, dt, expected, 2.0);
  const auto divergence = make_divergence(
      context, 20, 30, {.epsilon_student = 0.2, .student = {.iterations = 7}, .teacher = {.iterations = 7}});
  divergence->run(dk, dt, gradient, 2.0);
  EXPECT_EQ(gradient.download(), expected.download());
  const DivergenceResult result = divergence->result();
  EXPECT_EQ(result.name, "klot");
  EXPECT_EQ(result.value, klot.result().value);
  ASSERT_TRUE(result.klot.has_value());
  EXPECT_EQ(result.klot->teacher.iterations, 7);
}

TEST_P(DivergenceTest, RejectsWhatDoesNotFit) {
  for (const std::string name : kAll) {
    EXPECT_THROW(make_divergence(context, 0, 3, {.name = name}), InvalidArgument);
    EXPECT_THROW(make_divergence(context, 3, 0, {.name = name}), InvalidArgument);
    const auto divergence = make_divergence(context, 3, 3, {.name = name});
    Matrix<float> right(context, 3, 3), wrong(context, 3, 4);
    EXPECT_THROW(divergence->run(wrong, right, right), InvalidArgument);
    EXPECT_THROW(divergence->run(right, wrong, right), InvalidArgument);
    EXPECT_THROW(divergence->run(right, right, wrong), InvalidArgument);
  }
  for (const double epsilon : {0.0, -1.0, 1e-60, 1e60, double(INFINITY), std::nan("")}) {
    EXPECT_THROW(InfoNce(context, 3, 3, {.epsilon_student = epsilon}), InvalidArgument) << epsilon;
    EXPECT_THROW(InfoNce(context, 3, 3, {.epsilon_teacher = epsilon}), InvalidArgument) << epsilon;
  }
}

}  // namespace lib_divergence_test
}  // namespace sotalign
