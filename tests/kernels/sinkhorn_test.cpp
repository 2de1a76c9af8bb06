// The operations of a Sinkhorn solve one by one: against loops in double precision at every width that has
// its own code path in the fused iteration, and the decisions that it takes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/sinkhorn_iteration.h"
#include "kernels/sinkhorn_plan.h"
#include "kernels/sinkhorn_update.h"
#include "sotalign/core/buffer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/sanitizers.h"

namespace sotalign {
namespace kernels_sinkhorn_test {

using kernels::SinkhornState;
using testing::EntropicOracle;
using testing::max_difference;
using testing::random_uniform;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kGuard = 77.0f;  // between rows and after the last; would show in an exponent

// Problems of one shape on the host. The row stride is three entries larger than the width.
struct Problems {
  int64_t batch, n, m, stride;
  std::vector<float> affinity, inverse_epsilon;
  std::vector<double> log_a, log_b, u, v;
  std::vector<SinkhornState> states;

  Problems(int64_t rows, int64_t cols, int64_t count = 1)
      : batch(count),
        n(rows),
        m(cols),
        stride(cols + 3),
        affinity(count * rows * stride, kGuard),
        inverse_epsilon(count),
        log_a(count * rows),
        log_b(count * cols),
        u(count * rows),
        v(count * cols),
        states(count) {}

  void set(int64_t b, const EntropicOracle& oracle, const std::vector<float>& k, double epsilon) {
    for (int64_t i = 0; i < n; ++i)
      std::copy_n(k.begin() + i * m, m, affinity.begin() + (b * n + i) * stride);
    inverse_epsilon[b] = static_cast<float>(1.0 / epsilon);
    for (int64_t i = 0; i < n; ++i) log_a[b * n + i] = std::log(oracle.a[i]);
    for (int64_t j = 0; j < m; ++j) log_b[b * m + j] = std::log(oracle.b[j]);
    std::copy(oracle.u.begin(), oracle.u.end(), u.begin() + b * n);
    std::copy(oracle.v.begin(), oracle.v.end(), v.begin() + b * m);
  }
  Problems one(int64_t b) const {
    Problems single(n, m);
    std::copy_n(affinity.begin() + b * n * stride, n * stride, single.affinity.begin());
    single.inverse_epsilon = {inverse_epsilon[b]};
    std::copy_n(log_a.begin() + b * n, n, single.log_a.begin());
    std::copy_n(log_b.begin() + b * m, m, single.log_b.begin());
    std::copy_n(u.begin() + b * n, n, single.u.begin());
    std::copy_n(v.begin() + b * m, m, single.v.begin());
    single.states = {states[b]};
    return single;
  }
};

// Weights that vary; one row and one column have none, unless they are too few.
EntropicOracle weighted(const std::vector<float>& k, int64_t n, int64_t m, double epsilon) {
  EntropicOracle oracle(k, n, m, epsilon);
  double sum_a = 0, sum_b = 0;
  for (int64_t i = 0; i < n; ++i) sum_a += oracle.a[i] = n > 2 && i == n / 2 ? 0.0 : 1.0 + double(i % 3);
  for (int64_t j = 0; j < m; ++j) sum_b += oracle.b[j] = m > 2 && j == m / 2 ? 0.0 : 1.0 + double(j % 5);
  for (double& a : oracle.a) a /= sum_a;
  for (double& b : oracle.b) b /= sum_b;
  for (int64_t j = 0; j < m; ++j) oracle.v[j] = oracle.b[j] > 0 ? 0.0 : -kInfinity;
  return oracle;
}
void update_rows(EntropicOracle& oracle) {
  for (int64_t i = 0; i < oracle.n; ++i) oracle.u[i] = oracle.row_update(i);
}
void update_columns(EntropicOracle& oracle) {
  for (int64_t j = 0; j < oracle.m; ++j) oracle.v[j] = oracle.column_update(j);
}
// max |a - b|; equal infinities count as 0.
double distance(std::vector<double> a, std::vector<double> b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (std::isinf(a[i]) && a[i] == b[i]) a[i] = b[i] = 0;
  return max_difference(a, b);
}
// The fields of a state, for comparison.
auto fields(const SinkhornState& s) {
  return std::tuple(s.active, s.use_log_domain, s.iterations, s.row_error, s.column_error);
}

class SinkhornKernelTest : public testing::DeviceTest {
 protected:
  // Copies of the problems on the device.
  struct OnDevice {
    Buffer<float> affinity, inverse_epsilon;
    Buffer<double> log_a, log_b, u, v;
    Buffer<SinkhornState> states;
    kernels::EntropicBatch batch;
    OnDevice(Context& context, const Problems& p)
        : affinity(context, p.affinity),
          inverse_epsilon(context, p.inverse_epsilon),
          log_a(context, p.log_a),
          log_b(context, p.log_b),
          u(context, p.u),
          v(context, p.v),
          states(context, p.states),
          batch{.affinity = affinity.data(),
                .batch = p.batch,
                .rows = p.n,
                .cols = p.m,
                .row_stride = p.stride,
                .problem_stride = p.n * p.stride,
                .inverse_epsilon = inverse_epsilon.data(),
                .log_a = log_a.data(),
                .log_b = log_b.data()} {}
    void download(Problems& p) const {
      p.affinity = affinity.download();
      p.u = u.download();
      p.v = v.download();
      p.states = states.download();
    }
  };

