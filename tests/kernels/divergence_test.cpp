// The InfoNCE and CKA kernels on matrices with gaps, against loops in double precision.
#include <gtest/gtest.h>

#include "kernels/cka.h"
#include "kernels/infonce.h"
#include "kernels/log_sum_exp.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/divergence_oracle.h"
#include "support/strided.h"

namespace sotalign {
namespace kernels_divergence_test {

using namespace testing;

const std::vector<std::pair<int64_t, int64_t>> kShapes = {{1, 1},   {1, 2},     {2, 1},   {31, 33}, {33, 31},
                                                          {32, 32}, {127, 129}, {7, 515}, {300, 5}};

std::string name_of(int64_t n, int64_t m, Layout layout) {
  return std::to_string(n) + " x " + std::to_string(m) + ", offset " + std::to_string(layout.offset);
}

/// log sum exp(c k) over `count` entries, `step` apart, starting at `first`.
double log_sum(const std::vector<float>& k, double c, int64_t first, int64_t step, int64_t count) {
  double top = -1e300, sum = 0;
  for (int64_t i = 0; i < count; ++i) top = std::max(top, c * double(k[first + i * step]));
  for (int64_t i = 0; i < count; ++i) sum += std::exp(c * double(k[first + i * step]) - top);
  return top + std::log(sum);
}

class DivergenceKernelTest : public DeviceTest {
 protected:
  // Runs op with exactly the scratch memory it asks for, filled with garbage, and checks that it writes no
  // further.
  template <class Args, class Size, class Op>
  void run(Args args, Size size, Op op) {
    const size_t bytes = size(context.queue(), args);
    std::vector<unsigned char> garbage(bytes + 256, 0x42);
    Buffer<unsigned char> scratch(context, garbage);
    args.scratch = scratch.data();
    op(context.queue(), args);
    garbage = scratch.download();
    EXPECT_EQ(std::count(garbage.begin() + static_cast<int64_t>(bytes), garbage.end(), 0x42), 256);
  }
  struct Sums {
    Buffer<double> row, column;
  };
  Sums log_sum_exp(const Strided<float>& k, int64_t n, int64_t m, float c) {
    // One more entry of each, which must stay unchanged.
    Sums sums{{context, std::vector<double>(n + 1, -7.0)}, {context, std::vector<double>(m + 1, -7.0)}};
    run(kernels::LogSumExp{.k = k.data(),
                           .stride = k.stride(),
                           .rows = n,
                           .cols = m,
                           .c = c,
                           .row = sums.row.data(),
                           .column = sums.column.data()},
        kernels::log_sum_exp_scratch, kernels::log_sum_exp);
    return sums;
  }
};
SOTALIGN_ON_EVERY_DEVICE(DivergenceKernelTest);

TEST_P(DivergenceKernelTest, LogSumExpAgreesWithTheOracle) {
  for (const auto& [n, m] : kShapes)
    for (const Layout layout : layouts(m))
      for (const float c : {16.0f, 1024.0f}) {
        SCOPED_TRACE(name_of(n, m, layout));
        auto k = random_uniform(n * m, 1 + n);
        k.back() = 50;  // far above all others
        const Strided<float> dk(context, k, n, m, layout);
        const Sums sums = log_sum_exp(dk, n, m, c);
        std::vector<double> rows(n), columns(m);
        for (int64_t i = 0; i < n; ++i) rows[i] = log_sum(k, c, i * m, 1, m);
        for (int64_t j = 0; j < m; ++j) columns[j] = log_sum(k, c, j, m, n);
        rows.push_back(-7), columns.push_back(-7);
        // Relative to sums of at least 1; the logarithms reach thousands.
        EXPECT_WITHIN(max_difference(sums.row.download(), rows), 1e-6);
        EXPECT_WITHIN(max_difference(sums.column.download(), columns), 1e-6);
      }
}

TEST_P(DivergenceKernelTest, InfoNceAgreesWithTheOracle) {
  for (const auto& [n, m] : kShapes)
    for (const Layout layout : layouts(m)) {
      SCOPED_TRACE(name_of(n, m, layout));
      const auto k = random_uniform(n * m, 10 + n), t = random_uniform(n * m, 20 + m);
      const Strided<float> dk(context, k, n, m, layout), dt(context, t, n, m, wider(layout));
      const Sums student = log_sum_exp(dk, n, m, 512.0f), teacher = log_sum_exp(dt, n, m, 1024.0f);
      Strided<float> gradient(context, n, m, wider(wider(layout)));
      Buffer<double> value(context, std::vector<double>{-7, -7});
      kernels::InfoNce args{
          .student = {dk.data(), dk.stride(), 512.0f, student.row.data(), student.column.data()},
          .teacher = {dt.data(), dt.stride(), 1024.0f, teacher.row.data(), teacher.column.data()},
          .rows = n,
          .cols = m,
          .gradient = gradient.data(),
          .gradient_stride = gradient.stride(),
          .gradient_scale = 0.5f,
          .value = value.data()};
      run(args, kernels::infonce_scratch, kernels::infonce);
      DivergenceOracle expected = infonce_oracle(k, t, n, m, 1.0 / 512, 1.0 / 1024);
      for (double& g : expected.gradient) g *= 0.5;
      EXPECT_WITHIN(relative_l1(gradient.download(), expected.gradient, 1.0), 2e-6);
      const std::vector<double> values = value.download();
      EXPECT_WITHIN(std::abs(values[0] - expected.value), 1e-7 * std::max(1.0, expected.value));
      EXPECT_EQ(values[1], -7);

      const std::vector<float> before = gradient.download();
      args.gradient = nullptr;  // value only
      run(args, kernels::infonce_scratch, kernels::infonce);
      EXPECT_EQ(value.download(), values);
      EXPECT_EQ(gradient.download(), before);
    }
}

TEST_P(DivergenceKernelTest, CkaAgreesWithTheOracle) {
  const auto check = [&](int64_t n, int64_t m, Layout layout, Layout teacher_layout, Layout gradient_layout) {
    SCOPED_TRACE(name_of(n, m, layout));
    const auto k = random_uniform(n * m, 10 + n), t = random_uniform(n * m, 20 + m);
    const Strided<float> dk(context, k, n, m, layout), dt(context, t, n, m, teacher_layout);
    Strided<float> gradient(context, n, m, gradient_layout);
    Buffer<double> value(context, std::vector<double>{-7, -7});
    kernels::Cka args{.student = dk.data(),
                      .student_stride = dk.stride(),
                      .teacher = dt.data(),
                      .teacher_stride = dt.stride(),
                      .rows = n,
                      .cols = m,
                      .gradient = gradient.data(),
                      .gradient_stride = gradient.stride(),
                      .gradient_scale = 0.5f,
                      .value = value.data()};
    run(args, kernels::cka_scratch, kernels::cka);
    DivergenceOracle expected{.value = 1, .gradient = std::vector<double>(k.size())};
    if (n > 1 && m > 1) expected = cka_oracle(k, t, n, m);
    for (double& g : expected.gradient) g *= 0.5;
    EXPECT_WITHIN(relative_l1(gradient.download(), expected.gradient), 2e-6);
    const std::vector<double> values = value.download();
    EXPECT_WITHIN(std::abs(values[0] - expected.value), 1e-10);
    EXPECT_EQ(values[1], -7);

    const std::vector<float> before = gradient.download();
    args.gradient = nullptr;  // value only
    run(args, kernels::cka_scratch, kernels::cka);
    EXPECT_EQ(value.download(), values);
    EXPECT_EQ(gradient.download(), before);
  };
  for (const auto& [n, m] : kShapes)
    for (const Layout layout : layouts(m)) check(n, m, layout, wider(layout), wider(wider(layout)));
  // Each matrix in turn is the only one with unaligned rows.
  const Layout aligned = layouts(32)[1], unaligned = layouts(32)[2];
  check(9, 32, unaligned, aligned, aligned);
  check(9, 32, aligned, unaligned, aligned);
  check(9, 32, aligned, aligned, unaligned);
}

}  // namespace kernels_divergence_test
}  // namespace sotalign
