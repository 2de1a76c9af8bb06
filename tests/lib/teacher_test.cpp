// Linear teachers: golden vectors, defining equations, invariances, degenerate pairs, errors.
#include "sotalign/teacher/teacher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/npy.h"
#include "support/test_files.h"

namespace sotalign {
namespace lib_teacher_test {

using testing::GoldenArray;
using testing::random_normal;
using Doubles = std::vector<double>;

/// Rows of both sides depend on the same hidden rows, plus independent noise.
struct Pairs {
  int64_t p, dx, dy;
  std::vector<float> a, b;
};
std::vector<float> noisy_image(const std::vector<float>& hidden, int64_t rows, int64_t h, int64_t d,
                               uint64_t seed) {
  const std::vector<float> map = random_normal(h * d, seed);
  std::vector<float> x = random_normal(rows * d, seed + 1, 0.5f);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t l = 0; l < h; ++l)
      for (int64_t j = 0; j < d; ++j) x[i * d + j] += hidden[i * h + l] * map[l * d + j];
  return x;
}
Pairs make_pairs(int64_t p, int64_t dx, int64_t dy, uint64_t seed = 1) {
  const std::vector<float> hidden = random_normal(p * 6, seed);
  return {p, dx, dy, noisy_image(hidden, p, 6, dx, seed + 10), noisy_image(hidden, p, 6, dy, seed + 20)};
}

Doubles centered(const std::vector<float>& x, int64_t rows, int64_t cols) {
  Doubles result(x.begin(), x.end());
  for (int64_t j = 0; j < cols; ++j) {
    double mean = 0;
    for (int64_t i = 0; i < rows; ++i) mean += result[i * cols + j] / static_cast<double>(rows);
    for (int64_t i = 0; i < rows; ++i) result[i * cols + j] -= mean;
  }
  return result;
}

/// (x w)' (y v): x [p, dx], w [dx, k], y [p, dy], v [dy, k]
Doubles cross(const Doubles& x, const std::vector<float>& w, const Doubles& y, const std::vector<float>& v,
              int64_t p, int64_t k) {
  const auto times = [&](const Doubles& rows, const std::vector<float>& map) {
    const int64_t d = static_cast<int64_t>(map.size()) / k;
    Doubles out(p * k);
    for (int64_t i = 0; i < p; ++i)
      for (int64_t l = 0; l < d; ++l)
        for (int64_t j = 0; j < k; ++j) out[i * k + j] += rows[i * d + l] * double(map[l * k + j]);
    return out;
  };
  const Doubles s = times(x, w), t = times(y, v);
  Doubles result(k * k);
  for (int64_t i = 0; i < p; ++i)
    for (int64_t r = 0; r < k; ++r)
      for (int64_t c = 0; c < k; ++c) result[r * k + c] += s[i * k + r] * t[i * k + c];
  return result;
}

class TeacherTest : public testing::DeviceTest {
 protected:
  Teacher fit(const Pairs& pairs, const TeacherOptions& options) {
    const Matrix<float> a(context, pairs.a.data(), pairs.p, pairs.dx),
        b(context, pairs.b.data(), pairs.p, pairs.dy);
    return fit_teacher(context, a, b, options);
  }
  std::vector<float> project(const Teacher& teacher, Side side, const std::vector<float>& x) {
    const int64_t d = side == Side::kX ? teacher.wx.rows() : teacher.wy.rows();
    const Matrix<float> rows(context, x.data(), static_cast<int64_t>(x.size()) / d, d);
    Matrix<float> out(context, rows.rows(), teacher.dim());
    teacher.project(context, side, rows, out);
    return out.download();
  }
  std::vector<float> affinity(const Teacher& teacher, const std::vector<float>& x,
                              const std::vector<float>& y) {
    const std::vector<float> px = project(teacher, Side::kX, x), py = project(teacher, Side::kY, y);
    const int64_t k = teacher.dim(), n = static_cast<int64_t>(px.size()) / k,
                  m = static_cast<int64_t>(py.size()) / k;
    Matrix<float> result(context, n, m);
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, Matrix<float>(context, px.data(), n, k),
         Matrix<float>(context, py.data(), m, k), 0.0f, result);
    return result.download();
  }
  std::string message(const Pairs& pairs, const TeacherOptions& options) {
    try {
      fit(pairs, options);
    } catch (const InvalidArgument& error) {
      return error.what();
    }
    return "no exception";
  }
};
SOTALIGN_ON_EVERY_DEVICE(TeacherTest);