  // Runs op with exactly the scratch memory it asks for, filled with garbage (as a float, 48.6), and checks
  // that it writes no further.
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
  void iterate(Problems& p, double tolerance = -1.0, double relaxation = 1.0) {
    OnDevice d(context, p);
    run(kernels::SinkhornIteration{.problems = d.batch,
                                   .states = d.states.data(),
                                   .u = d.u.data(),
                                   .v = d.v.data(),
                                   .tolerance = tolerance,
                                   .relaxation = relaxation},
        kernels::sinkhorn_iteration_scratch, kernels::sinkhorn_iteration);
    d.download(p);
  }
  enum class Which { kWanted, kAll };
  void update_rows_of(Problems& p, Which which, double blend = 1.0) {
    OnDevice d(context, p);
    run(kernels::SinkhornRowUpdate{.problems = d.batch,
                                   .states = which == Which::kAll ? nullptr : d.states.data(),
                                   .v = d.v.data(),
                                   .u = d.u.data(),
                                   .blend = blend},
        kernels::sinkhorn_row_update_scratch, kernels::sinkhorn_row_update);
    d.download(p);
  }
  void update_columns_of(Problems& p, Which which) {
    OnDevice d(context, p);
    run(kernels::SinkhornColumnUpdate{.problems = d.batch,
                                      .states = which == Which::kAll ? nullptr : d.states.data(),
                                      .u = d.u.data(),
                                      .v = d.v.data()},
        kernels::sinkhorn_column_update_scratch, kernels::sinkhorn_column_update);
    d.download(p);
  }
  void marginals_of(Problems& p) {
    OnDevice d(context, p);
    run(
        kernels::SinkhornMarginals{
            .problems = d.batch, .u = d.u.data(), .v = d.v.data(), .states = d.states.data()},
        kernels::sinkhorn_marginals_scratch, kernels::sinkhorn_marginals);
    d.download(p);
  }
  enum class Into { kOther, kAffinity };
  // [batch, n, stride], including the gaps between rows.
  std::vector<float> plan_of(const Problems& p, Into into) {
    OnDevice d(context, p);
    Buffer<float> other(context, std::vector<float>(p.affinity.size(), kGuard));
    float* plan = into == Into::kOther ? other.data() : d.affinity.data();
    run(kernels::SinkhornPlan{.problems = d.batch, .u = d.u.data(), .v = d.v.data(), .plan = plan},
        kernels::sinkhorn_plan_scratch, kernels::sinkhorn_plan);
    return into == Into::kOther ? other.download() : d.affinity.download();
  }
};
SOTALIGN_ON_EVERY_DEVICE(SinkhornKernelTest);

// Every width at which the CUDA backend changes its mapping of threads to columns, and neighbouring widths;
// rows that do not fill the last row group, and chunks of one group and of several.
TEST_P(SinkhornKernelTest, IterationsAgreeWithTheOracleAtEveryWidth) {
  const std::vector<std::pair<int64_t, int64_t>> shapes = {
      {1, 1},     {2, 1},     {1, 2},       {257, 2},   {4300, 3},  {5, 31},    {33, 32},
      {31, 33},   {127, 127}, {9, 128},     {9, 129},   {7, 256},   {6, 257},   {5, 512},
      {5, 513},   {3, 1025},  {1100, 1025}, {5, 2049},  {3, 4096},  {7, 4097},  {5, 8193},
      {5, 11265}, {2, 16384}, {5, 16385},   {3, 22528}, {5, 22529}, {19, 22700}};
  for (const auto& [n, m] : shapes) {
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    const double epsilon = 0.1;
    const auto k = random_uniform(n * m, 1 + n);
    EntropicOracle oracle = weighted(k, n, m, epsilon);
    update_rows(oracle);
    update_columns(oracle);
    Problems p(n, m);
    p.set(0, oracle, k, epsilon);
    const Problems start = p;
    iterate(p);
    const double error = oracle.row_error();
    update_rows(oracle);
    update_columns(oracle);
    EXPECT_WITHIN(distance(p.u, oracle.u), 3e-6);
    EXPECT_WITHIN(distance(p.v, oracle.v), 3e-6);
    EXPECT_WITHIN(std::abs(p.states[0].row_error - error), 1e-6);
    EXPECT_EQ(p.states[0].iterations, 1);
    EXPECT_EQ(p.states[0].use_log_domain, 0);
    EXPECT_EQ(p.states[0].active, 1);
    EXPECT_EQ(p.affinity, start.affinity);
    if (testing::under_sanitizer()) continue;  // the other builds repeat
    Problems again = start;
    iterate(again);
    EXPECT_EQ(again.u, p.u);
    EXPECT_EQ(again.v, p.v);
    EXPECT_EQ(fields(again.states[0]), fields(p.states[0]));
  }
}

// Potentials reach 1000, where the spacing of float is 6e-5: relaxation must not amplify what float loses of
// them. Few rows, or their errors would average out in the columns.
TEST_P(SinkhornKernelTest, IterationsCanBeRelaxed) {
  const double epsilon = 1.0 / 128;
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {1, 40}, {2, 33}, {5, 600}, {31, 33}, {2, 4200}, {2, 22531}})
    for (const double relaxation : {0.5, 1.7}) {
      SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " at " + std::to_string(relaxation));
      const auto k = random_uniform(n * m, 8 + static_cast<uint64_t>(n), 8.0f, 8.02f);
      EntropicOracle oracle = weighted(k, n, m, epsilon);
      update_rows(oracle);
      update_columns(oracle);
      for (int64_t i = 0; i < n; ++i) oracle.u[i] += 0.5 * std::sin(double(i) + 1.0);
      for (int64_t j = 0; j < m; ++j) oracle.v[j] += 0.5 * std::cos(double(j) + 1.0);
      Problems p(n, m);
      p.set(0, oracle, k, epsilon);
      iterate(p, -1.0, relaxation);
      const double error = oracle.row_error();
      const auto relax = [&](double& old, double plain) {
        old = std::isinf(plain) ? plain : old + relaxation * (plain - old);
      };
      for (int64_t i = 0; i < n; ++i) relax(oracle.u[i], oracle.row_update(i));
      for (int64_t j = 0; j < m; ++j) relax(oracle.v[j], oracle.column_update(j));
      EXPECT_WITHIN(distance(p.u, oracle.u), 3e-6);
      EXPECT_WITHIN(distance(p.v, oracle.v), 3e-6);
      EXPECT_WITHIN(std::abs(p.states[0].row_error - error), 2e-6);
    }
}

