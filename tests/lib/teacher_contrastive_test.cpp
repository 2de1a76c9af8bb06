// The contrastive teacher: its first step against the gradient of SigLIP, what it learns, repeatability,
// errors.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/loss/siglip.h"
#include "sotalign/teacher/teacher.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_teacher_contrastive_test {

using testing::random_normal;
using Doubles = std::vector<double>;

constexpr int64_t kP = 37, kDx = 11, kDy = 7;

TeacherOptions contrastive(const ContrastiveOptions& options, int64_t dim = 5, uint64_t seed = 3) {
  return {.kind = TeacherKind::kContrastive, .dim = dim, .contrastive = options, .seed = seed};
}

class ContrastiveTeacherTest : public testing::DeviceTest {
 protected:
  ContrastiveTeacherTest() {
    const std::vector<float> hidden = random_normal(kP * 4, 1), mx = random_normal(4 * kDx, 2),
                             my = random_normal(4 * kDy, 3);
    host_a = random_normal(kP * kDx, 4, 0.3f), host_b = random_normal(kP * kDy, 5, 0.3f);
    for (int64_t i = 0; i < kP; ++i)
      for (int64_t l = 0; l < 4; ++l) {
        for (int64_t j = 0; j < kDx; ++j) host_a[i * kDx + j] += hidden[i * 4 + l] * mx[l * kDx + j];
        for (int64_t j = 0; j < kDy; ++j) host_b[i * kDy + j] += hidden[i * 4 + l] * my[l * kDy + j];
      }
    a = Matrix<float>(context, host_a.data(), kP, kDx);
    b = Matrix<float>(context, host_b.data(), kP, kDy);
  }
  double mean_r1(const Teacher& teacher) {
    Matrix<float> f(context, kP, teacher.dim()), g(context, kP, teacher.dim());
    teacher.project(context, Side::kX, a, f);
    teacher.project(context, Side::kY, b, g);
    return retrieval(context, f, g).mean_r1;
  }
  std::vector<float> host_a, host_b;
  Matrix<float> a, b;
};
SOTALIGN_ON_EVERY_DEVICE(ContrastiveTeacherTest);

Doubles centered(const std::vector<float>& x, int64_t cols) {
  Doubles result(x.begin(), x.end());
  for (int64_t j = 0; j < cols; ++j) {
    double mean = 0;
    for (int64_t i = 0; i < kP; ++i) mean += result[i * cols + j] / kP;
    for (int64_t i = 0; i < kP; ++i) result[i * cols + j] -= mean;
  }
  return result;
}

/// The initial weights of the training.
std::vector<float> initial(const char* name, int64_t cols, int64_t dim, uint64_t seed) {
  const RandomStream random(seed, stream_id(name));
  const float bound = static_cast<float>(1 / std::sqrt(static_cast<double>(cols)));
  std::vector<float> w(static_cast<size_t>(cols * dim));
  for (size_t i = 0; i < w.size(); ++i) w[i] = bound * (2 * random.uniform(i) - 1);
  return w;
}

std::vector<float> product(const Doubles& x, const std::vector<float>& w, int64_t cols, int64_t dim) {
  std::vector<float> y(static_cast<size_t>(kP * dim));
  for (int64_t i = 0; i < kP; ++i)
    for (int64_t k = 0; k < dim; ++k) {
      double sum = 0;
      for (int64_t j = 0; j < cols; ++j) sum += x[i * cols + j] * double(w[j * dim + k]);
      y[i * dim + k] = static_cast<float>(sum);
    }
  return y;
}

