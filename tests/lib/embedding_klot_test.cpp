// Sinkhorn and KLOT on embeddings: against loops in double precision, against stored affinities, and their
// memory use.
#include "sotalign/ot/embedding_klot.h"

#include <gtest/gtest.h>

#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_embedding_klot_test {

using testing::EntropicOracle;
using testing::random_normal;
using testing::relative_l1;

constexpr KlotMemory kMemories[] = {KlotMemory::kStored, KlotMemory::kFixed16, KlotMemory::kStreamed};

// Unit rows around a few directions, so that plans have structure.
std::vector<float> unit_rows(int64_t n, int64_t d, uint64_t seed) {
  const std::vector<float> centres = random_normal(7 * d, 99);
  std::vector<float> x = random_normal(n * d, seed, 0.7f);
  for (int64_t i = 0; i < n; ++i) {
    double squares = 0;
    for (int64_t j = 0; j < d; ++j) {
      x[i * d + j] += centres[(i * 5 + static_cast<int64_t>(seed)) % 7 * d + j];
      squares += double(x[i * d + j]) * double(x[i * d + j]);
    }
    for (int64_t j = 0; j < d; ++j) x[i * d + j] = float(double(x[i * d + j]) / std::sqrt(squares));
  }
  return x;
}

// K = X Y' in double precision.
std::vector<double> product(const std::vector<float>& x, const std::vector<float>& y, int64_t d) {
  const int64_t n = static_cast<int64_t>(x.size()) / d, m = static_cast<int64_t>(y.size()) / d;
  std::vector<double> k(n * m);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < m; ++j)
      for (int64_t l = 0; l < d; ++l) k[i * m + j] += double(x[i * d + l]) * double(y[j * d + l]);
  return k;
}
EntropicOracle oracle_of(const std::vector<double>& k, int64_t n, int64_t m, double epsilon) {
  EntropicOracle oracle(std::vector<float>(k.size()), n, m, epsilon);
  for (size_t i = 0; i < k.size(); ++i) oracle.l[i] = k[i] / epsilon;
  return oracle;
}

class EmbeddingKlotTest : public testing::DeviceTest {
 protected:
  struct Data {
    int64_t n, m, d, teacher_d;
    std::vector<float> x, y, teacher_x, teacher_y;
    Data(int64_t rows, int64_t cols, int64_t dim = 9, int64_t teacher_dim = 5)
        : n(rows),
          m(cols),
          d(dim),
          teacher_d(teacher_dim),
          x(unit_rows(n, d, 1)),
          y(unit_rows(m, d, 2)),
          teacher_x(unit_rows(n, teacher_d, 3)),
          teacher_y(unit_rows(m, teacher_d, 4)) {}
  };
  struct OnDevice {
    Matrix<float> x, y, teacher_x, teacher_y;
    OnDevice(Context& context, const Data& data)
        : x(context, data.x.data(), data.n, data.d),
          y(context, data.y.data(), data.m, data.d),
          teacher_x(context, data.teacher_x.data(), data.n, data.teacher_d),
          teacher_y(context, data.teacher_y.data(), data.m, data.teacher_d) {}
    Embeddings student() const { return {x, y}; }
    Embeddings teacher() const { return {teacher_x, teacher_y}; }
  };
  struct Run {
    KlotResult result;
    std::vector<float> dx, dy;
  };
  Run run(EmbeddingKlot& klot, const Data& data) {
    const OnDevice d(context, data);
    Matrix<float> dx(context, data.n, data.d), dy(context, data.m, data.d);
    klot.run(d.student(), d.teacher(), dx, dy);
    return {klot.result(), dx.download(), dy.download()};
  }
  Run run(const Data& data, const KlotOptions& options, KlotMemory memory, int64_t strip_rows) {
    EmbeddingKlot klot(context, data.n, data.m, options, memory, strip_rows);
    return run(klot, data);
  }
  struct Expected {
    double value;
    std::vector<double> dx, dy;
  };
  static Expected expected(const Data& data, const KlotOptions& o) {
    const EntropicOracle student =
                             oracle_of(product(data.x, data.y, data.d), data.n, data.m, o.epsilon_student)
                                 .solve(o.student.iterations, true),
                         teacher = oracle_of(product(data.teacher_x, data.teacher_y, data.teacher_d), data.n,
                                             data.m, o.epsilon_teacher)
                                       .solve(o.teacher.iterations, true);
    const std::vector<double> p = student.plan(), q = teacher.plan();
    Expected e{klot_value(student, teacher), std::vector<double>(data.x.size()),
               std::vector<double>(data.y.size())};
    for (int64_t i = 0; i < data.n; ++i)
      for (int64_t j = 0; j < data.m; ++j) {
        const double g = (p[i * data.m + j] - q[i * data.m + j]) / o.epsilon_student;
        for (int64_t l = 0; l < data.d; ++l) {
          e.dx[i * data.d + l] += g * double(data.y[j * data.d + l]);
          e.dy[j * data.d + l] += g * double(data.x[i * data.d + l]);
        }
      }
    return e;
  }
};
SOTALIGN_ON_EVERY_DEVICE(EmbeddingKlotTest);