// A column without mass pushes the width past the limit above which the CUDA backend reads K twice.
TEST_P(SinkhornKernelTest, OneReadAndTwoReadsAgree) {
  const int64_t n = 11, m = 22528;
  const auto k = random_uniform(n * m, 5);
  std::vector<float> wide_k;
  for (int64_t i = 0; i < n; ++i) {
    wide_k.insert(wide_k.end(), k.begin() + i * m, k.begin() + (i + 1) * m);
    wide_k.push_back(1.0f);
  }
  EntropicOracle oracle = EntropicOracle(k, n, m, 0.02).solve(1, false);
  EntropicOracle wide_oracle(wide_k, n, m + 1, 0.02);
  wide_oracle.u = oracle.u;
  wide_oracle.b = oracle.b, wide_oracle.b.push_back(0.0);
  wide_oracle.v = oracle.v, wide_oracle.v.push_back(-kInfinity);
  Problems narrow(n, m), wide(n, m + 1);
  narrow.set(0, oracle, k, 0.02);
  wide.set(0, wide_oracle, wide_k, 0.02);
  iterate(narrow);
  iterate(wide);
  EXPECT_EQ(wide.v.back(), -kInfinity);
  wide.v.pop_back();
  EXPECT_WITHIN(distance(wide.u, narrow.u), 5e-7);
  EXPECT_WITHIN(distance(wide.v, narrow.v), 5e-7);
  EXPECT_WITHIN(std::abs(wide.states[0].row_error - narrow.states[0].row_error), 5e-7);
}

