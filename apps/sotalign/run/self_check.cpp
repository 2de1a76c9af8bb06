#include "run/self_check.h"

#include <cmath>

#include "sotalign/core/random.h"
#include "sotalign/ot/klot.h"
#include "sotalign/train/trainer.h"

namespace sotalign::app {

namespace {

// Computed in double precision by the formulas of ot/klot.h.
constexpr double kKlot = 0.14939460069, kGradient = -0.80197210;  // of row 0, column 3
// As found on the CPU. Other tests compare each part of a training step with loops in double precision.
constexpr double kLoss = 26.4339;
constexpr int64_t kSteps = 3;

void add_klot(Context& context, std::vector<SelfCheck>& checks) {
  constexpr int64_t kRows = 3, kCols = 4;
  const float student[] = {.1f, .9f, .2f, .0f, .3f, .1f, .8f, .2f, .7f, .0f, .1f, .6f};
  const float teacher[] = {.2f, .8f, .1f, .1f, .1f, .2f, .9f, .1f, .9f, .1f, .0f, .7f};
  const Matrix<float> k(context, student, kRows, kCols), k_teacher(context, teacher, kRows, kCols);
  for (const auto& [name, form] :
       {std::pair{"KLOT", SinkhornForm::kScaling}, {"KLOT, log domain", SinkhornForm::kLogDomain}}) {
    Matrix<float> gradient(context, kRows, kCols);
    Klot klot(context, kRows, kCols,
              KlotOptions{.epsilon_student = 0.05, .epsilon_teacher = 0.02}.with_both({.form = form}));
    klot.run(k, k_teacher, gradient);
    checks.push_back({name, kKlot, klot.result().value, 1e-4});
    checks.push_back({std::string(name) + ", gradient", kGradient,
                      static_cast<double>(gradient.download()[kCols - 1]), 1e-4});
  }
}

/// Rows that share a latent vector of three numbers with the rows of the same index of the other side, and
/// noise. All from integers, so that every machine has the same.
std::vector<float> rows(int64_t first, int64_t count, int64_t dim, const char* side) {
  const RandomStream latent(1, stream_id("latent")), map(1, stream_id(side)), noise(2, stream_id(side));
  const auto uniform = [](const RandomStream& random, int64_t index) {
    return static_cast<double>(random.bits64(static_cast<uint64_t>(index)) >> 40) * 0x1p-23 - 1;
  };
  std::vector<float> result;
  for (int64_t i = first; i < first + count; ++i)
    for (int64_t j = 0; j < dim; ++j) {
      double value = 0.3 * uniform(noise, i * dim + j);
      for (int64_t l = 0; l < 3; ++l) value += uniform(latent, 3 * i + l) * uniform(map, 3 * j + l);
      result.push_back(static_cast<float>(value));
    }
  return result;
}

void add_training(Context& context, std::vector<SelfCheck>& checks) {
  constexpr int64_t kPairs = 20, kImages = 48, kTexts = 40, kImageDim = 8, kTextDim = 6;
  const std::vector<float> pair_images = rows(0, kPairs, kImageDim, "image"),
                           pair_texts = rows(0, kPairs, kTextDim, "text"),
                           images = rows(kPairs, kImages, kImageDim, "image"),
                           texts = rows(kPairs + kImages, kTexts, kTextDim, "text");
  const TrainOptions options{
      .teacher = {.ridge = 0.01, .correlation_power = 0.5}, .steps = kSteps, .math = ProductMath::kFp32};
  Trainer trainer(context,
                  {.pair_images = {pair_images.data(), kPairs, kImageDim},
                   .pair_texts = {pair_texts.data(), kPairs, kTextDim},
                   .images = {images.data(), kImages, kImageDim},
                   .texts = {texts.data(), kTexts, kTextDim}},
                  options);
  while (!trainer.finished()) trainer.train_step();
  checks.push_back({"loss of training", kLoss, trainer.metrics().loss, 1e-3});
}

}  // namespace

bool SelfCheck::passed() const { return std::abs(found - expected) <= tolerance * std::abs(expected); }

std::vector<SelfCheck> self_check(Context& context) {
  std::vector<SelfCheck> checks;
  add_klot(context, checks);
  add_training(context, checks);
  return checks;
}

}  // namespace sotalign::app
