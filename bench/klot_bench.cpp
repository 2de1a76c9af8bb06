// Time of a KLOT step (value and gradient) and of one Sinkhorn iteration, for affinities [n, n] of random
// unit vectors. Counters: GB/s of affinity read once per iteration, i.e. the traffic that cannot be avoided.
//
//   build/release/bench/klot_bench --benchmark_filter='klot/4096' --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "sotalign/linalg/gemm.h"
#include "sotalign/ot/klot.h"

namespace {

using namespace sotalign;

// Cosines of clustered vectors, as trained embeddings have: a common part for rows and columns, and noise.
Matrix<float> cosines(Context& context, int64_t n, unsigned seed) {
  constexpr int64_t kDim = 64;
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(n * kDim)), y(x.size());
  for (int64_t i = 0; i < n; ++i) {
    float nx = 0, ny = 0;
    for (int64_t d = 0; d < kDim; ++d) {
      const float common = normal(engine);
      x[i * kDim + d] = common + normal(engine), y[i * kDim + d] = common + normal(engine);
      nx += x[i * kDim + d] * x[i * kDim + d], ny += y[i * kDim + d] * y[i * kDim + d];
    }
    for (int64_t d = 0; d < kDim; ++d) x[i * kDim + d] /= std::sqrt(nx), y[i * kDim + d] /= std::sqrt(ny);
  }
  const Matrix<float> dx(context, x.data(), n, kDim), dy(context, y.data(), n, kDim);
  Matrix<float> k(context, n, n);
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, dx, dy, 0.0f, k);
  return k;
}

void sinkhorn(benchmark::State& state) {
  const int64_t n = state.range(0), iterations = 20;
  Context context;
  const Matrix<float> k = cosines(context, n, 1);
  Sinkhorn solver(context, n, n, SinkhornOptions{.epsilon = 0.05, .iterations = iterations});
  for (auto _ : state) {
    solver.solve(k);
    context.synchronize();
  }
  const double done = static_cast<double>(state.iterations() * iterations);
  state.counters["per_iteration"] =
      benchmark::Counter(done, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes"] =
      benchmark::Counter(done * static_cast<double>(n * n) * 4.0, benchmark::Counter::kIsRate,
                         benchmark::Counter::OneK::kIs1000);
}

void klot(benchmark::State& state) {
  const int64_t n = state.range(0);
  Context context;
  const Matrix<float> student = cosines(context, n, 1), teacher = cosines(context, n, 2);
  Matrix<float> gradient(context, n, n);
  Klot divergence(context, n, n, {});
  for (auto _ : state) {
    divergence.run(student, teacher, gradient);
    context.synchronize();
  }
}

BENCHMARK(sinkhorn)->RangeMultiplier(2)->Range(256, 8192)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(klot)->RangeMultiplier(2)->Range(256, 4096)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