// Every outcome of an iteration, at a narrow and a wide shape, alone and in a batch, with bitwise identical
// results.
TEST_P(SinkhornKernelTest, IterationsDecideAsTheyShould) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{70, 67}, {3, 22531}}) {
    SCOPED_TRACE(m);
    enum { kUsual, kConverged, kBadRows, kBadColumns, kInactive, kCount };
    const double epsilon = 0.05;
    Problems p(n, m, kCount);
    for (int64_t b = 0; b < kCount; ++b) {
      auto k = random_uniform(n * m, 20 + b);
      if (b == kBadColumns)  // makes the column's entries too small by e^-80
        for (int64_t i = 0; i < n; ++i) k[i * m + 4] = -4.0f;
      EntropicOracle oracle(k, n, m, epsilon);
      if (b == kBadColumns) {
        update_rows(oracle);
        for (double& u : oracle.u) u += 0.1;  // keeps the rows from converging
      } else {
        oracle.solve(b == kConverged ? 100 : 1, false);
      }
      p.set(b, oracle, k, epsilon);
    }
    p.u[kBadRows * n + n - 1] += 40.0;  // a row sum of e^40
    p.states[kInactive].active = 0;
    for (SinkhornState& s : p.states) s.iterations = 7, s.column_error = 0.25, s.row_error = 0.5;
    const Problems start = p;
    const double tolerance = 1e-4;
    iterate(p, tolerance);

    const auto potentials = [&](const Problems& of, int64_t b) {
      const Problems single = of.one(b);
      return std::pair(single.u, single.v);
    };
    for (const int64_t b : {kConverged, kBadRows, kBadColumns, kInactive})
      EXPECT_EQ(potentials(p, b), potentials(start, b)) << b;
    EXPECT_NE(potentials(p, kUsual).first, potentials(start, kUsual).first);
    EXPECT_NE(potentials(p, kUsual).second, potentials(start, kUsual).second);
    for (int64_t b = 0; b < kCount; ++b) {
      EXPECT_EQ(p.states[b].active, b != kConverged && b != kInactive) << b;
      EXPECT_EQ(p.states[b].use_log_domain, b == kBadRows || b == kBadColumns) << b;
      EXPECT_EQ(p.states[b].iterations, b == kConverged || b == kInactive ? 7 : 8) << b;
      EXPECT_EQ(p.states[b].column_error, 0.25) << b;
    }
    EXPECT_GT(p.states[kUsual].row_error, tolerance);
    EXPECT_WITHIN(p.states[kConverged].row_error, tolerance);
    EXPECT_NE(p.states[kConverged].row_error, 0.5);
    EXPECT_GT(p.states[kBadRows].row_error, 1e12);
    EXPECT_EQ(p.states[kInactive].row_error, 0.5);

    for (int64_t b = 0; b < kCount; ++b) {
      Problems single = start.one(b);
      iterate(single, tolerance);
      EXPECT_EQ(potentials(single, 0), potentials(p, b)) << b;
      EXPECT_EQ(fields(single.states[0]), fields(p.states[b])) << b;
    }
  }
}

// Untrustworthy sums do not count as convergence, whatever the tolerance.
TEST_P(SinkhornKernelTest, UntrustedRowsDoNotConverge) {
  const int64_t n = 9, m = 140;
  const auto k = random_uniform(n * m, 30);
  Problems p(n, m);
  p.set(0, EntropicOracle(k, n, m, 0.1).solve(50, false), k, 0.1);
  for (const double by : {-40.0, 40.0, -500.0, 500.0}) {
    Problems moved = p;
    moved.u[8] += by;
    iterate(moved, 1e300);
    EXPECT_EQ(moved.states[0].active, 1);
    EXPECT_EQ(moved.states[0].use_log_domain, 1);
  }
}