TEST_P(TeacherTest, AgreesWithGoldenVectors) {
  const std::string folder = testing::test_files() + "/golden/";
  std::ifstream file(folder + "manifest.json");
  for (const nlohmann::json& entry : nlohmann::json::parse(file)) {
    const std::string name = entry["case"];
    if (name.rfind("teacher_", 0) != 0) continue;
    SCOPED_TRACE(name);
    const auto read = [&](const char* part) {
      return testing::read_golden(folder + name + "." + part + ".npy");
    };
    const GoldenArray a = read("a"), b = read("b");
    const Pairs pairs{a.shape[0], a.shape[1], b.shape[1], a.as_float(), b.as_float()};
    const std::vector<float> x = read("x").as_float(), y = read("y").as_float();
    const double ridge = entry["ridge"];
    const int64_t k = entry["k"];

    const Teacher cca = fit(pairs, {.kind = TeacherKind::kCca, .ridge = ridge, .dim = k});
    EXPECT_WITHIN(testing::max_difference(cca.correlations, read("correlations").values), 1e-7);
    EXPECT_WITHIN(testing::max_difference(affinity(cca, x, y), read("k_cca").values), 1e-5);

    const Teacher procrustes = fit(pairs, {.kind = TeacherKind::kProcrustes, .dim = k});
    EXPECT_WITHIN(testing::relative_l1(procrustes.correlations, read("singular_values").values), 1e-7);
    EXPECT_WITHIN(testing::max_difference(affinity(procrustes, x, y), read("k_procrustes").values), 1e-5);
  }
}

TEST_P(TeacherTest, SolvesItsDefiningEquations) {
  for (const auto& [p, dx, dy] : {std::tuple{2, 1, 1},
                                  {2, 3, 5},
                                  {33, 31, 32},
                                  {32, 32, 33},
                                  {33, 127, 9},
                                  {127, 31, 64},
                                  {20, 40, 30},
                                  {7, 1, 3}}) {
    SCOPED_TRACE(std::to_string(p) + ", " + std::to_string(dx) + ", " + std::to_string(dy));
    const Pairs pairs = make_pairs(p, dx, dy);
    const Doubles a = centered(pairs.a, p, dx), b = centered(pairs.b, p, dy);
    for (const TeacherKind kind : {TeacherKind::kCca, TeacherKind::kProcrustes}) {
      const bool cca = kind == TeacherKind::kCca;
      const double ridge = cca ? 0.3 : 1.0, weight = cca ? 1.0 / p : 0.0, divisor = cca ? p : 1;
      const Teacher teacher = fit(pairs, {.kind = kind, .ridge = 0.3});
      const int64_t k = teacher.dim();
      EXPECT_EQ(k, std::min({p - 1, dx, dy}));
      const std::vector<float> wx = teacher.wx.download(), wy = teacher.wy.download();
      // Wx' (weight A0'A0 + ridge I) Wx = I, Wx' A0'B0 Wy / divisor = diag(correlations)
      for (const bool side_x : {true, false}) {
        const std::vector<float>& w = side_x ? wx : wy;
        const Doubles& rows = side_x ? a : b;
        Doubles gram = cross(rows, w, rows, w, p, k);
        for (int64_t r = 0; r < k; ++r)
          for (int64_t c = 0; c < k; ++c) {
            gram[r * k + c] *= weight;
            for (size_t l = 0; l < w.size() / k; ++l)
              gram[r * k + c] += ridge * double(w[l * k + r]) * double(w[l * k + c]);
            if (r == c) gram[r * k + c] -= 1;
          }
        EXPECT_WITHIN(testing::max_difference(gram, Doubles(gram.size())), 2e-6);
      }
      Doubles between = cross(a, wx, b, wy, p, k);
      for (double& value : between) value /= divisor;
      Doubles expected(k * k);
      for (int64_t i = 0; i < k; ++i) expected[i * k + i] = teacher.correlations[i];
      EXPECT_WITHIN(testing::max_difference(between, expected),
                    2e-6 * std::max(1.0, teacher.correlations[0]));
      EXPECT_TRUE(std::is_sorted(teacher.correlations.rbegin(), teacher.correlations.rend()));
      EXPECT_WITHIN(teacher.correlations[0], cca ? 1.0 : 1e6);
    }
  }
}

TEST_P(TeacherTest, MorePairsThanColumnsAndFewerAgree) {
  // Duplicating every pair keeps the covariances but makes p > d. Procrustes sums over pairs, so its values
  // double.
  const Pairs once = make_pairs(20, 24, 30);
  Pairs twice = once;
  twice.p = 40;
  twice.a.insert(twice.a.end(), once.a.begin(), once.a.end());
  twice.b.insert(twice.b.end(), once.b.begin(), once.b.end());
  for (const TeacherKind kind : {TeacherKind::kCca, TeacherKind::kProcrustes})
    for (const int64_t dim : {0, 4}) {
      const Teacher few = fit(once, {.kind = kind, .dim = dim}),
                    many = fit(twice, {.kind = kind, .dim = dim});
      EXPECT_EQ(few.dim(), dim == 0 ? 19 : 4);
      Doubles expected = few.correlations;
      for (double& value : expected) value *= kind == TeacherKind::kCca ? 1 : 2;
      EXPECT_WITHIN(testing::relative_l1(many.correlations, expected), 1e-12);
      const std::vector<float> x = random_normal(9 * 24, 5), y = random_normal(11 * 30, 6);
      EXPECT_WITHIN(testing::max_difference(affinity(many, x, y), affinity(few, x, y)), 2e-6);
    }
}