TEST_P(EmbeddingKlotTest, AgreesWithTheOracleInEveryMemory) {
  for (const auto& [n, m] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {2, 1}, {1, 2}, {31, 33}, {33, 31}, {127, 65}}) {
    const Data data(n, m);
    const KlotOptions options =
        KlotOptions{.epsilon_student = 0.05, .epsilon_teacher = 0.01}.with_both({.iterations = 6});
    const Expected e = expected(data, options);
    const double floor = 0.1 / options.epsilon_student;
    for (const KlotMemory memory : kMemories)
      for (const int64_t strip_rows : {int64_t{0}, int64_t{10}}) {
        SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " " + to_string(memory) +
                     " in strips of " + std::to_string(strip_rows));
        const Run found = run(data, options, memory, strip_rows);
        const double tolerance = memory == KlotMemory::kFixed16 ? 1e-3 : 3e-5;
        EXPECT_WITHIN(relative_l1(found.dx, e.dx, floor), tolerance);
        EXPECT_WITHIN(relative_l1(found.dy, e.dy, floor), tolerance);
        EXPECT_WITHIN(std::abs(found.result.value - e.value), tolerance * std::max(0.1, e.value));
        EXPECT_EQ(found.result.student.iterations, 6);
      }
  }
}

TEST_P(EmbeddingKlotTest, EmptyShapesAreRefused) {
  for (const KlotMemory memory : kMemories) {
    EXPECT_THROW(EmbeddingKlot(context, 3, 0, {}, memory), InvalidArgument);
    EXPECT_THROW(EmbeddingKlot(context, 0, 3, {}, memory), InvalidArgument);
  }
}

TEST_P(EmbeddingKlotTest, SidesMayDifferInTheirSolves) {
  const Data data(33, 31);
  const KlotOptions options{
      .epsilon_student = 0.05, .student = {.iterations = 4}, .teacher = {.iterations = 9}};
  const Expected e = expected(data, options);
  for (const KlotMemory memory : kMemories) {
    SCOPED_TRACE(to_string(memory));
    const Run found = run(data, options, memory, 10);
    const double tolerance = memory == KlotMemory::kFixed16 ? 1e-3 : 3e-5;
    EXPECT_WITHIN(relative_l1(found.dx, e.dx, 2), tolerance);
    EXPECT_WITHIN(relative_l1(found.dy, e.dy, 2), tolerance);
    EXPECT_WITHIN(std::abs(found.result.value - e.value), tolerance * std::max(0.1, e.value));
    EXPECT_EQ(found.result.student.iterations, 4);
    EXPECT_EQ(found.result.teacher.iterations, 9);
  }
  for (const bool teacher : {false, true}) {
    KlotOptions stored_only;
    (teacher ? stored_only.teacher : stored_only.student).form = SinkhornForm::kScaling;
    EXPECT_THROW(EmbeddingKlot(context, 33, 31, stored_only), InvalidArgument);
  }
}

// Several strips of 50 rows, at the paper's epsilons.
TEST_P(EmbeddingKlotTest, FixedPointIsGoodForOnePerMille) {
  for (const double epsilon : {0.05, 0.01}) {
    const Data data(130, 140, 40, 30);
    const KlotOptions options =
        KlotOptions{.epsilon_student = epsilon, .epsilon_teacher = 0.01}.with_both({.iterations = 30});
    const Expected e = expected(data, options);
    const Run found = run(data, options, KlotMemory::kFixed16, 50);
    EXPECT_WITHIN(relative_l1(found.dx, e.dx), 1e-3);
    EXPECT_WITHIN(relative_l1(found.dy, e.dy), 1e-3);
    EXPECT_WITHIN(std::abs(found.result.value - e.value), 1e-3 * e.value);
  }
}