TEST_P(SinkhornKernelTest, UpdatesAgreeWithTheOracle) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 1}, {1, 2}, {31, 33}, {32, 32}, {33, 31}, {127, 257}, {257, 127}, {300, 3}, {2, 700}})
    for (const double epsilon : {0.1, 0.001}) {
      SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " at " + std::to_string(epsilon));
      const auto k = random_uniform(n * m, 40 + n);
      EntropicOracle oracle = weighted(k, n, m, epsilon);
      // At the smaller epsilon logarithms exceed 1000, where the spacing of float is 1e-4.
      const double tolerance = epsilon < 0.01 ? 1e-4 : 2e-6;
      Problems p(n, m);
      for (int round = 0; round < 2; ++round) {
        p.set(0, oracle, k, epsilon);
        p.u.assign(p.u.size(), 123.0);
        update_rows_of(p, Which::kAll);
        update_rows(oracle);
        EXPECT_WITHIN(distance(p.u, oracle.u), tolerance);
        p.set(0, oracle, k, epsilon);
        p.v.assign(p.v.size(), 123.0);
        update_columns_of(p, Which::kAll);
        update_columns(oracle);
        EXPECT_WITHIN(distance(p.v, oracle.v), tolerance);
      }
      Problems again = p;
      update_rows_of(again, Which::kAll, 0.25);
      for (int64_t i = 0; i < n; ++i)
        if (oracle.a[i] > 0) oracle.u[i] += 0.25 * (oracle.row_update(i) - oracle.u[i]);
      EXPECT_WITHIN(distance(again.u, oracle.u), tolerance);
      EXPECT_EQ(again.v, p.v);
      EXPECT_EQ(again.affinity, p.affinity);
    }
}

// The maximum rises, falls or stands out late: partial sums must be rescaled to each new maximum. Logarithms
// reach 100 or 3000, where the spacing of float is 8e-6 or 2.4e-4.
TEST_P(SinkhornKernelTest, UpdatesFollowTheMaximum) {
  const int64_t n = 300, m = 290;
  for (const int pattern : {0, 1, 2, 3}) {
    SCOPED_TRACE(pattern);
    std::vector<float> k(n * m);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < m; ++j) {
        const float ramp = float(i + j) / float(n + m);
        k[i * m + j] = pattern == 0 ? ramp : pattern == 1 ? -ramp : pattern == 2 ? 0.0f : float((i * j) % 7);
      }
    if (pattern == 2) k[n * m - 1] = k[(n - 1) * m] = k[m - 1] = 30.0f;
    EntropicOracle oracle(k, n, m, 0.01);
    Problems p(n, m);
    p.set(0, oracle, k, 0.01);
    update_rows_of(p, Which::kAll);
    update_rows(oracle);
    const double tolerance = pattern < 2 ? 1e-5 : 2.5e-4;
    EXPECT_WITHIN(distance(p.u, oracle.u), tolerance);
    p.set(0, oracle, k, 0.01);
    update_columns_of(p, Which::kAll);
    update_columns(oracle);
    EXPECT_WITHIN(distance(p.v, oracle.v), tolerance);
  }
}

// Enough rows that a thread visits its column many times.
TEST_P(SinkhornKernelTest, ColumnUpdatesFollowTheMaximumDownALongColumn) {
  const int64_t n = 60000, m = 2;
  const auto k = random_uniform(n * m, 45);
  EntropicOracle oracle(k, n, m, 0.1);
  for (int64_t i = 0; i < n; ++i) oracle.u[i] = std::sin(double(i));
  Problems p(n, m);
  p.set(0, oracle, k, 0.1);
  update_columns_of(p, Which::kAll);
  update_columns(oracle);
  EXPECT_WITHIN(distance(p.v, oracle.v), 2e-6);
  const std::vector<double> first = p.v;
  update_columns_of(p, Which::kAll);
  EXPECT_EQ(p.v, first);
}

TEST_P(SinkhornKernelTest, UpdatesLeaveOthersAlone) {
  const int64_t n = 37, m = 41;
  Problems p(n, m, 4);
  for (int64_t b = 0; b < 4; ++b) {
    const auto k = random_uniform(n * m, 50 + b);
    p.set(b, weighted(k, n, m, 0.05), k, 0.05);
    for (int64_t i = 0; i < n; ++i) p.u[b * n + i] = 0.01 * double(i);
    p.states[b].active = b != 1;
    p.states[b].use_log_domain = b != 2;
  }
  const Problems start = p;
  Problems rows = p, columns = p;
  update_rows_of(rows, Which::kWanted);
  update_columns_of(columns, Which::kWanted);
  for (int64_t b = 0; b < 4; ++b) {
    const bool wanted = b == 0 || b == 3;
    EXPECT_EQ(rows.one(b).u != start.one(b).u, wanted) << b;
    EXPECT_EQ(columns.one(b).v != start.one(b).v, wanted) << b;
    Problems single = start.one(b);
    update_rows_of(single, Which::kWanted);
    EXPECT_EQ(single.u, rows.one(b).u);
    single = start.one(b);
    update_columns_of(single, Which::kWanted);
    EXPECT_EQ(single.v, columns.one(b).v);
  }
}

