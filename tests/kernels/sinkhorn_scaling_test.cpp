// An iteration of the scaling form against loops in double precision, at every width that has its own code
// path in the CUDA backend, and the decisions that it takes.
#include <gtest/gtest.h>

#include "support/sanitizers.h"
#include "support/scaling_form.h"

namespace sotalign {
namespace kernels_sinkhorn_scaling_test {

using kernels::density_stride;
using kernels::DensityType;
using kernels::SinkhornState;
using testing::bytes_of;
using testing::expect_same;
using testing::kNan;
using testing::kTypes;
using testing::max_difference;
using testing::random_uniform;
using testing::ScalingProblems;
using testing::set_scaling;

// The result of an iteration in double precision.
struct Expected {
  std::vector<double> s, t;
  double row_error = 0;
};
Expected scaled(ScalingProblems& p, int64_t b, DensityType type, double relaxation = 1.0) {
  const float *s = p.s(b, p.states[b].current), *t = p.t(b, p.states[b].current);
  const auto relaxed = [&](double old, double plain) { return old * std::pow(plain / old, relaxation); };
  Expected x;
  std::vector<double> columns(p.m);
  for (int64_t i = 0; i < p.n; ++i) {
    const double a = p.row_mass[b * p.n + i];
    double sum = 0;
    for (int64_t j = 0; j < p.m; ++j) sum += double(p.entry(b, i, j, type)) * double(t[j]);
    x.s.push_back(a > 0 ? relaxed(s[i], 1.0 / sum) : double(s[i]));
    if (a > 0) x.row_error += a * std::abs(double(s[i]) * sum - 1.0);
    for (int64_t j = 0; j < p.m; ++j) columns[j] += a * x.s[i] * double(p.entry(b, i, j, type));
  }
  for (int64_t j = 0; j < p.m; ++j) {
    const double mass = p.column_mass[b * p.m + j];
    x.t.push_back(mass > 0 ? relaxed(t[j], mass / columns[j]) : double(t[j]));
  }
  return x;
}
// max |a / b - 1|
double relative_difference(const float* a, const std::vector<double>& b) {
  std::vector<double> ratio;
  for (size_t i = 0; i < b.size(); ++i) ratio.push_back(double(a[i]) / b[i]);
  return max_difference(ratio, std::vector<double>(b.size(), 1.0));
}

class SinkhornScalingKernelTest : public testing::ScalingFormTest {};
SOTALIGN_ON_EVERY_DEVICE(SinkhornScalingKernelTest);

// Every width at which the CUDA backend changes its mapping of threads to columns, for either type, and
// neighbouring widths; rows that do not fill the last row group, and chunks of one group and of several.
TEST_P(SinkhornScalingKernelTest, IterationsAgreeWithTheOracleAtEveryWidth) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {
      {1, 1},     {2, 1},     {1, 2},      {257, 2},   {4300, 3},  {5, 31},    {33, 32},    {31, 33},
      {127, 63},  {9, 127},   {7, 512},    {6, 513},   {9, 1024},  {7, 1025},  {2300, 601}, {5, 2048},
      {6, 2049},  {3, 4096},  {7, 4097},   {9, 8192},  {5, 8193},  {5, 12300}, {3, 16384},  {7, 16385},
      {6, 24576}, {5, 24577}, {19, 24700}, {5, 32768}, {11, 32769}};
  for (const DensityType type : kTypes)
    for (const auto& [n, m] : shapes) {
      SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) +
                   (type == DensityType::kFloat ? " float" : " bfloat16"));
      ScalingProblems p(n, m);
      set_scaling(p, 0, type, 7 + static_cast<uint64_t>(n));
      p.states[0].iterations = 3;
      const ScalingProblems start = p;
      const Expected expected = scaled(p, 0, type);
      scale(p, type);
      const int old = start.states[0].current;
      ASSERT_EQ(p.states[0].current, 1 - old);
      EXPECT_WITHIN(relative_difference(p.s(0, 1 - old), expected.s), 1e-6);
      EXPECT_WITHIN(relative_difference(p.t(0, 1 - old), expected.t), 2e-6);
      EXPECT_WITHIN(std::abs(p.states[0].row_error / expected.row_error - 1.0), 1e-6);
      EXPECT_EQ(p.states[0].iterations, 4);
      EXPECT_EQ(p.states[0].use_log_domain, 0);
      EXPECT_EQ(p.states[0].active, 1);
      EXPECT_EQ(p.states[0].absorb, 0);
      EXPECT_EQ(p.states[0].coarse, start.states[0].coarse);
      if (!testing::under_sanitizer()) {  // the other builds repeat
        ScalingProblems again = start;
        scale(again, type);
        expect_same(again, p);
      }
      // Only the new factors have changed.
      ScalingProblems rest = p;
      rest.states = start.states;
      std::fill_n(rest.s(0, 1 - old), n, kNan);
      std::fill_n(rest.t(0, 1 - old), m, kNan);
      expect_same(rest, start);
    }
}

