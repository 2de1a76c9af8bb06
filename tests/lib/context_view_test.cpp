// Products and solves on views of the caller's memory.
#include <gtest/gtest.h>

#include <limits>

#include "sotalign/linalg/gemm.h"
#include "sotalign/ot/sinkhorn.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/strided.h"

namespace sotalign {
namespace lib_context_view_test {

using testing::EntropicOracle;
using testing::Layout;
using testing::random_normal;
using testing::random_uniform;
using testing::relative_l1;
using testing::Strided;

// Caller-owned memory comes from another context. The gaps of its matrices are NaN, which would spread to any
// result that read them, and must still be there at the end.
class ContextViewTest : public testing::DeviceTest {
 protected:
  Context owner{GetParam()};
  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

  static MatrixF view(Strided<float>& matrix, int64_t rows, int64_t cols) {
    return {matrix.data(), rows, cols, matrix.stride()};
  }
};
SOTALIGN_ON_EVERY_DEVICE(ContextViewTest);

TEST_P(ContextViewTest, GemmReadsAndWritesOnlyTheView) {
  const int64_t m = 33, n = 17, k = 31;
  const std::vector<float> a = random_normal(m * k, 1), b = random_normal(k * n, 2),
                           c = random_normal(m * n, 3);
  for (const Layout layout : testing::layouts(n))
    for (const float beta : {0.0f, 0.5f}) {
      SCOPED_TRACE("offset " + std::to_string(layout.offset) + ", gap " + std::to_string(layout.gap));
      std::vector<double> expected(c.size());
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t l = 0; l < k; ++l) sum += double(a[i * k + l]) * double(b[l * n + j]);
          expected[i * n + j] = 2 * sum + beta * c[i * n + j];
        }
      Strided<float> da(owner, a, m, k, wider(layout)), db(owner, b, k, n, wider(wider(layout)));
      // With beta = 0 the old content, NaN, is not read.
      Strided<float> dc =
          beta == 0 ? Strided<float>(owner, m, n, layout, kNan) : Strided<float>(owner, c, m, n, layout);
      gemm(context, Op::kNone, Op::kNone, 2.0f, view(da, m, k), view(db, k, n), beta, view(dc, m, n));
      context.synchronize();
      EXPECT_WITHIN(relative_l1(dc.download(), expected), 1e-6);
      EXPECT_EQ(da.download(), a);
      EXPECT_EQ(db.download(), b);
    }
}

TEST_P(ContextViewTest, SinkhornReadsAndWritesOnlyTheView) {
  constexpr int64_t kRows = 40, kCols = 33;
  const std::vector<float> k = random_uniform(kRows * kCols, 4);
  const std::vector<double> expected = EntropicOracle(k, kRows, kCols, 0.1).solve(20, false).plan();
  for (const SinkhornForm form : {SinkhornForm::kLogDomain, SinkhornForm::kScaling})
    for (const Layout layout : testing::layouts(kCols)) {
      SCOPED_TRACE("form " + std::to_string(int(form)) + ", offset " + std::to_string(layout.offset) +
                   ", gap " + std::to_string(layout.gap));
      Strided<float> affinity(owner, k, kRows, kCols, layout), plan(owner, kRows, kCols, layout, kNan);
      Sinkhorn sinkhorn(context, kRows, kCols, {.epsilon = 0.1, .solve = {.iterations = 20, .form = form}});
      const MatrixF input = view(affinity, kRows, kCols);
      sinkhorn.solve(input);
      sinkhorn.plan(0, input, view(plan, kRows, kCols));
      context.synchronize();
      EXPECT_WITHIN(relative_l1(plan.download(), expected), 2e-5);
      EXPECT_EQ(affinity.download(), k);
      sinkhorn.plan(0, input, input);
      context.synchronize();
      EXPECT_WITHIN(relative_l1(affinity.download(), expected), 2e-5);
    }
}

}  // namespace lib_context_view_test
}  // namespace sotalign