// After convergence no more strips are computed.
TEST_P(EmbeddingKlotTest, StopsAtTheToleranceLikeTheStoredForm) {
  const Data data(90, 80);
  const KlotOptions options = KlotOptions{.epsilon_student = 0.1, .epsilon_teacher = 0.05}.with_both(
      {.iterations = 200, .tolerance = 1e-4, .check_every = 3});
  const Run stored = run(data, options, KlotMemory::kStored, 0);
  EXPECT_LT(stored.result.student.iterations, 100);
  for (const KlotMemory memory : {KlotMemory::kFixed16, KlotMemory::kStreamed}) {
    const Run found = run(data, options, memory, 30);
    EXPECT_EQ(found.result.student.iterations, stored.result.student.iterations);
    EXPECT_EQ(found.result.teacher.iterations, stored.result.teacher.iterations);
    EXPECT_EQ(found.result.student.status, SinkhornStatus::kConverged);
    EXPECT_WITHIN(found.result.student.marginal_error, 1e-4);
    EXPECT_WITHIN(relative_l1(found.dx, stored.dx), 1e-3);
  }
}

TEST_P(EmbeddingKlotTest, StoredIsWhatKlotAndProductsGive) {
  const Data data(70, 50);
  const OnDevice d(context, data);
  const KlotOptions options = KlotOptions{}.with_both({.iterations = 10});
  const Run found = run(data, options, KlotMemory::kStored, 7);
  Matrix<float> k(context, 70, 50), t(context, 70, 50), dx(context, 70, 9), dy(context, 50, 9);
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, d.x, d.y, 0.0f, k);
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, d.teacher_x, d.teacher_y, 0.0f, t);
  Klot klot(context, 70, 50, options);
  klot.run(k, t, k, 1.0);
  gemm(context, Op::kNone, Op::kNone, 1.0f, k, d.y, 0.0f, dx);
  gemm(context, Op::kTranspose, Op::kNone, 1.0f, k, d.x, 0.0f, dy);
  EXPECT_EQ(found.dx, dx.download());
  EXPECT_EQ(found.dy, dy.download());
  EXPECT_EQ(found.result.value, klot.result().value);
}

TEST_P(EmbeddingKlotTest, RepeatsBitForBitAllocatesNothingAndScales) {
  const Data data(75, 66);
  for (const KlotMemory memory : kMemories) {
    EmbeddingKlot klot(context, 75, 66, KlotOptions{}.with_both({.iterations = 5}), memory, 16);
    const OnDevice d(context, data);
    Matrix<float> dx(context, 75, 9), dy(context, 66, 9);
    klot.run(d.student(), d.teacher(), dx, dy);
    const std::vector<float> first_x = dx.download(), first_y = dy.download();
    const int64_t allocations = context.allocations();
    klot.run(d.student(), d.teacher(), dx, dy);
    EXPECT_EQ(context.allocations(), allocations);
    EXPECT_EQ(dx.download(), first_x);
    EXPECT_EQ(dy.download(), first_y);
    klot.run(d.student(), d.teacher(), dx, dy, 4.0);  // exact, because 4 is a power of two
    std::vector<float> scaled = first_x;
    for (float& value : scaled) value *= 4;
    EXPECT_EQ(dx.download(), scaled);
    Context other(GetParam(), 1);
    EmbeddingKlot single(other, 75, 66, KlotOptions{}.with_both({.iterations = 5}), memory, 16);
    const OnDevice od(other, data);
    Matrix<float> ox(other, 75, 9), oy(other, 66, 9);
    single.run(od.student(), od.teacher(), ox, oy);
    EXPECT_WITHIN(relative_l1(ox.download(), first_x), 1e-5) << "BLAS may depend on the threads";
  }
}

