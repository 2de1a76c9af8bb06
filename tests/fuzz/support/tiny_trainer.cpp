#include "support/tiny_trainer.h"

#include <cmath>
#include <vector>

namespace sotalign::fuzz {

Trainer tiny_trainer(Context& context, OptimizerKind optimizer) {
  constexpr int64_t kRows = 6, kImageDim = 3, kTextDim = 2;
  std::vector<float> images, texts;
  for (int64_t i = 0; i < kRows * kImageDim; ++i) images.push_back(std::sin(static_cast<float>(1 + i * i)));
  for (int64_t i = 0; i < kRows * kTextDim; ++i) texts.push_back(std::cos(static_cast<float>(2 + i * i)));
  const ConstMatrixF x(images.data(), kRows, kImageDim), y(texts.data(), kRows, kTextDim);
  TrainOptions options;
  options.teacher.kind = TeacherKind::kCca;
  options.steps = kTinySteps;
  options.optimizer.kind = optimizer;
  options.initialization = Initialization::kRandom;
  options.dim = 2;
  options.divergence.student.iterations = options.divergence.teacher.iterations = 5;
  return Trainer(context,
                 {.pair_images = x,
                  .pair_texts = y,
                  .images = x,
                  .texts = y,
                  .validation_images = x,
                  .validation_texts = y},
                 options);
}

}  // namespace sotalign::fuzz