TEST_P(SinkhornKernelTest, PlansAndMarginalsAgreeWithTheOracle) {
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {2, 31}, {31, 2}, {33, 32}, {127, 257}, {257, 127}, {6, 1025}, {130, 1300}, {17000, 2}}) {
    SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m));
    const double epsilon = 0.03;
    const int64_t batch = n > 1000 ? 1 : 2;
    Problems p(n, m, batch);
    std::vector<double> expected, row_errors, column_errors;
    for (int64_t b = 0; b < batch; ++b) {
      const auto k = random_uniform(n * m, 60 + n + b);
      EntropicOracle oracle = weighted(k, n, m, epsilon);
      update_rows(oracle);
      update_columns(oracle);
      // Both marginals are off; moving a constant from one side's potentials to the other's makes no
      // difference.
      for (int64_t i = 0; i < n; ++i) oracle.u[i] += 0.1 * std::sin(double(i)) + 400;
      for (int64_t j = 0; j < m; ++j) oracle.v[j] += 0.2 * std::cos(double(j)) - 400;
      p.set(b, oracle, k, epsilon);
      const std::vector<double> plan = oracle.plan();
      expected.insert(expected.end(), plan.begin(), plan.end());
      row_errors.push_back(oracle.row_error());
      double column_error = 0;
      for (int64_t j = 0; j < m; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += plan[i * m + j];
        column_error += std::abs(sum - oracle.b[j]);
      }
      column_errors.push_back(column_error);
    }
    const std::vector<float> padded = plan_of(p, Into::kOther);
    std::vector<float> plan;
    for (int64_t i = 0; i < batch * n; ++i) {
      plan.insert(plan.end(), padded.begin() + i * p.stride, padded.begin() + i * p.stride + m);
      for (int64_t j = m; j < p.stride; ++j) ASSERT_EQ(padded[i * p.stride + j], kGuard);
    }
    EXPECT_WITHIN(testing::relative_l1(plan, expected), 2e-6);
    for (size_t i = 0; i < plan.size(); ++i)
      if (expected[i] == 0) {
        ASSERT_EQ(plan[i], 0.0f);
      }
    EXPECT_EQ(plan_of(p, Into::kAffinity), padded);

    for (SinkhornState& s : p.states) s.iterations = 3, s.active = 0;
    marginals_of(p);
    for (int64_t b = 0; b < batch; ++b) {
      EXPECT_WITHIN(std::abs(p.states[b].row_error - row_errors[b]), 2e-6);
      EXPECT_WITHIN(std::abs(p.states[b].column_error - column_errors[b]), 2e-6);
      EXPECT_EQ(p.states[b].iterations, 3);
      EXPECT_EQ(p.states[b].active, 0);
      if (batch == 1) continue;
      Problems single = p.one(b);
      marginals_of(single);
      EXPECT_EQ(fields(single.states[0]), fields(p.states[b]));
      EXPECT_EQ(plan_of(single, Into::kOther), std::vector<float>(padded.begin() + b * n * p.stride,
                                                                  padded.begin() + (b + 1) * n * p.stride));
    }
  }
}

// Values too small for single precision are exactly zero.
TEST_P(SinkhornKernelTest, PlansAreZeroBelowTheLowestExponent) {
  const std::vector<float> k = {0.0f, -0.85f, -0.87f, -5.0f, 0.0f};
  EntropicOracle oracle(k, 1, 5, 0.01);
  oracle.u = {std::log(oracle.a[0])};
  Problems p(1, 5);
  p.set(0, oracle, k, 0.01);
  const std::vector<float> plan = plan_of(p, Into::kOther);
  EXPECT_NEAR(plan[0], 1.0, 1e-6);
  EXPECT_NEAR(plan[1] / std::exp(-85.0), 1.0, 1e-4);
  EXPECT_EQ(plan[2], 0.0f);
  EXPECT_EQ(plan[3], 0.0f);
}

}  // namespace kernels_sinkhorn_test
}  // namespace sotalign