// Students change, the teacher does not.
TEST_P(EmbeddingKlotTest, AKeptTeacherChangesNoBit) {
  const SolveOptions plain{.iterations = 12, .tolerance = 1e-3},
      relaxed{.iterations = 12, .tolerance = 1e-3, .relaxation = 1.7},
      ladder{.iterations = 24, .storage = SinkhornStorage::kLadder};
  for (const auto& [n, m] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 33}, {33, 31}})
    for (const KlotMemory memory : kMemories)
      for (const auto& [student, teacher] : {std::pair{plain, plain}, {plain, relaxed}, {ladder, ladder}}) {
        if (memory != KlotMemory::kStored && student == ladder) continue;
        SCOPED_TRACE(std::to_string(n) + " x " + std::to_string(m) + " " + to_string(memory));
        const KlotOptions options{
            .epsilon_student = 0.1, .epsilon_teacher = 0.02, .student = student, .teacher = teacher};
        EmbeddingKlot klot(context, n, m, options, memory, 13);
        Data data(n, m);
        run(klot, data);  // before there is anything to keep
        data.teacher_x = unit_rows(n, data.teacher_d, 5);
        klot.keep_teacher();
        for (const uint64_t seed : {1, 6, 7}) {
          data.x = unit_rows(n, data.d, seed);
          EmbeddingKlot anew(context, n, m, options, memory, 13);
          std::vector<double> b(m, 1.0);
          b[0] = 3;
          if (seed == 7)
            for (EmbeddingKlot* one : {&klot, &anew}) one->set_weights({}, b);
          const Run found = run(klot, data);
          const Run expected = run(anew, data);
          EXPECT_EQ(found.dx, expected.dx);
          EXPECT_EQ(found.dy, expected.dy);
          EXPECT_EQ(found.result.value, expected.result.value);
          EXPECT_EQ(found.result.teacher.iterations, expected.result.teacher.iterations);
          EXPECT_EQ(found.result.teacher.marginal_error, expected.result.teacher.marginal_error);
        }
      }
}

// A teacher of NaN would be seen.
TEST_P(EmbeddingKlotTest, AKeptTeacherIsNotReadAgainUnlessStreamed) {
  for (const KlotMemory memory : kMemories) {
    SCOPED_TRACE(to_string(memory));
    EmbeddingKlot klot(context, 60, 47, KlotOptions{}.with_both({.iterations = 10}), memory, 13);
    klot.keep_teacher();
    Data data(60, 47);
    const Run first = run(klot, data);
    data.teacher_x.assign(data.teacher_x.size(), std::nanf(""));
    const Run second = run(klot, data);
    EXPECT_EQ(second.dx == first.dx, memory != KlotMemory::kStreamed);
    EXPECT_EQ(second.dy == first.dy, memory != KlotMemory::kStreamed);
    EXPECT_EQ(second.result.teacher.marginal_error, first.result.teacher.marginal_error)
        << "no solve of the teacher";
  }
}

TEST_P(EmbeddingKlotTest, WeightsOfZero) {
  const Data data(40, 50);
  std::vector<double> a(40, 1.0), b(50, 1.0);
  a[0] = a[20] = a[39] = b[7] = 0;
  const KlotOptions options = KlotOptions{}.with_both({.iterations = 10});
  std::vector<float> stored;
  for (const KlotMemory memory : kMemories) {
    EmbeddingKlot klot(context, 40, 50, options, memory, 13);
    klot.set_weights(a, b);
    const Run found = run(klot, data);
    if (memory == KlotMemory::kStored) stored = found.dx;
    EXPECT_WITHIN(relative_l1(found.dx, stored), 1e-3);
    for (const int64_t i : {0, 20, 39})
      for (int64_t l = 0; l < 9; ++l) EXPECT_EQ(found.dx[i * 9 + l], 0.0f);
  }
}

// The announced memory matches the memory taken.
TEST_P(EmbeddingKlotTest, TakesTheMemoryItAnnounces) {
  const Data data(300, 280, 3, 2);
  for (const KlotMemory memory : kMemories)
    for (const int64_t strip_rows : {0, 20}) {
      SCOPED_TRACE(to_string(memory));
      Context fresh(GetParam(), 2);
      const OnDevice d(fresh, data);
      Matrix<float> dx(fresh, 300, 3), dy(fresh, 280, 3);
      const int64_t before = fresh.bytes_in_use();
      EmbeddingKlot klot(fresh, 300, 280, KlotOptions{}.with_both({.iterations = 6}), memory, strip_rows);
      // The workspace keeps its first allocations, in chunks of at least one MiB.
      klot.run(d.student(), d.teacher(), dx, dy);
      const int64_t taken = fresh.bytes_in_use() - before,
                    announced = EmbeddingKlot::memory_bytes(fresh, 300, 280, memory, strip_rows);
      EXPECT_LE(announced, taken + 4096);
      EXPECT_LE(taken, announced + (int64_t{2} << 20));
      if (strip_rows == 0) {
        EXPECT_EQ(announced, klot_memory_bytes(fresh, 300, 280, memory));
      }
    }
  const auto bytes = [&](KlotMemory memory) { return klot_memory_bytes(context, 100000, 100000, memory); };
  const double entries = 1e10;
  EXPECT_NEAR(double(bytes(KlotMemory::kStored)) / entries, 12.0, 0.1);  // K, K* and one density
  EXPECT_NEAR(double(bytes(KlotMemory::kFixed16)) / entries, 4.0, 0.1);
  EXPECT_LE(bytes(KlotMemory::kStreamed), int64_t{500} << 20);
}