TEST_P(TeacherTest, WithoutRidgeLinearMapsOfASideChangeNothing) {
  const Pairs pairs = make_pairs(200, 12, 17);
  const auto mapped = [](const std::vector<float>& x, int64_t d, uint64_t seed) {
    const std::vector<float> noise = random_normal(d * d, seed);
    std::vector<float> result(x.size());
    for (int64_t i = 0; i < static_cast<int64_t>(x.size()) / d; ++i)
      for (int64_t j = 0; j < d; ++j) {
        double sum = 5 + 3 * double(x[i * d + j]);
        for (int64_t l = 0; l < d; ++l) sum += 0.5 * double(x[i * d + l]) * double(noise[l * d + j]);
        result[i * d + j] = static_cast<float>(sum);
      }
    return result;
  };
  Pairs changed = pairs;
  changed.a = mapped(pairs.a, 12, 3);
  changed.b = mapped(pairs.b, 17, 4);
  const std::vector<float> x = random_normal(9 * 12, 5), y = random_normal(11 * 17, 6);
  const Teacher before = fit(pairs, {.ridge = 0.0}), after = fit(changed, {.ridge = 0.0});
  EXPECT_EQ(before.dim(), 12);
  EXPECT_WITHIN(testing::max_difference(after.correlations, before.correlations), 1e-5);
  EXPECT_WITHIN(
      testing::max_difference(affinity(after, mapped(x, 12, 3), mapped(y, 17, 4)), affinity(before, x, y)),
      1e-4);
  // A ridge has an effect, so the options reach the teacher.
  EXPECT_LT(fit(pairs, {.ridge = 10.0}).correlations[0], before.correlations[0] - 0.05);
}

TEST_P(TeacherTest, CorrelationPowerScalesTheColumnsOfCca) {
  const Pairs pairs = make_pairs(60, 9, 14);
  const Teacher plain = fit(pairs, {.dim = 5}), weighted = fit(pairs, {.dim = 5, .correlation_power = 1.5});
  EXPECT_EQ(weighted.correlations, plain.correlations);
  for (const bool side_x : {true, false}) {
    const std::vector<float> w = (side_x ? plain.wx : plain.wy).download();
    Doubles expected(w.begin(), w.end());
    for (size_t i = 0; i < w.size(); ++i) expected[i] *= std::pow(plain.correlations[i % 5], 1.5);
    EXPECT_WITHIN(testing::relative_l1((side_x ? weighted.wx : weighted.wy).download(), expected), 1e-6);
  }
  const TeacherOptions procrustes{.kind = TeacherKind::kProcrustes, .correlation_power = 1.5};
  EXPECT_EQ(fit(pairs, procrustes).wx.download(),
            fit(pairs, {.kind = TeacherKind::kProcrustes}).wx.download());
}

TEST_P(TeacherTest, DimensionZeroTakesWhatThePairsDetermine) {
  EXPECT_EQ(fit(make_pairs(60, 70, 80), {}).dim(), 59);
  EXPECT_EQ(fit(make_pairs(90, 40, 80), {}).dim(), 40);
  EXPECT_EQ(fit(make_pairs(90, 40, 80), {.dim = 30}).dim(), 30);
}

TEST_P(TeacherTest, DirectionsWithoutVarianceAreLeftOut) {
  // Columns of a: the fourth repeats the first, the fifth is 0 and the sixth is constant.
  const Pairs base = make_pairs(50, 3, 8);
  for (const int64_t p : {50, 5}) {  // more and fewer pairs than columns of a
    Pairs pairs{p, 6, 8, {}, {base.b.begin(), base.b.begin() + p * 8}};
    for (int64_t i = 0; i < p; ++i) {
      const float u = base.a[i * 3], v = base.a[i * 3 + 1];
      pairs.a.insert(pairs.a.end(), {u, v, base.a[i * 3 + 2], u, 0.0f, 7.0f});
    }
    for (const TeacherKind kind : {TeacherKind::kCca, TeacherKind::kProcrustes})
      for (const double ridge : {0.0, 0.1}) {
        const Teacher teacher = fit(pairs, {.kind = kind, .ridge = ridge});
        EXPECT_EQ(teacher.dim(), 3);
        EXPECT_WITHIN(testing::max_difference(teacher.wx.download(), std::vector<float>(18)), 1e3);
        EXPECT_WITHIN(testing::max_difference(affinity(teacher, pairs.a, pairs.b), Doubles(p * p)), 1.00001);
        const std::string error = message(pairs, {.kind = kind, .ridge = ridge, .dim = 4});
        EXPECT_NE(error.find("determine 3 directions"), std::string::npos) << error;
      }
  }
}