// A block processes several row groups, which exchange their sums through the same memory. Small, for
// ThreadSanitizer: thread orders in which one warp is that far ahead of another are rare.
TEST_P(SinkhornScalingKernelTest, GroupsOfRowsFollowOneAnother) {
  const int64_t n = 4, m = 4100;  // CUDA: one block, groups of one row (float) or two
  for (const DensityType type : kTypes) {
    ScalingProblems p(n, m);
    set_scaling(p, 0, type, 17);
    const Expected expected = scaled(p, 0, type);
    scale(p, type);
    const int current = p.states[0].current;
    EXPECT_WITHIN(relative_difference(p.s(0, current), expected.s), 1e-6);
    EXPECT_WITHIN(relative_difference(p.t(0, current), expected.t), 2e-6);
  }
}

// CUDA: a block writes the column sums of whole packets, so the rest of a chunk's padding is never written
// and must not be read. Here it is the end of the scratch memory, and does not exist: under AddressSanitizer
// and compute-sanitizer a read of it is an error.
TEST_P(SinkhornScalingKernelTest, PaddingOfColumnSumsIsNotRead) {
  if (context.device().kind != DeviceKind::kCuda) GTEST_SKIP() << "the CPU backend writes the padding";
  for (const DensityType type : kTypes)
    for (const int64_t m : {33, 1, 600, 32769}) {
      SCOPED_TRACE(std::to_string(m) + (type == DensityType::kFloat ? " float" : " bfloat16"));
      ScalingProblems p(3, m);  // one chunk
      set_scaling(p, 0, type, 5);
      const Expected expected = scaled(p, 0, type);
      scale_without_end(p, type, (p.width - (m + 7) / 8 * 8) * static_cast<int64_t>(sizeof(float)));
      const int current = p.states[0].current;
      EXPECT_WITHIN(relative_difference(p.s(0, current), expected.s), 1e-6);
      EXPECT_WITHIN(relative_difference(p.t(0, current), expected.t), 2e-6);
    }
}

TEST_P(SinkhornScalingKernelTest, IterationsCanBeRelaxed) {
  for (const DensityType type : kTypes)
    for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{31, 33}, {5, 700}, {3, 32771}})
      for (const double relaxation : {0.5, 1.7}) {
        SCOPED_TRACE(std::to_string(m) + " at " + std::to_string(relaxation));
        ScalingProblems p(n, m);
        set_scaling(p, 0, type, 31);
        const Expected expected = scaled(p, 0, type, relaxation);
        scale(p, type, -1.0, relaxation);
        const int current = p.states[0].current;
        EXPECT_WITHIN(relative_difference(p.s(0, current), expected.s), 3e-6);
        EXPECT_WITHIN(relative_difference(p.t(0, current), expected.t), 5e-6);
        EXPECT_WITHIN(std::abs(p.states[0].row_error / expected.row_error - 1.0), 1e-6);
      }
}

