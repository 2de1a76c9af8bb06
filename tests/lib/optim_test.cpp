// Lion and AdamW against golden vectors and loops in double precision.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/adamw.h"
#include "kernels/lion.h"
#include "sotalign/core/error.h"
#include "sotalign/optim/optimizer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/npy.h"
#include "support/test_files.h"

namespace sotalign {
namespace lib_optim_test {

using testing::max_difference;
using testing::random_normal;

constexpr double kRate = 0.01;

OptimizerOptions options_of(OptimizerKind kind) { return {.kind = kind, .weight_decay = 0.1}; }

/// The weights after one step per row of gradients.
std::vector<double> oracle(OptimizerKind kind, const std::vector<float>& start,
                           const std::vector<std::vector<float>>& gradients, size_t decayed) {
  std::vector<double> w(start.begin(), start.end()), m(w.size()), v(w.size());
  for (size_t step = 1; step <= gradients.size(); ++step)
    for (size_t i = 0; i < w.size(); ++i) {
      const double g = gradients[step - 1][i], decay = i < decayed ? 0.1 : 0.0;
      if (kind == OptimizerKind::kLion) {
        const double c = 0.9 * m[i] + 0.1 * g;
        w[i] -= kRate * ((c > 0) - (c < 0) + decay * w[i]);
        m[i] = 0.99 * m[i] + 0.01 * g;
      } else {
        w[i] -= kRate * decay * w[i];
        m[i] = 0.9 * m[i] + 0.1 * g;
        v[i] = 0.999 * v[i] + 0.001 * g * g;
        w[i] -= kRate * m[i] / (1 - std::pow(0.9, double(step))) /
                (std::sqrt(v[i] / (1 - std::pow(0.999, double(step)))) + 1e-8);
      }
    }
  return w;
}

std::vector<float> run(Context& context, const OptimizerOptions& options, const std::vector<float>& start,
                       const std::vector<std::vector<float>>& gradients, int64_t decayed) {
  const int64_t count = int64_t(start.size());
  Buffer<float> weights(context, start);
  Optimizer optimizer(context, count, options);
  for (const std::vector<float>& g : gradients)
    optimizer.step(weights.data(), Buffer<float>(context, g).data(), count, decayed, kRate);
  return weights.download();
}

std::vector<std::vector<float>> random_gradients(int64_t steps, int64_t count, uint64_t seed) {
  std::vector<std::vector<float>> gradients;
  for (int64_t t = 0; t < steps; ++t)
    gradients.push_back(random_normal(count, seed + uint64_t(t), t % 2 ? 1e-3f : 1.0f));
  return gradients;
}

std::vector<float> part_of(const std::vector<float>& all, int64_t first, int64_t count) {
  return {all.begin() + first, all.begin() + first + count};
}

class OptimizerTest : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(OptimizerTest);

constexpr OptimizerKind kKinds[] = {OptimizerKind::kLion, OptimizerKind::kAdamW};

TEST_P(OptimizerTest, GoldenCase) {
  const std::string folder = testing::test_files() + "/golden/";
  const nlohmann::json manifest = nlohmann::json::parse(std::ifstream(folder + "manifest.json"));
  for (const auto& entry : manifest) {
    if (entry["case"] != "optim") continue;
    const auto read = [&](const char* what) {
      return testing::read_golden(folder + "optim." + what + ".npy");
    };
    const std::vector<float> start = read("p0").as_float(), flat = read("grads").as_float();
    const size_t count = start.size();
    std::vector<std::vector<float>> gradients;
    for (size_t t = 0; t < entry["steps"]; ++t)
      gradients.emplace_back(flat.begin() + ptrdiff_t(t * count), flat.begin() + ptrdiff_t((t + 1) * count));
    for (const OptimizerKind kind : kKinds) {
      const bool lion = kind == OptimizerKind::kLion;
      const auto& betas = entry[lion ? "lion_betas" : "adamw_betas"];
      ASSERT_EQ(entry["lr"], kRate);
      const OptimizerOptions options{.kind = kind,
                                     .beta1 = betas[0],
                                     .beta2 = betas[1],
                                     .epsilon = entry["adamw_eps"],
                                     .weight_decay = entry["weight_decay"]};
      const std::vector<double> expected = read(lion ? "lion" : "adamw").values;
      EXPECT_WITHIN(max_difference(run(context, options, start, gradients, int64_t(count)), expected), 1e-6);
    }
    return;
  }
  FAIL() << "no case optim";
}

TEST_P(OptimizerTest, AgreesWithLoopsAndDecaysOnlyThePrefix) {
  for (const int64_t count : {1, 2, 31, 32, 33, 127, 5001})
    for (const int64_t decayed : {int64_t{0}, count / 3, count})
      for (const OptimizerKind kind : kKinds) {
        const std::vector<float> start = random_normal(count, 1);
        const auto gradients = random_gradients(4, count, 2);
        EXPECT_WITHIN(max_difference(run(context, options_of(kind), start, gradients, decayed),
                                     oracle(kind, start, gradients, size_t(decayed))),
                      1e-6)
            << count << ", " << decayed;
      }
}

TEST_P(OptimizerTest, ZeroGradientsOnlyDecay) {
  for (const OptimizerKind kind : kKinds) {
    const std::vector<float> w = run(context, options_of(kind), {1.0f, 1.0f}, {{0.0f, 0.0f}}, 1);
    EXPECT_FLOAT_EQ(w[0], 0.999f);
    EXPECT_EQ(w[1], 1.0f);
  }
}

TEST_P(OptimizerTest, NanGradientIsNotSilentlyDropped) {
  for (const OptimizerKind kind : kKinds) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> w = run(context, options_of(kind), {1.0f, 1.0f}, {{nan, 1.0f}}, 2);
    EXPECT_TRUE(std::isnan(w[0]));
    EXPECT_TRUE(std::isfinite(w[1]));
  }
}

TEST_P(OptimizerTest, RangesHaveRatesOfTheirOwn) {
  const int64_t count = 77;
  const std::vector<float> start = random_normal(count, 3);
  const auto gradients = random_gradients(4, count, 4);
  // Contiguous, except that no range contains entries 60 to 69.
  const std::vector<ParameterRange> ranges = {
      {.first = 0, .count = 20},
      {.first = 20, .count = 13, .rate = 0.5},
      {.first = 33, .count = 27, .decay = false, .rate = 2.0},
      {.first = 70, .count = 7, .rate = 0.0},
  };
  for (const OptimizerKind kind : kKinds) {
    Buffer<float> weights(context, start);
    Optimizer optimizer(context, count, options_of(kind));
    for (const std::vector<float>& g : gradients)
      optimizer.step(weights.data(), Buffer<float>(context, g).data(), ranges, kRate);
    EXPECT_EQ(optimizer.steps(), 4);
    const std::vector<float> moved = weights.download();
    std::vector<float> expected = start;
    for (const ParameterRange& range : ranges) {
      // Each range alone, at its own rate.
      const auto part = [&](const std::vector<float>& all) { return part_of(all, range.first, range.count); };
      Buffer<float> own(context, part(start));
      Optimizer single(context, range.count, options_of(kind));
      for (const std::vector<float>& g : gradients)
        single.step(own.data(), Buffer<float>(context, part(g)).data(), range.count,
                    range.decay ? range.count : 0, kRate * range.rate);
      const std::vector<float> values = own.download();
      std::copy(values.begin(), values.end(), expected.begin() + range.first);
    }
    EXPECT_EQ(moved, expected);
    EXPECT_EQ(part_of(moved, 60, 17), part_of(start, 60, 17));
    EXPECT_NE(part_of(moved, 20, 13),
              part_of(run(context, options_of(kind), start, gradients, count), 20, 13));
  }
}

TEST_P(OptimizerTest, StateResumesBitForBit) {
  const int64_t count = 77;
  const std::vector<float> start = random_normal(count, 3);
  const auto gradients = random_gradients(6, count, 4);
  for (const OptimizerKind kind : kKinds) {
    Buffer<float> weights(context, start);
    Optimizer first(context, count, options_of(kind));
    for (size_t t = 0; t < 3; ++t)
      first.step(weights.data(), Buffer<float>(context, gradients[t]).data(), count, 50, kRate);

    Optimizer second(context, count, options_of(kind));
    second.set_steps(first.steps());
    EXPECT_EQ(second.steps(), 3);
    const auto saved = first.state(), restored = second.state();
    ASSERT_EQ(saved.size(), kind == OptimizerKind::kLion ? 1u : 2u);
    for (size_t s = 0; s < saved.size(); ++s) {
      EXPECT_EQ(saved[s].name, restored[s].name);
      restored[s].values->upload(saved[s].values->download().data());
    }
    for (size_t t = 3; t < 6; ++t)
      second.step(weights.data(), Buffer<float>(context, gradients[t]).data(), count, 50, kRate);
    EXPECT_EQ(weights.download(), run(context, options_of(kind), start, gradients, 50));
  }
}

TEST_P(OptimizerTest, BitwiseTheSameForEveryThreadCountAndWithoutAllocations) {
  const int64_t count = 10'007;
  const std::vector<float> start = random_normal(count, 5);
  const auto gradients = random_gradients(3, count, 6);
  Context one(GetParam(), 1), three(GetParam(), 3);
  for (const OptimizerKind kind : kKinds) {
    EXPECT_EQ(run(one, options_of(kind), start, gradients, 5000),
              run(three, options_of(kind), start, gradients, 5000));
    Buffer<float> weights(context, start), gradient(context, gradients[0]);
    Optimizer optimizer(context, count, options_of(kind));
    const int64_t before = context.allocations();
    optimizer.step(weights.data(), gradient.data(), count, count, kRate);
    EXPECT_EQ(context.allocations(), before);
  }
}

/// Parameters, gradients and state whose signs depend on the last bit: in a third of the entries the two
/// terms of Lion's c cancel up to rounding; in another third the values are zero, tiny, huge or not finite.
struct HostileStep {
  static constexpr float kGuard = 2.0f;  // first and last entry
  explicit HostileStep(int64_t count)
      : weights(random_normal(count, 7)),
        gradients(random_normal(count, 8)),
        momentum(random_normal(count, 9)) {
    const float odd[] = {0.0f,
                         -0.0f,
                         std::numeric_limits<float>::denorm_min(),
                         1e-30f,
                         -1e30f,
                         std::numeric_limits<float>::infinity(),
                         std::numeric_limits<float>::quiet_NaN()};
    for (size_t i = 0; i < weights.size(); ++i) {
      if (i % 3 == 0) momentum[i] = -(0.1f * gradients[i]) / 0.9f;
      if (i % 3 == 1) {
        weights[i] = odd[i % std::size(odd)];
        gradients[i] = odd[i / 3 % std::size(odd)];
        momentum[i] = odd[i / 21 % std::size(odd)];
      }
      square_mean.push_back(momentum[i] * momentum[i]);
    }
    for (std::vector<float>* values : {&weights, &gradients, &momentum, &square_mean})
      values->front() = values->back() = kGuard;
  }
  std::vector<float> weights, gradients, momentum, square_mean;
};

/// Compares bits, but treats all NaNs as equal: their bits depend on the processor.
void expect_same_bits(std::vector<float> actual, std::vector<float> expected) {
  for (std::vector<float>* values : {&actual, &expected})
    for (float& value : *values)
      if (std::isnan(value)) value = std::numeric_limits<float>::quiet_NaN();
  ASSERT_EQ(actual.size(), expected.size());
  EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0);
}