TEST_P(TeacherTest, RowsAtTheMeanProjectToZero) {
  Pairs pairs = make_pairs(2, 7, 5);
  for (int64_t j = 0; j < 7; ++j) pairs.a[7 + j] = -pairs.a[j];
  const Teacher teacher = fit(pairs, {});
  EXPECT_EQ(project(teacher, Side::kX, std::vector<float>(7 * 3)), std::vector<float>(3));
}

TEST_P(TeacherTest, ProjectsManyRowsAsFew) {
  const Teacher teacher = fit(make_pairs(60, 9, 14), {.dim = 7});
  const std::vector<float> x = random_normal(9001 * 9, 3);
  const std::vector<float> all = project(teacher, Side::kX, x);
  const std::vector<float> last = project(teacher, Side::kX, {x.end() - 9 * 100, x.end()});
  EXPECT_WITHIN(testing::max_difference(std::vector<float>(all.end() - 700, all.end()), last), 1e-6);
  for (int64_t i = 0; i < 9001; i += 500) {
    double norm = 0;
    for (int64_t j = 0; j < 7; ++j) norm += double(all[i * 7 + j]) * double(all[i * 7 + j]);
    EXPECT_WITHIN(std::abs(norm - 1), 1e-6);
  }
}

TEST_P(TeacherTest, RepeatsBitForBit) {
  const Pairs pairs = make_pairs(127, 33, 64);
  EXPECT_EQ(fit(pairs, {}).wx.download(), fit(pairs, {}).wx.download());
}

TEST_P(TeacherTest, ErrorsSayWhatIsWrong) {
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const Pairs pairs = make_pairs(10, 12, 14);
  has(message(make_pairs(10, 4, 6), {.dim = 5}),
      "dim: expected 0 (as many as possible) to 4, which is the columns of a");
  has(message(make_pairs(10, 6, 4), {.dim = 5}), "to 4, which is the columns of b, found 5");
  has(message(pairs, {.dim = 10}), "to 9, which is the number of pairs - 1, found 10");
  has(message(pairs, {.dim = -1}), "dim: ");
  has(message(pairs, {.ridge = -0.1}), "ridge: ");
  has(message(pairs, {.ridge = std::nan("")}), "ridge: ");
  has(message(pairs, {.correlation_power = std::numeric_limits<double>::infinity()}), "correlation_power: ");
  has(message(make_pairs(1, 3, 3), {}), "at least 2, found [1, 3] and [1, 3]");
  has(message({2, 3, 0, std::vector<float>(6), {}}, {}), "[2, 0]");

  Pairs bad = pairs;
  bad.b[14 + 3] = std::nanf("");
  has(message(bad, {}), "b: ");
  has(message(bad, {}), "column 3");
  bad = pairs;
  for (size_t i = 12; i < bad.a.size(); ++i) bad.a[i] = bad.a[i % 12];
  for (const double ridge : {0.0, 0.1}) has(message(bad, {.ridge = ridge}), "a: expected rows that differ");
  // Both sides vary, but never together.
  has(message({4, 1, 1, {1, -1, 0, 0}, {0, 0, 1, -1}}, {}), "vary together");

  const Teacher teacher = fit(pairs, {.dim = 2});
  Matrix<float> x(context, 3, 12), out(context, 3, 2);
  EXPECT_THROW(teacher.project(context, Side::kY, x, out), InvalidArgument);
  EXPECT_THROW(teacher.project(context, Side::kX, x, x), InvalidArgument);

  const Matrix<float> a(context, 3, 2), b(context, 4, 2);
  EXPECT_THROW(fit_teacher(context, a, b), InvalidArgument);
  EXPECT_THROW(fit_teacher(context, a, a, {.kind = TeacherKind::kSelfTraining}), InvalidArgument);
  EXPECT_THROW(fit_teacher(context, a, a, {.kind = TeacherKind::kAuto}), InvalidArgument);
}

TEST(TeacherNames, RoundTrip) {
  for (const std::string& name : teacher_names()) EXPECT_EQ(to_string(parse_teacher_kind(name)), name);
  try {
    parse_teacher_kind("ridge");
    FAIL() << "no exception";
  } catch (const InvalidArgument& error) {
    EXPECT_NE(
        std::string(error.what()).find("cca, procrustes, contrastive, self_training, auto, found 'ridge'"),
        std::string::npos)
        << error.what();
  }
}

}  // namespace lib_teacher_test
}  // namespace sotalign
