// The operations of Sinkhorn and KLOT on an affinity that arrives strip by strip: the same results as on the
// whole matrix, and the same bits if one strip holds all of it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/klot_gradient.h"
#include "kernels/sinkhorn_iteration.h"
#include "kernels/sinkhorn_plan.h"
#include "kernels/sinkhorn_update.h"
#include "sotalign/core/buffer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"

namespace sotalign {
namespace kernels_strips_test {

using kernels::EntropicBatch;
using testing::EntropicOracle;
using testing::random_uniform;
using testing::relative_l1;

constexpr int kPadding = 2;  // between rows of a strip

std::string described(int64_t n, int64_t m, int64_t height) {
  return fmt::format("{} x {} in strips of {}", n, m, height);
}

std::vector<double> logs(const std::vector<double>& weights) {
  std::vector<double> result;
  for (const double w : weights) result.push_back(std::log(w));
  return result;
}

// A row and a column without mass, and potentials two iterations into the solve.
EntropicOracle started(const std::vector<float>& k, int64_t n, int64_t m, double epsilon) {
  EntropicOracle oracle(k, n, m, epsilon);
  if (n > 2) oracle.a[n / 2] = 0;
  if (m > 2) oracle.b[m - 1] = 0;
  return oracle.solve(2, false);
}

class StripsKernelTest : public testing::DeviceTest {
 protected:
  // The oracle's problem on the device, except for K.
  struct Problem {
    int64_t n, m;
    std::vector<float> k;
    Buffer<float> inverse_epsilon;
    Buffer<double> log_a, log_b, u, v;
    Buffer<kernels::SinkhornState> states;
    Problem(Context& context, const EntropicOracle& o, const std::vector<float>& affinity, double epsilon)
        : n(o.n),
          m(o.m),
          k(affinity),
          inverse_epsilon(context, std::vector<float>{static_cast<float>(1.0 / epsilon)}),
          log_a(context, logs(o.a)),
          log_b(context, logs(o.b)),
          u(context, o.u),
          v(context, o.v),
          states(context, std::vector<kernels::SinkhornState>(1)) {}
  };
  struct Strip {
    int64_t begin, rows;
    Buffer<float> k;
    EntropicBatch batch;
  };
  // Each strip has its own memory, with nothing after it.
  std::vector<Strip> strips(const Problem& p, int64_t height) {
    std::vector<Strip> result;
    for (int64_t begin = 0; begin < p.n; begin += height) {
      Strip s{begin, std::min(height, p.n - begin), {}, {}};
      const int64_t stride = p.m + kPadding;
      std::vector<float> host(s.rows * stride - kPadding, std::nanf(""));
      for (int64_t i = 0; i < s.rows; ++i)
        std::copy_n(p.k.begin() + (begin + i) * p.m, p.m, host.begin() + i * stride);
      s.k = Buffer<float>(context, host);
      s.batch = {.affinity = s.k.data(),
                 .rows = p.n,
                 .cols = p.m,
                 .row_stride = stride,
                 .problem_stride = s.rows * stride,
                 .inverse_epsilon = p.inverse_epsilon.data(),
                 .log_a = p.log_a.data(),
                 .log_b = p.log_b.data(),
                 .strip_height = height,
                 .strip_begin = begin};
      result.push_back(std::move(s));
    }
    return result;
  }
  // Calls set(args, strip) and op(args) for each strip. The scratch memory starts as garbage.
  template <class Args, class Size, class Op, class Set>
  void sweep(const std::vector<Strip>& all, Args args, Size size, Op op, const Set& set) {
    set(args, all[0]);
    const int64_t bytes = static_cast<int64_t>(size(context.queue(), args));
    Buffer<unsigned char> scratch(context, std::vector<unsigned char>(bytes + 256, 0x42));
    args.scratch = scratch.data();
    for (const Strip& strip : all) {
      set(args, strip);
      op(context.queue(), args);
    }
    const std::vector<unsigned char> after = scratch.download();
    EXPECT_EQ(std::count(after.begin() + bytes, after.end(), 0x42), 256);
  }
  template <class Args, class Size, class Op>
  void sweep(const std::vector<Strip>& all, Args args, Size size, Op op) {
    sweep(all, args, size, op, [](Args& a, const Strip& strip) { a.problems = strip.batch; });
  }

