// sotalign/c.h, called from C99 (c_calls.c), against loops in double precision, golden vectors and the C++
// library, in host memory and in that of the device.
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <thread>

#include "lib/c_calls.h"
#include "sotalign/ot/klot.h"
#include "sotalign/train/model.h"
#include "sotalign/version.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/npy.h"
#include "support/recording_resource.h"
#include "support/strided.h"
#include "support/temporary_directory.h"
#include "support/test_files.h"

namespace sotalign {
namespace lib_c_test {

using testing::EntropicOracle;
using testing::random_uniform;
using testing::relative_l1;
using testing::Strided;

using ContextHandle = std::unique_ptr<sotalign_context, decltype(&sotalign_context_destroy)>;

ContextHandle make_context(const sotalign_context_options& options) {
  sotalign_context* context = nullptr;
  EXPECT_EQ(sotalign_context_create(&options, &context), SOTALIGN_OK) << sotalign_last_error();
  return {context, sotalign_context_destroy};
}

std::string last_error() { return sotalign_last_error(); }

sotalign_const_matrix host(const std::vector<float>& values, int64_t rows, int64_t cols) {
  return {values.data(), rows, cols, cols, SOTALIGN_HOST_MEMORY};
}
sotalign_matrix host(std::vector<float>& values, int64_t rows, int64_t cols) {
  return {values.data(), rows, cols, cols, SOTALIGN_HOST_MEMORY};
}

/// The C context adopts the stream of the C++ one, so that buffers of the latter can be used with both.
class CTest : public testing::DeviceTest {
 protected:
  CTest() {
    sotalign_context_options_init(&options);
    options.device = device.c_str();
    if (GetParam().kind == DeviceKind::kCuda) options.adopt_stream = 1, options.stream = context.stream();
    handle = make_context(options);
  }