// Lion's first step moves each weight by the learning rate, against the sign of its gradient.
TEST_P(ContrastiveTeacherTest, FirstStepGoesAgainstTheGradientOfSiglip) {
  constexpr int64_t kDim = 5;
  constexpr double kRate = 0.01, kDecay = 1e-5;
  const Teacher teacher = fit_teacher(context, a, b, contrastive({.steps = 1, .learning_rate = kRate}));
  EXPECT_EQ(teacher.dim(), kDim);
  EXPECT_TRUE(teacher.correlations.empty());
  const std::vector<float> wx = initial("teacher.a", kDx, kDim, 3), wy = initial("teacher.b", kDy, kDim, 3);
  const Doubles x = centered(host_a, kDx), y = centered(host_b, kDy);
  const Matrix<float> f(context, product(x, wx, kDx, kDim).data(), kP, kDim),
      g(context, product(y, wy, kDy, kDim).data(), kP, kDim);
  const SiglipResult loss = siglip(context, f, g, std::log(20.0f), -10.0f);
  const auto check = [&](const Doubles& rows, int64_t cols, const Matrix<float>& gradient,
                         const std::vector<float>& before, const Matrix<float>& after) {
    const std::vector<float> d = gradient.download(), w = after.download();
    double largest = 0;
    Doubles dw(before.size());
    for (int64_t j = 0; j < cols; ++j)
      for (int64_t k = 0; k < kDim; ++k) {
        for (int64_t i = 0; i < kP; ++i) dw[j * kDim + k] += rows[i * cols + j] * double(d[i * kDim + k]);
        largest = std::max(largest, std::abs(dw[j * kDim + k]));
      }
    int64_t compared = 0;
    for (size_t i = 0; i < dw.size(); ++i) {
      if (std::abs(dw[i]) < 1e-4 * largest) continue;  // rounding determines the sign
      const double expected = double(before[i]) * (1 - kRate * kDecay) - (dw[i] > 0 ? kRate : -kRate);
      EXPECT_WITHIN(std::abs(double(w[i]) - expected), 1e-6);
      ++compared;
    }
    EXPECT_GT(compared, static_cast<int64_t>(dw.size()) - 5);
  };
  check(x, kDx, loss.grad_f, wx, teacher.wx);
  check(y, kDy, loss.grad_g, wy, teacher.wy);
}

TEST_P(ContrastiveTeacherTest, LearnsThePairs) {
  const double before = mean_r1(fit_teacher(context, a, b, contrastive({.steps = 1}, 16)));
  const double after =
      mean_r1(fit_teacher(context, a, b, contrastive({.steps = 60, .learning_rate = 0.02}, 16)));
  EXPECT_LT(before, 0.4);
  EXPECT_GT(after, 0.8);
}

TEST_P(ContrastiveTeacherTest, SameSeedSameBitsInBatchesToo) {
  const auto fit = [&](int64_t batch, uint64_t seed) {
    return fit_teacher(context, a, b,
                       contrastive({.steps = 6, .learning_rate = 0.01, .batch = batch}, 5, seed))
        .wy.download();
  };
  EXPECT_EQ(fit(10000, 1), fit(kP, 1));
  EXPECT_EQ(fit(10, 1), fit(10, 1));
  EXPECT_NE(fit(10, 1), fit(kP, 1));
  EXPECT_NE(fit(10, 1), fit(10, 2));
}

TEST_P(ContrastiveTeacherTest, AnyNumberOfDimensions) {
  for (const int64_t dim : {1, 2, 33})
    EXPECT_EQ(fit_teacher(context, a, b, contrastive({.steps = 1}, dim)).dim(), dim);
  EXPECT_EQ(fit_teacher(context, a, b, contrastive({.steps = 1}, 0)).dim(), 1024);
}

TEST_P(ContrastiveTeacherTest, ErrorsSayWhatIsWrong) {
  const auto message = [&](const TeacherOptions& options) {
    return testing::error_message([&] { fit_teacher(context, a, b, options); });
  };
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(message(contrastive({.steps = 0})), "steps: expected at least 1, found 0");
  has(message(contrastive({.batch = 0})), "batch: expected at least 1, found 0");
  has(message(contrastive({.learning_rate = 0})), "learning rate: ");
  has(message(contrastive({.learning_rate = std::nan("")})), "learning rate: ");
  has(message(contrastive({}, -1)), "dim: expected 0");
  TeacherOptions open = contrastive({});
  open.dim = std::nullopt;
  has(message(open), "dim: expected a number, found none");
  EXPECT_THROW(fit_teacher(context, a, b, contrastive({.steps = 3, .learning_rate = 3e38})), NumericalError);
}

}  // namespace lib_teacher_contrastive_test
}  // namespace sotalign