  std::vector<std::pair<int64_t, int64_t>> shapes() const {
    return {{1, 1}, {2, 31}, {31, 2}, {33, 33}, {127, 65}, {70, 129}, {9, 1025}, {300, 3}, {5, 22529}};
  }
  static std::vector<int64_t> heights(int64_t n) {
    std::vector<int64_t> heights;
    for (const int64_t h : {int64_t{1}, int64_t{5}, int64_t{32}, n - 1, n})
      if (h >= 1 && h <= n && 40 * h >= n) heights.push_back(h);
    return heights;
  }
};
SOTALIGN_ON_EVERY_DEVICE(StripsKernelTest);

double distance(std::vector<double> a, std::vector<double> b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (std::isinf(a[i]) && a[i] == b[i]) a[i] = b[i] = 0;
  return testing::max_difference(a, b);
}

TEST_P(StripsKernelTest, Iterations) {
  for (const auto& [n, m] : shapes()) {
    const auto k = random_uniform(n * m, 1 + n);
    const EntropicOracle start = started(k, n, m, 0.1);
    EntropicOracle next = start;
    for (int64_t i = 0; i < n; ++i) next.u[i] = next.row_update(i);
    for (int64_t j = 0; j < m; ++j) next.v[j] = next.column_update(j);
    for (const int64_t height : heights(n)) {
      SCOPED_TRACE(described(n, m, height));
      Problem p(context, start, k, 0.1);
      sweep(strips(p, height),
            kernels::SinkhornIteration{
                .problems = {}, .states = p.states.data(), .u = p.u.data(), .v = p.v.data()},
            kernels::sinkhorn_iteration_scratch, kernels::sinkhorn_iteration);
      EXPECT_WITHIN(distance(p.u.download(), next.u), 3e-6);
      EXPECT_WITHIN(distance(p.v.download(), next.v), 3e-6);
      const kernels::SinkhornState state = p.states.download()[0];
      EXPECT_WITHIN(std::abs(state.row_error - start.row_error()), 1e-6);
      EXPECT_EQ(state.iterations, 1);
      EXPECT_EQ(state.use_log_domain, 0);
    }
  }
}

// A bad row in any strip, including the first and the last, leaves the potentials unchanged; so does
// convergence.
TEST_P(StripsKernelTest, IterationsDecideByAllStrips) {
  const int64_t n = 50, m = 40, height = 16;
  const auto k = random_uniform(n * m, 3);
  EntropicOracle solved = EntropicOracle(k, n, m, 0.1).solve(100, false);
  const auto run = [&](const EntropicOracle& o) {
    Problem p(context, o, k, 0.1);
    sweep(strips(p, height),
          kernels::SinkhornIteration{
              .problems = {}, .states = p.states.data(), .u = p.u.data(), .v = p.v.data(), .tolerance = 1e-4},
          kernels::sinkhorn_iteration_scratch, kernels::sinkhorn_iteration);
    EXPECT_EQ(p.u.download(), o.u);
    EXPECT_EQ(p.v.download(), o.v);
    return p.states.download()[0];
  };
  EXPECT_EQ(run(solved).active, 0);
  for (const int64_t row : {0, 20, 49}) {
    EntropicOracle bad = solved;
    bad.u[row] += 40;
    const kernels::SinkhornState state = run(bad);
    EXPECT_EQ(state.active, 1);
    EXPECT_EQ(state.use_log_domain, 1);
  }
}

// The column update of a strip follows its row update. Rows that grow, shrink, or have no mass in the first
// strips change the columns' maxima from strip to strip.
TEST_P(StripsKernelTest, LogDomainUpdates) {
  for (const auto& [n, m] : shapes())
    for (const int pattern : {0, 1, 2, 3}) {
      auto k = random_uniform(n * m, 10 + n);
      EntropicOracle oracle = started(k, n, m, 0.01);
      for (int64_t i = 0; i < n; ++i) {
        const float ramp = 20 * float(i) / float(n);
        for (int64_t j = 0; j < m; ++j) k[i * m + j] += pattern == 1 ? ramp : pattern == 2 ? -ramp : 0.0f;
        if (pattern == 3 && i < n - 1 && (i < n / 2 || n < 3)) oracle.a[i] = 0;
      }
      oracle.l.assign(k.begin(), k.end());
      for (double& x : oracle.l) x /= 0.01;
      EntropicOracle next = oracle;
      for (int64_t i = 0; i < n; ++i) next.u[i] = next.row_update(i);
      for (int64_t j = 0; j < m; ++j) next.v[j] = next.column_update(j);
      for (const int64_t height : heights(n)) {
        SCOPED_TRACE(described(n, m, height));
        Problem p(context, oracle, k, 0.01);
        const std::vector<Strip> all = strips(p, height);
        kernels::SinkhornRowUpdate rows{.problems = all[0].batch, .v = p.v.data(), .u = p.u.data()};
        const int64_t bytes = static_cast<int64_t>(sinkhorn_row_update_scratch(context.queue(), rows));
        Buffer<unsigned char> scratch(context, bytes);
        rows.scratch = scratch.data();
        Buffer<double> v(context, std::vector<double>(m, 123.0));
        sweep(all, kernels::SinkhornColumnUpdate{.problems = {}, .u = p.u.data(), .v = v.data()},
              kernels::sinkhorn_column_update_scratch,
              [&](const kernels::Queue& queue, const kernels::SinkhornColumnUpdate& columns) {
                rows.problems = columns.problems;
                sinkhorn_row_update(queue, rows);
                sinkhorn_column_update(queue, columns);
              });
        // With the ramp logarithms reach 4000, where the spacing of float is 2.4e-4.
        const double tolerance = pattern == 1 || pattern == 2 ? 3e-4 : 2e-5;
        EXPECT_WITHIN(distance(p.u.download(), next.u), tolerance);
        EXPECT_WITHIN(distance(v.download(), next.v), tolerance);
      }
    }
}

TEST_P(StripsKernelTest, PlansAndMarginals) {
  for (const auto& [n, m] : shapes()) {
    const auto k = random_uniform(n * m, 20 + n);
    EntropicOracle oracle = started(k, n, m, 0.05);
    for (int64_t i = 0; i < n; ++i) oracle.u[i] += 0.1 * std::sin(double(i));
    const std::vector<double> expected = oracle.plan();
    double column_error = 0;
    for (int64_t j = 0; j < m; ++j) {
      double sum = 0;
      for (int64_t i = 0; i < n; ++i) sum += expected[i * m + j];
      column_error += std::abs(sum - oracle.b[j]);
    }
    for (const int64_t height : heights(n)) {
      SCOPED_TRACE(described(n, m, height));
      Problem p(context, oracle, k, 0.05);
      std::vector<Strip> all = strips(p, height);
      sweep(all,
            kernels::SinkhornMarginals{
                .problems = {}, .u = p.u.data(), .v = p.v.data(), .states = p.states.data()},
            kernels::sinkhorn_marginals_scratch, kernels::sinkhorn_marginals);
      const kernels::SinkhornState state = p.states.download()[0];
      EXPECT_WITHIN(std::abs(state.row_error - oracle.row_error()), 2e-6);
      EXPECT_WITHIN(std::abs(state.column_error - column_error), 2e-6);

      std::reverse(all.begin(), all.end());
      sweep(all, kernels::SinkhornPlan{.problems = {}, .u = p.u.data(), .v = p.v.data()},
            kernels::sinkhorn_plan_scratch, kernels::sinkhorn_plan,
            [](kernels::SinkhornPlan& args, const Strip& strip) {
              args.problems = strip.batch;
              args.plan = const_cast<float*>(strip.k.data());
            });
      std::vector<float> plan(n * m);
      for (const Strip& strip : all) {
        const std::vector<float> host = strip.k.download();
        for (int64_t i = 0; i < strip.rows; ++i)
          std::copy_n(host.begin() + i * (m + kPadding), m, plan.begin() + (strip.begin + i) * m);
      }
      EXPECT_WITHIN(relative_l1(plan, expected), 2e-6);
    }
  }
}

TEST_P(StripsKernelTest, KlotGradients) {
  for (const auto& [n, m] : shapes()) {
    const auto k = random_uniform(n * m, 30 + n), t = random_uniform(n * m, 40 + m);
    const EntropicOracle student = started(k, n, m, 0.0625), teacher = started(t, n, m, 0.03125);
    const std::vector<double> p = student.plan(), q = teacher.plan();
    std::vector<double> expected(p.size());
    for (size_t i = 0; i < p.size(); ++i) expected[i] = 3 * 16 * (p[i] - q[i]);
    const double value = klot_value(student, teacher);
    for (const int64_t height : heights(n)) {
      SCOPED_TRACE(described(n, m, height));
      const Problem ps(context, student, k, 0.0625), pt(context, teacher, t, 0.03125);
      const std::vector<Strip> all = strips(ps, height), teachers = strips(pt, height);
      Buffer<double> found_value(context, 1);
      sweep(all,
            kernels::KlotGradient{.student = {},
                                  .u_student = ps.u.data(),
                                  .v_student = ps.v.data(),
                                  .teacher = {},
                                  .u_teacher = pt.u.data(),
                                  .v_teacher = pt.v.data(),
                                  .gradient_scale = 3.0f,
                                  .value = found_value.data()},
            kernels::klot_gradient_scratch, kernels::klot_gradient,
            [&](kernels::KlotGradient& args, const Strip& strip) {
              args.student = strip.batch;
              args.teacher = teachers[strip.begin / height].batch;
              args.gradient = const_cast<float*>(strip.k.data());
              args.gradient_stride = strip.batch.row_stride;
            });
      std::vector<float> gradient(n * m);
      for (const Strip& strip : all) {
        const std::vector<float> host = strip.k.download();
        for (int64_t i = 0; i < strip.rows; ++i)
          std::copy_n(host.begin() + i * (m + kPadding), m, gradient.begin() + (strip.begin + i) * m);
      }
      EXPECT_WITHIN(relative_l1(gradient, expected, 3 * 16), 2e-6);
      EXPECT_WITHIN(std::abs(found_value.download()[0] - value), 1e-6 * std::max(1.0, std::abs(value)));
    }
  }
}

}  // namespace kernels_strips_test
}  // namespace sotalign