TEST_P(OptimizerTest, KernelsRoundAsOnTheCpuAndLeaveTheRestAlone) {
  for (const int64_t count : {1, 255, 1023, 1025, 5001})
    for (const int64_t decayed : {int64_t{0}, count / 2, count}) {
      SCOPED_TRACE(std::to_string(count) + ", " + std::to_string(decayed));
      // The arrays have one more entry at each end, so that the range is aligned to 4 bytes only.
      HostileStep expected(count + 2);
      Buffer<float> weights(context, expected.weights), gradients(context, expected.gradients),
          momentum(context, expected.momentum), square_mean(context, expected.square_mean);
      const auto steps = [&](const kernels::Queue& queue, float* w, const float* g, float* m, float* v) {
        const kernels::Lion lion{.weights = w + 1,
                                 .gradients = g + 1,
                                 .momentum = m + 1,
                                 .count = count,
                                 .decayed_count = decayed,
                                 .learning_rate = 1e-3,
                                 .beta1 = 0.9,
                                 .beta2 = 0.99,
                                 .weight_decay = 0.3};
        const kernels::AdamW adamw{.weights = w + 1,
                                   .gradients = g + 1,
                                   .mean = m + 1,
                                   .square_mean = v + 1,
                                   .count = count,
                                   .decayed_count = decayed,
                                   .step = 3,
                                   .learning_rate = 1e-3,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .epsilon = 1e-8,
                                   .weight_decay = 0.3};
        kernels::lion(queue, lion);
        kernels::adamw(queue, adamw);
      };
      steps(context.queue(), weights.data(), gradients.data(), momentum.data(), square_mean.data());
      steps({}, expected.weights.data(), expected.gradients.data(), expected.momentum.data(),
            expected.square_mean.data());
      expect_same_bits(weights.download(), expected.weights);
      expect_same_bits(momentum.download(), expected.momentum);
      expect_same_bits(square_mean.download(), expected.square_mean);
      for (const Buffer<float>* values : {&weights, &momentum, &square_mean}) {
        EXPECT_EQ(values->download().front(), HostileStep::kGuard);
        EXPECT_EQ(values->download().back(), HostileStep::kGuard);
      }
    }
}