  std::string device = to_string(GetParam());
  sotalign_context_options options;
  ContextHandle handle{nullptr, sotalign_context_destroy};
};
SOTALIGN_ON_EVERY_DEVICE(CTest);

TEST_P(CTest, SinkhornAgreesWithTheOracleInEitherMemory) {
  const int64_t n = 21, m = 34;
  const std::vector<double> epsilon = {0.1, 0.3};
  const std::vector<float> k = random_uniform(2 * n * m, 1);
  std::vector<double> a(n, 1.0 / n), b(m), start(m);
  double total = 0;
  for (int64_t j = 0; j < m; ++j) total += b[j] = j == 3 ? 0 : 1.0 + double(j % 5);
  for (double& weight : b) weight /= total;
  for (int64_t j = 0; j < m; ++j) start[j] = 0.1 * double(j);

  EntropicOracle weighted({k.begin(), k.begin() + n * m}, n, m, epsilon[0]),
      uniform({k.begin() + n * m, k.end()}, n, m, epsilon[1]);
  weighted.b = b;
  weighted.v = start;
  weighted.v[3] = -std::numeric_limits<double>::infinity();
  weighted.iterate(20);
  uniform.solve(20, false);
  std::vector<double> expected = weighted.plan();
  const std::vector<double> second = uniform.plan();
  expected.insert(expected.end(), second.begin(), second.end());

  c_problem problem{.problems = 2,
                    .rows = n,
                    .cols = m,
                    .epsilon = epsilon.data(),
                    .a = nullptr,
                    .b = b.data(),
                    .start = start.data(),
                    .options = {}};
  sotalign_solve_options_init(&problem.options);
  problem.options.iterations = 20;
  for (const int memory : {SOTALIGN_HOST_MEMORY, SOTALIGN_CONTEXT_MEMORY})
    for (const testing::Layout layout : testing::layouts(m)) {
      SCOPED_TRACE("memory " + std::to_string(memory) + ", gap " + std::to_string(layout.gap));
      Context cpu;
      Context& owner = memory == SOTALIGN_HOST_MEMORY ? cpu : context;
      const Strided<float> affinity(owner, k, 2 * n, m, layout);
      Strided<float> plan(owner, 2 * n, m, layout);
      const sotalign_const_matrix in{affinity.data(), 2 * n, m, affinity.stride(), memory};
      const sotalign_matrix out{plan.data(), 2 * n, m, plan.stride(), memory};
      std::vector<sotalign_solve_result> results(2);
      std::vector<double> u(2 * n), v(2 * m);
      ASSERT_EQ(c_sinkhorn(handle.get(), &problem, &in, &out, results.data(), u.data(), v.data()),
                SOTALIGN_OK)
          << last_error();
      EXPECT_WITHIN(relative_l1(plan.download(), expected), 5e-6);
      EXPECT_WITHIN(std::abs(results[0].row_error - weighted.row_error()), 2e-6);
      EXPECT_WITHIN(std::abs(results[1].row_error - uniform.row_error()), 2e-6);
      for (const sotalign_solve_result& result : results) {
        EXPECT_EQ(result.iterations, 20);
        EXPECT_EQ(result.status, SOTALIGN_FIXED);
        EXPECT_EQ(result.marginal_error, result.row_error + result.column_error);
      }
      EXPECT_WITHIN(testing::max_difference(std::vector<double>(u.begin() + n, u.end()), uniform.u), 1e-4);
      EXPECT_WITHIN(testing::max_difference(std::vector<double>(v.begin() + m, v.end()), uniform.v), 1e-4);
      EXPECT_EQ(v[3], -std::numeric_limits<double>::infinity());
    }
}

TEST_P(CTest, KlotGoldenVectors) {
  for (const std::string name : {"klot_0", "klot_1"}) {
    SCOPED_TRACE(name);
    const std::string path = testing::test_files() + "/golden/" + name;
    const testing::GoldenArray student = testing::read_golden(path + ".k_student.npy");
    const int64_t n = student.shape[0], m = student.shape[1];
    const std::vector<float> k = student.as_float(),
                             k_teacher = testing::read_golden(path + ".k_teacher.npy").as_float();
    std::vector<float> gradient(k.size());
    const sotalign_const_matrix in = host(k, n, m), teacher = host(k_teacher, n, m);
    const sotalign_matrix out = host(gradient, n, m);
    double value = 0;
    sotalign_solve_result results[2];
    ASSERT_EQ(c_klot(handle.get(), 0.05, 0.01, 100, &in, &teacher, &out, &value, results), SOTALIGN_OK)
        << last_error();
    EXPECT_WITHIN(relative_l1(gradient, testing::read_golden(path + ".grad.npy").values, 0.1 / 0.05), 5e-5);

    const Matrix<float> dk(context, k.data(), n, m), dt(context, k_teacher.data(), n, m);
    Matrix<float> dg(context, n, m);
    Klot klot(context, n, m, {.epsilon_student = 0.05, .epsilon_teacher = 0.01});
    klot.run(dk, dt, dg);
    EXPECT_EQ(value, klot.result().value);
    EXPECT_EQ(results[0].row_error, klot.result().student.row_error);
    EXPECT_EQ(results[1].row_error, klot.result().teacher.row_error);
    EXPECT_EQ(gradient, dg.download());

    double alone = 0;  // without a gradient
    ASSERT_EQ(c_klot(handle.get(), 0.05, 0.01, 100, &in, &teacher, nullptr, &alone, results), SOTALIGN_OK);
    EXPECT_EQ(alone, value);
  }
}

TEST_P(CTest, KlotHoldsTheWeightsAndTheScale) {
  const int64_t n = 6, m = 9;
  const std::vector<float> k = random_uniform(n * m, 2), k_teacher = random_uniform(n * m, 3);
  const std::vector<double> a = {1, 2, 3, 4, 5, 6};
  sotalign_klot* klot = nullptr;
  ASSERT_EQ(sotalign_klot_create(handle.get(), n, m, 0.2, 0.1, 0, nullptr, nullptr, &klot), SOTALIGN_OK);
  ASSERT_EQ(sotalign_klot_set_weights(klot, a.data(), nullptr), SOTALIGN_OK);
  std::vector<float> gradient(k.size());
  const sotalign_const_matrix in = host(k, n, m), teacher = host(k_teacher, n, m);
  const sotalign_matrix out = host(gradient, n, m);
  ASSERT_EQ(sotalign_klot_run(klot, &in, &teacher, &out, -2.0), SOTALIGN_OK) << last_error();
  double value = 0;
  EXPECT_EQ(sotalign_klot_result(klot, &value, nullptr, nullptr), SOTALIGN_OK);
  sotalign_klot_destroy(klot);

  EntropicOracle student(k, n, m, 0.2), target(k_teacher, n, m, 0.1);
  for (EntropicOracle* side : {&student, &target})
    for (int64_t i = 0; i < n; ++i) side->a[i] = a[i] / 21;
  student.solve(100, false), target.solve(100, false);
  EXPECT_WITHIN(std::abs(value - klot_value(student, target)), 1e-5);
  std::vector<double> expected = student.plan();
  const std::vector<double> plan = target.plan();
  for (size_t i = 0; i < expected.size(); ++i) expected[i] = -2 * (expected[i] - plan[i]) / 0.2;
  EXPECT_WITHIN(relative_l1(gradient, expected), 2e-5);
}

TEST_P(CTest, AModelEmbedsAsInCpp) {
  testing::TemporaryDirectory directory;
  const std::string path = directory / "model.safetensors";
  const int64_t rows = 7;
  Model model(context, {.input_dim = 5, .hidden = {8}, .output_dim = 4}, {.input_dim = 6, .output_dim = 4},
              3);
  model.image_preprocessing.mean = random_uniform(5, 4);
  model.text_preprocessing.mean = random_uniform(6, 5);
  model.save(path);
  for (const int side : {SOTALIGN_IMAGE, SOTALIGN_TEXT}) {
    const int64_t dim = side == SOTALIGN_IMAGE ? 5 : 6;
    const std::vector<float> x = random_uniform(rows * dim, 6);
    std::vector<float> out(rows * 4);
    const sotalign_const_matrix in = host(x, rows, dim);
    const sotalign_matrix result = host(out, rows, 4);
    int64_t dims[2] = {};
    ASSERT_EQ(c_embed(handle.get(), path.c_str(), side, SOTALIGN_HEADS, &in, &result, dims), SOTALIGN_OK)
        << last_error();
    EXPECT_EQ(dims[0], dim);
    EXPECT_EQ(dims[1], 4);
    const Matrix<float> dx(context, x.data(), rows, dim);
    Matrix<float> expected(context, rows, 4);
    model.embed(side == SOTALIGN_IMAGE ? Side::kX : Side::kY, Projection::kHeads, dx, expected);
    EXPECT_EQ(out, expected.download());

    EXPECT_EQ(c_embed(handle.get(), path.c_str(), side, SOTALIGN_TEACHER, &in, &result, dims),
              SOTALIGN_INVALID_ARGUMENT);
    EXPECT_EQ(dims[1], 0) << "there is no teacher";
    EXPECT_EQ(c_embed(handle.get(), path.c_str(), 1 - side, SOTALIGN_HEADS, &in, &result, dims),
              SOTALIGN_INVALID_ARGUMENT);
  }
  const sotalign_const_matrix none{};
  const sotalign_matrix nowhere{};
  int64_t dims[2];
  const std::string missing = directory / "missing.safetensors";
  EXPECT_EQ(c_embed(handle.get(), missing.c_str(), 0, 0, &none, &nowhere, dims), SOTALIGN_IO_ERROR);
  EXPECT_NE(last_error().find("missing.safetensors"), std::string::npos) << last_error();
}

struct Memory {
  testing::RecordingResource resource;
  static void* allocate(size_t bytes, size_t alignment, void* stream, void* user) {
    return static_cast<Memory*>(user)->resource.allocate(bytes, alignment, static_cast<CudaStream>(stream));
  }
  static void deallocate(void* pointer, size_t bytes, size_t alignment, void* stream, void* user) {
    static_cast<Memory*>(user)->resource.deallocate(pointer, bytes, alignment,
                                                    static_cast<CudaStream>(stream));
  }
};

TEST_P(CTest, MemoryComesFromTheCallersFunctions) {
  Memory memory{testing::RecordingResource(GetParam())};
  options.allocate = Memory::allocate;
  options.deallocate = Memory::deallocate;
  options.user = &memory;
  const std::vector<float> k = random_uniform(20, 1);
  std::vector<float> gradient(20);
  const sotalign_const_matrix in = host(k, 4, 5);
  const sotalign_matrix out = host(gradient, 4, 5);
  double value = 0;
  sotalign_solve_result results[2];
  {
    const ContextHandle own = make_context(options);
    EXPECT_EQ(c_klot(own.get(), 0.1, 0.1, 5, &in, &in, &out, &value, results), SOTALIGN_OK) << last_error();
    EXPECT_GT(memory.resource.allocations, 0);
    EXPECT_EQ(memory.resource.streams, std::set<CudaStream>{context.stream()});
    memory.resource.fail(testing::Fault::kNull, 0);
    EXPECT_EQ(c_klot(own.get(), 0.1, 0.1, 5, &in, &in, &out, &value, results), SOTALIGN_OUT_OF_MEMORY);
    EXPECT_NE(last_error(), "");
    EXPECT_EQ(c_klot(own.get(), 0.1, 0.1, 5, &in, &in, &out, &value, results), SOTALIGN_OK) << last_error();
  }
  EXPECT_TRUE(memory.resource.live.empty());
  options.deallocate = nullptr;
  sotalign_context* none = nullptr;
  EXPECT_EQ(sotalign_context_create(&options, &none), SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(none, nullptr);
}

TEST_P(CTest, BadArgumentsAreNamedAndChangeNothing) {
  const std::vector<float> k = random_uniform(20, 1);
  const double epsilon = 0.1, negative = -1;
  sotalign_sinkhorn* solver = nullptr;
  const auto create = [&](int64_t rows, const double* e, const sotalign_solve_options* solve) {
    return sotalign_sinkhorn_create(handle.get(), 1, rows, 5, e, 0, solve, &solver);
  };
  const auto refused = [&](int status, const char* text) {
    EXPECT_EQ(status, SOTALIGN_INVALID_ARGUMENT);
    EXPECT_NE(last_error().find(text), std::string::npos) << last_error();
  };
  refused(create(0, &epsilon, nullptr), "[0, 5]");
  refused(create(4, &negative, nullptr), "epsilon");
  refused(create(4, nullptr, nullptr), "epsilon: expected a pointer, found null");
  sotalign_solve_options solve;
  sotalign_solve_options_init(&solve);
  solve.form = 3;
  refused(create(4, &epsilon, &solve), "options: form: expected 0 to 2, found 3");
  solve.form = 0, solve.relaxation = 2;
  refused(create(4, &epsilon, &solve), "relaxation");
  EXPECT_EQ(sotalign_sinkhorn_create(nullptr, 1, 4, 5, &epsilon, 0, nullptr, &solver),
            SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(sotalign_sinkhorn_create(handle.get(), 0, 4, 5, &epsilon, 0, nullptr, &solver),
            SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(solver, nullptr);

  ASSERT_EQ(create(4, &epsilon, nullptr), SOTALIGN_OK);
  sotalign_const_matrix in = host(k, 4, 5);
  const auto with = [&](auto change) {
    sotalign_const_matrix changed = in;
    change(changed);
    return sotalign_sinkhorn_solve(solver, &changed);
  };
  refused(with([](auto& x) { x.data = nullptr; }), "affinity: expected a pointer");
  refused(with([](auto& x) { x.rows = -1; }), "affinity");
  refused(with([](auto& x) { x.rows = 3; }), "4");
  refused(with([](auto& x) { x.stride = 4; }), "stride");
  refused(with([](auto& x) { x.stride = std::numeric_limits<int64_t>::max(); }), "affinity");
  refused(with([](auto& x) { x.memory = 2; }), "memory");
  refused(sotalign_sinkhorn_solve(solver, nullptr), "affinity");
  const std::vector<double> bad = {1, -1, 1, 1};
  refused(sotalign_sinkhorn_set_weights(solver, 0, bad.data(), nullptr), "weight");
  refused(sotalign_sinkhorn_set_weights(solver, 1, nullptr, nullptr), "problem: expected 0 to 0, found 1");
  refused(sotalign_sinkhorn_set_start(solver, 0, nullptr), "v: ");

  ASSERT_EQ(sotalign_sinkhorn_solve(solver, &in), SOTALIGN_OK) << last_error();
  sotalign_solve_result result;
  EXPECT_EQ(sotalign_sinkhorn_result(solver, 0, &result), SOTALIGN_OK);
  EXPECT_EQ(result.iterations, 100);
  std::vector<float> plan(24);
  const sotalign_matrix wide{plan.data(), 4, 5, 6, SOTALIGN_HOST_MEMORY};
  refused(sotalign_sinkhorn_plan(solver, &in, &wide), "stride");

  std::vector<float> infinite = k;
  infinite[7] = std::numeric_limits<float>::infinity();
  in.data = infinite.data();
  ASSERT_EQ(sotalign_sinkhorn_solve(solver, &in), SOTALIGN_OK);
  EXPECT_EQ(sotalign_sinkhorn_result(solver, 0, &result), SOTALIGN_NUMERICAL_ERROR);
  sotalign_sinkhorn_destroy(solver);
}

TEST(C, ContextsAreTheCpuByDefaultAndUnknownDevicesAreRefused) {
  sotalign_context* context = nullptr;
  ASSERT_EQ(sotalign_context_create(nullptr, &context), SOTALIGN_OK);
  EXPECT_STREQ(sotalign_context_device(context), "cpu");
  EXPECT_EQ(sotalign_context_synchronize(context), SOTALIGN_OK);
  sotalign_context_destroy(context);
  sotalign_context_options options;
  sotalign_context_options_init(&options);
  context = nullptr;
  options.device = "gpu";
  EXPECT_EQ(sotalign_context_create(&options, &context), SOTALIGN_INVALID_ARGUMENT);
  EXPECT_NE(last_error().find("'gpu'"), std::string::npos) << last_error();
  options.device = nullptr;
  EXPECT_EQ(sotalign_context_create(&options, &context), SOTALIGN_INVALID_ARGUMENT);
  options.device = "cpu", options.threads = -1;
  EXPECT_EQ(sotalign_context_create(&options, &context), SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(context, nullptr);
  EXPECT_EQ(sotalign_context_create(nullptr, nullptr), SOTALIGN_INVALID_ARGUMENT);
}

TEST(C, NullHandlesAreRefusedAndDestroyed) {
  EXPECT_EQ(sotalign_context_synchronize(nullptr), SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(sotalign_sinkhorn_solve(nullptr, nullptr), SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(sotalign_sinkhorn_potentials(nullptr, 0, nullptr, nullptr), SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(sotalign_klot_run(nullptr, nullptr, nullptr, nullptr, 1), SOTALIGN_INVALID_ARGUMENT);
  EXPECT_EQ(sotalign_model_embed(nullptr, 0, 0, nullptr, nullptr), SOTALIGN_INVALID_ARGUMENT);
  sotalign_context_destroy(nullptr);
  sotalign_sinkhorn_destroy(nullptr);
  sotalign_klot_destroy(nullptr);
  sotalign_model_destroy(nullptr);
}

TEST(C, EachThreadHasItsOwnLastError) {
  EXPECT_EQ(sotalign_context_synchronize(nullptr), SOTALIGN_INVALID_ARGUMENT);
  const std::string here = last_error();
  EXPECT_NE(here, "");
  std::thread([&] {
    EXPECT_EQ(last_error(), "");
    EXPECT_EQ(sotalign_sinkhorn_solve(nullptr, nullptr), SOTALIGN_INVALID_ARGUMENT);
    EXPECT_NE(last_error(), here);
  }).join();
  EXPECT_EQ(last_error(), here);
}

TEST(C, DefaultsAreThoseOfCpp) {
  EXPECT_STREQ(sotalign_version(), version());
  sotalign_solve_options options;
  sotalign_solve_options_init(&options);
  const SolveOptions expected;
  EXPECT_EQ(options.iterations, expected.iterations);
  EXPECT_EQ(options.tolerance, expected.tolerance);
  EXPECT_EQ(options.check_every, expected.check_every);
  EXPECT_EQ(options.relaxation, expected.relaxation);
  EXPECT_EQ(options.epsilon_scaling, expected.epsilon_scaling);
  EXPECT_EQ(options.form, SOTALIGN_FORM_AUTO);
  EXPECT_EQ(options.storage, SOTALIGN_STORAGE_FLOAT);
}

}  // namespace lib_c_test
}  // namespace sotalign
