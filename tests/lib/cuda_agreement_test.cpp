// The CUDA path end to end, emulated or real, against the CPU: teacher, training, evaluation.
#include <gtest/gtest.h>

#include <cmath>

#include "sotalign/train/trainer.h"
#include "support/compare.h"
#include "support/devices.h"

namespace sotalign {
namespace lib_cuda_agreement_test {

using testing::random_normal;

class CudaAgreement : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device.kind != DeviceKind::kCuda)
      GTEST_SKIP() << "no CUDA device, and this build does not emulate one";
  }
  const Device device = testing::devices().back();
};

// Rows of one modality; both modalities depend on the same latent factors.
std::vector<float> view(int64_t rows, int64_t cols, uint64_t factor_seed, uint64_t noise_seed) {
  constexpr int64_t kFactors = 6;
  const std::vector<float> z = random_normal(rows * kFactors, factor_seed),
                           map = random_normal(kFactors * cols, static_cast<uint64_t>(cols));
  std::vector<float> x = random_normal(rows * cols, noise_seed, 0.5f);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j)
      for (int64_t f = 0; f < kFactors; ++f) x[i * cols + j] += z[i * kFactors + f] * map[f * cols + j];
  return x;
}

struct Data {
  static constexpr int64_t kImageDim = 17, kTextDim = 13, kPairs = 30, kUnpaired = 41;
  std::vector<float> pair_images = view(kPairs, kImageDim, 1, 11), pair_texts = view(kPairs, kTextDim, 1, 12);
  std::vector<float> images = view(kUnpaired, kImageDim, 2, 13), texts = view(kUnpaired, kTextDim, 3, 14);
  TrainingData views() const {
    const ConstMatrixF pi(pair_images.data(), kPairs, kImageDim), pt(pair_texts.data(), kPairs, kTextDim);
    return {.pair_images = pi,
            .pair_texts = pt,
            .images = {images.data(), kUnpaired, kImageDim},
            .texts = {texts.data(), kUnpaired, kTextDim},
            .validation_images = pi,
            .validation_texts = pt};
  }
};

TrainOptions short_run(const std::vector<int64_t>& hidden) {
  return {.teacher = {.ridge = 0.01, .correlation_power = 0.5},
          .hidden = hidden,
          .activation = Activation::kGelu,
          .steps = 6,
          .schedule = {.peak = 1e-3},
          .batch_pairs = 30,
          .batch_unpaired = 37,
          .divergence = {.student = {.iterations = 25}, .teacher = {.iterations = 25}},
          .divergence_weight = 3.0,
          .math = ProductMath::kFp32,
          .seed = 5};
}

// Losses are sums over float32 logits; 1e-5 allows about a hundred roundings.
void expect_same_losses(const Device& device, const TrainOptions& options) {
  const Data data;
  Context cpu, cuda(device);
  Trainer expected(cpu, data.views(), options), actual(cuda, data.views(), options);
  for (int64_t step = 0; step < options.steps; ++step) {
    expected.train_step();
    actual.train_step();
    const StepMetrics e = expected.metrics(), a = actual.metrics();
    EXPECT_WITHIN(std::abs(*a.siglip / *e.siglip - 1), 1e-5) << "step " << step;
    EXPECT_WITHIN(std::abs(a.divergence->value / e.divergence->value - 1), 1e-5) << "step " << step;
    EXPECT_WITHIN(std::abs(a.logit_scale / e.logit_scale - 1), 1e-5) << "step " << step;
  }
  EXPECT_NEAR(actual.validate().mean_r1, expected.validate().mean_r1, 1.0 / Data::kPairs + 1e-9);
  EXPECT_NEAR(actual.validate_teacher().mean_r1, expected.validate_teacher().mean_r1, 1e-9);
}

TEST_F(CudaAgreement, LinearHeadsFromTheTeacherReproduceTheLosses) {
  expect_same_losses(device, short_run({}));
}

TEST_F(CudaAgreement, MlpHeadsReproduceTheLosses) {
  TrainOptions options = short_run({23});
  options.dim = 19;
  options.optimizer.kind = OptimizerKind::kAdamW;
  expect_same_losses(device, options);
}

}  // namespace lib_cuda_agreement_test
}  // namespace sotalign