TEST_P(OptimizerTest, LionMovesByTheSignAlone) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // 0.5 m + 0.5 g is 1e-20, -1e-20, 0 (cancelling terms), 0, and NaN.
  Buffer<float> weights(context, {1, 1, 1, 1, 1, 1}), gradients(context, {2e-20f, -2e-20f, 3, 0, nan, 5}),
      momentum(context, {0, 0, -3, -0.0f, 0, 0});
  kernels::lion(context.queue(), {.weights = weights.data(),
                                  .gradients = gradients.data(),
                                  .momentum = momentum.data(),
                                  .count = 5,
                                  .learning_rate = 0.25,
                                  .beta1 = 0.5,
                                  .beta2 = 0.5});
  std::vector<float> moved = weights.download();
  EXPECT_TRUE(std::isnan(moved[4]));
  moved[4] = 0;
  EXPECT_EQ(moved, (std::vector<float>{0.75f, 1.25f, 1, 1, 0, 1}));
}

TEST_P(OptimizerTest, ErrorsNameArgumentAndValues) {
  const auto message = [&](const auto& action) {
    try {
      action();
    } catch (const InvalidArgument& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const auto construct = [&](const OptimizerOptions& options) {
    return message([&] { Optimizer(context, 3, options); });
  };
  EXPECT_EQ(construct({.beta1 = 1.0}), "optimizer: beta1, expected 0 <= beta1 < 1, found 1");
  EXPECT_EQ(construct({.beta2 = -0.5}), "optimizer: beta2, expected 0 <= beta2 < 1, found -0.5");
  EXPECT_EQ(construct({.epsilon = 0}), "optimizer: epsilon, expected a positive number, found 0");
  EXPECT_EQ(construct({.weight_decay = std::nan("")}),
            "optimizer: weight_decay, expected 0 or a positive number, found nan");
  Optimizer optimizer(context, 3);
  EXPECT_EQ(message([&] { optimizer.step(nullptr, nullptr, 4, 0, kRate); }),
            "optimizer: count, expected 3 parameters, found 4");
  EXPECT_EQ(message([&] { optimizer.step(nullptr, nullptr, 3, 4, kRate); }),
            "optimizer: decayed_count, expected 0 to 3, found 4");
  EXPECT_EQ(message([&] { optimizer.step(nullptr, nullptr, 3, 0, -1.0); }),
            "optimizer: learning_rate, expected 0 or a positive number, found -1");
  const auto ranged = [&](const ParameterRange& range) {
    return message([&] { optimizer.step(nullptr, nullptr, {range}, kRate); });
  };
  EXPECT_EQ(ranged({.first = 2, .count = 2}),
            "optimizer: range, expected a part of 3 parameters, found 2 from 2 on");
  EXPECT_EQ(ranged({.count = 3, .rate = -1}), "optimizer: rate, expected 0 or a positive number, found -1");
  EXPECT_EQ(message([&] { optimizer.set_steps(-1); }), "optimizer: steps, expected at least 0, found -1");
  EXPECT_EQ(optimizer.steps(), 0);
}

}  // namespace lib_optim_test
}  // namespace sotalign