// Every outcome of an iteration, narrow and wide, alone and in a batch, with bitwise identical results.
TEST_P(SinkhornScalingKernelTest, IterationsDecideAsTheyShould) {
  enum {
    kUsual,
    kConverged,
    kHighRow,
    kLowRow,
    kEmptyRow,
    kHighColumn,
    kLowColumn,
    kDriftedRow,
    kDriftedColumn,
    kAsked,
    kInactive,
    kWaiting,
    kOtherType,
    kCount
  };
  for (const DensityType type : kTypes)
    for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{70, 67}, {6, 1030}, {3, 32771}}) {
      SCOPED_TRACE(std::to_string(m) + (type == DensityType::kFloat ? " float" : " bfloat16"));
      ScalingProblems p(n, m, kCount);
      for (int64_t b = 0; b < kCount; ++b) set_scaling(p, b, type, 50 + 10 * static_cast<uint64_t>(b));
      const auto multiply_row = [&](int64_t b, int64_t i, float by) {
        for (int64_t j = 0; j < m; ++j) p.set_entry(b, i, j, type, by * p.entry(b, i, j, type));
      };
      const auto multiply_column = [&](int64_t b, int64_t j, float by) {
        for (int64_t i = 0; i < n; ++i) p.set_entry(b, i, j, type, by * p.entry(b, i, j, type));
      };
      {  // rows that sum to 1
        const Expected x = scaled(p, kConverged, type);
        for (int64_t i = 0; i < n; ++i)
          p.s(kConverged, p.states[kConverged].current)[i] = static_cast<float>(x.s[i]);
      }
      multiply_row(kHighRow, n - 1, 1e13f);
      multiply_row(kLowRow, 0, 1e-14f);
      multiply_row(kEmptyRow, n - 1, 0.0f);
      // Only the column is high: its factor compensates for it in the rows.
      multiply_column(kHighColumn, m - 1, 1e18f);
      p.t(kHighColumn, p.states[kHighColumn].current)[m - 1] = 1e-18f;
      multiply_column(kLowColumn, 0, 1e-18f);
      multiply_row(kDriftedRow, 0, 1e-6f);
      multiply_column(kDriftedColumn, m - 1, 1e-6f);
      p.states[kAsked].absorb = 1;  // waits for the next density
      p.states[kInactive].active = 0;
      p.states[kWaiting].use_log_domain = 1;
      p.states[kOtherType].coarse = type == DensityType::kFloat;
      for (SinkhornState& s : p.states) s.iterations = 7, s.column_error = 0.25, s.row_error = 0.5;
      const ScalingProblems start = p;
      const double tolerance = 2e-6;
      scale(p, type, tolerance);

      const auto is_coarse = type == DensityType::kBfloat16;
      for (int64_t b = 0; b < kCount; ++b) {
        SCOPED_TRACE(b);
        ScalingProblems single = start.one(b);
        scale(single, type, tolerance);
        expect_same(single, p.one(b));
        const SinkhornState &now = p.states[b], &before = start.states[b];
        if (b >= kInactive) {
          expect_same(p.one(b), start.one(b));
          continue;
        }
        const bool bad = b >= kHighRow && b <= kLowColumn, converged = b == kConverged;
        // A coarse density that has converged requests a fine one and continues.
        const bool ends = converged && !is_coarse;
        EXPECT_EQ(now.active, !ends);
        EXPECT_EQ(now.coarse, is_coarse ? 1 + converged : 0);
        EXPECT_EQ(now.use_log_domain, bad);
        EXPECT_EQ(now.iterations, ends ? 7 : 8);
        EXPECT_EQ(now.current, bad || ends ? before.current : 1 - before.current);
        EXPECT_EQ(now.absorb, b == kDriftedRow || b == kDriftedColumn);
        EXPECT_EQ(now.column_error, 0.25);
        const ScalingProblems a = p.one(b), z = start.one(b);
        EXPECT_EQ(bytes_of(a.row_scale.data() + before.current * n, n),
                  bytes_of(z.row_scale.data() + before.current * n, n));
        EXPECT_EQ(bytes_of(a.column_scale.data() + before.current * p.width, p.width),
                  bytes_of(z.column_scale.data() + before.current * p.width, p.width));
      }
      EXPECT_WITHIN(p.states[kConverged].row_error, tolerance);
      EXPECT_GT(p.states[kUsual].row_error, tolerance);
      EXPECT_FALSE(std::isnan(p.states[kEmptyRow].row_error));
    }
}

// Untrustworthy sums do not count as convergence, whatever the tolerance.
TEST_P(SinkhornScalingKernelTest, UntrustedRowsDoNotConverge) {
  for (const float by : {0.0f, 1e-30f, 1e30f, 1.5e38f}) {
    SCOPED_TRACE(by);
    ScalingProblems p(9, 140);
    set_scaling(p, 0, DensityType::kFloat, 3);
    for (int64_t j = 0; j < p.m; ++j) p.set_entry(0, 8, j, DensityType::kFloat, by);
    scale(p, DensityType::kFloat, 1e300);
    EXPECT_EQ(p.states[0].active, 1);
    EXPECT_EQ(p.states[0].use_log_domain, 1);
  }
}

}  // namespace kernels_sinkhorn_scaling_test
}  // namespace sotalign