TEST_P(EmbeddingKlotTest, PlansByMemory) {
  const int64_t n = 20000;
  const auto bytes = [&](KlotMemory memory) { return klot_memory_bytes(context, n, n, memory); };
  const auto plan = [&](int64_t available) {
    const KlotMemoryPlan chosen = plan_klot_memory(context, n, n, available);
    EXPECT_EQ(chosen.bytes, bytes(chosen.memory));
    EXPECT_CONTAINS(chosen.reason, to_string(chosen.memory));
    return chosen;
  };
  EXPECT_EQ(plan(bytes(KlotMemory::kStored)).memory, KlotMemory::kStored);
  EXPECT_EQ(plan(bytes(KlotMemory::kStored) - 1).memory, KlotMemory::kFixed16);
  EXPECT_EQ(plan(bytes(KlotMemory::kFixed16)).memory, KlotMemory::kFixed16);
  EXPECT_EQ(plan(bytes(KlotMemory::kFixed16) - 1).memory, KlotMemory::kStreamed);
  EXPECT_EQ(plan(0).memory, KlotMemory::kStreamed);
  EXPECT_EQ(plan(-1).memory, KlotMemory::kStored);
  EXPECT_CONTAINS(plan(int64_t{2} << 30).reason, "of 2.0 GiB, stored would be 4.5 GiB");
}

TEST_P(EmbeddingKlotTest, SinkhornOfEmbeddings) {
  const Data data(140, 90);
  const OnDevice d(context, data);
  for (const SinkhornOptions& options :
       {SinkhornOptions{.epsilon = 0.02, .solve = {.iterations = 9}},
        SinkhornOptions{.epsilon = 0.001, .symmetrize = Symmetrize::kYes, .solve = {.iterations = 9}}}) {
    Sinkhorn solver(context, 140, 90, options);
    solver.solve(d.student(), 33);
    const EntropicOracle oracle = oracle_of(product(data.x, data.y, data.d), 140, 90, options.epsilon)
                                      .solve(9, options.symmetrize == Symmetrize::kYes);
    Matrix<float> plan(context, 140, 90);
    for (const int64_t first : {100, 0}) {
      const int64_t rows = first == 0 ? 100 : 40;
      solver.plan(d.student(), first, plan.view().row_range(first, rows));
    }
    EXPECT_WITHIN(relative_l1(plan.download(), oracle.plan()), options.epsilon < 0.01 ? 5e-4 : 3e-5);
    EXPECT_WITHIN(std::abs(solver.results()[0].row_error - oracle.row_error()), 1e-5);
    EXPECT_EQ(solver.results()[0].iterations, 9);
  }
  EXPECT_GE(Sinkhorn::memory_bytes(context, 100000, 100000), int64_t{256} * 100000 * 4);
  EXPECT_LE(Sinkhorn::memory_bytes(context, 100000, 100000), int64_t{400} << 20);
}

// No strip is computed after convergence: one wait per iteration, and none after the last.
TEST_P(EmbeddingKlotTest, NoIterationFollowsConvergence) {
  const Data data(40, 30);
  const OnDevice d(context, data);
  Sinkhorn solver(
      context, 40, 30,
      SinkhornOptions{.epsilon = 0.2, .solve = {.iterations = 100, .tolerance = 1e-3, .check_every = 2}});
  const int64_t before = context.host_copies();
  solver.solve(d.student(), 16);
  const int64_t waits = context.host_copies() - before;
  EXPECT_EQ(waits, solver.results()[0].iterations);
  EXPECT_LT(waits, 50);
}

