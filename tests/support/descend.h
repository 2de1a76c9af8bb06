// A few steps of gradient descent with KLOT, for tests of what runs around them.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/ot/klot.h"
#include "support/compare.h"

namespace sotalign::testing {

struct Steps {
  std::vector<double> values;
  std::vector<float> gradient;
  bool operator==(const Steps&) const = default;
};

/// Gradient descent on the student's affinity.
inline Steps descend(Context& context, int count = 3) {
  constexpr int64_t kRows = 40, kCols = 33;
  Steps steps;
  std::vector<float> k = random_uniform(kRows * kCols, 1);
  const std::vector<float> t = random_uniform(kRows * kCols, 2);
  const KlotOptions options{.epsilon_student = 0.07, .epsilon_teacher = 0.03};
  Klot klot(context, kRows, kCols, options.with_both({.iterations = 12}));
  Matrix<float> student(context, kRows, kCols, "student"), gradient(context, kRows, kCols, "gradient");
  const Matrix<float> teacher(context, t.data(), kRows, kCols, "teacher");
  int64_t allocations = 0;
  for (int step = 0; step < count; ++step) {
    student.upload(k.data());
    klot.run(student, teacher, gradient);
    steps.values.push_back(klot.result().value);
    steps.gradient = gradient.download();
    for (size_t i = 0; i < k.size(); ++i) k[i] -= 0.5f * steps.gradient[i];
    if (step == 0) allocations = context.allocations();
  }
  EXPECT_EQ(context.allocations(), allocations) << "steps after the first allocate nothing";
  return steps;
}

}  // namespace sotalign::testing