// The only close column of one row has almost no weight: the row's sum falls below what the fused iteration
// trusts, so the log-domain updates do the second iteration.
TEST_P(EmbeddingKlotTest, LogDomainUpdatesTakeOverLater) {
  const int64_t n = 12, m = 10;
  std::vector<float> x, y;
  for (int64_t i = 0; i < n; ++i) x.insert(x.end(), {i == 0 ? 1.0f : 0.1f, i == 0 ? 0.0f : 0.9f});
  for (int64_t j = 0; j < m; ++j) y.insert(y.end(), {j == 0 ? 1.0f : -1.0f, 0.1f * float(j)});
  const Matrix<float> dx(context, x.data(), n, 2), dy(context, y.data(), m, 2);
  std::vector<double> b(m, 1.0);
  b[0] = 1e-15;
  EntropicOracle oracle = oracle_of(product(x, y, 2), n, m, 0.05);
  double sum = 0;
  for (const double weight : b) sum += weight;
  for (int64_t j = 0; j < m; ++j) oracle.b[j] = b[j] / sum;
  oracle.solve(3, false);
  Sinkhorn solver(context, n, m, SinkhornOptions{.epsilon = 0.05, .solve = {.iterations = 3}});
  solver.set_weights(0, {}, b);
  solver.solve(Embeddings{dx, dy}, 5);
  Matrix<float> plan(context, n, m);
  solver.plan(Embeddings{dx, dy}, 0, plan);
  EXPECT_WITHIN(relative_l1(plan.download(), oracle.plan()), 2e-5);
}

// The start exceeds the bounds of the fused iteration: the log-domain updates take over.
TEST_P(EmbeddingKlotTest, WildStartsAreSafe) {
  const Data data(64, 96);
  const OnDevice d(context, data);
  std::vector<double> start(96);
  for (size_t j = 0; j < start.size(); ++j) start[j] = j % 2 == 0 ? 5000.0 : -5000.0;
  Sinkhorn stored(context, 64, 96, SinkhornOptions{.epsilon = 0.05, .solve = {.iterations = 60}}),
      streamed(context, 64, 96, SinkhornOptions{.epsilon = 0.05, .solve = {.iterations = 60}});
  Matrix<float> plan(context, 64, 96), expected(context, 64, 96);
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, d.x, d.y, 0.0f, expected);
  stored.set_start(0, start);
  stored.solve(expected);
  stored.plan(expected, expected);
  streamed.set_start(0, start);
  streamed.solve(d.student(), 20);
  streamed.plan(d.student(), 0, plan);
  EXPECT_WITHIN(relative_l1(plan.download(), expected.download()), 1e-5);
  EXPECT_EQ(streamed.results()[0].iterations, 60);
}

TEST_P(EmbeddingKlotTest, RejectsWhatDoesNotFit) {
  Matrix<float> x(context, 5, 3), y(context, 6, 3), narrow(context, 6, 2);
  EXPECT_THROW(EmbeddingKlot(context, 5, 6, {}, KlotMemory::kStreamed, -1), InvalidArgument);
  for (const KlotMemory memory : kMemories) {
    EmbeddingKlot klot(context, 5, 6, {}, memory);
    EXPECT_THROW(klot.run({x, narrow}, {x, y}, x, y), InvalidArgument);
    EXPECT_THROW(klot.run({x, y}, {y, x}, x, y), InvalidArgument);
    EXPECT_THROW(klot.run({x, y}, {x, y}, x, narrow), InvalidArgument);
    EXPECT_THROW(klot.run({x, y}, {x, y}, y, y), InvalidArgument);
  }
  Sinkhorn two(context, 5, 6, {{.epsilon = 0.1}, {.epsilon = 0.2}}),
      one(context, 5, 6, SinkhornOptions{.solve = {.iterations = 2}});
  EXPECT_THROW(two.solve(Embeddings{x, y}), InvalidArgument);
  EXPECT_THROW(one.solve(Embeddings{x, narrow}), InvalidArgument);
  EXPECT_THROW(one.solve(Embeddings{x, y}, -3), InvalidArgument);
  one.solve(Embeddings{x, y});
  Matrix<float> plan(context, 5, 6);
  EXPECT_THROW(one.plan(Embeddings{x, y}, 1, plan), InvalidArgument);
  EXPECT_THROW(one.plan(Embeddings{x, y}, -1, plan), InvalidArgument);
}

}  // namespace lib_embedding_klot_test
}  // namespace sotalign
