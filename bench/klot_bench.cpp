// Time of a KLOT step (value and gradient) and of a Sinkhorn iteration, for affinities [n, n] of random
// unit vectors, on the CPU and on the first CUDA device if there is one; beside them the rate at which the
// device copies a matrix of that size, the measure for both. The counter bytes is the affinity read once per
// iteration, the traffic that cannot be avoided; for the copy it is what is read and written.
//
//   build/release/bench/klot_bench --benchmark_filter='klot/cpu/4096' --benchmark_repetitions=5
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <string>
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

benchmark::Counter rate(double bytes) {
  return benchmark::Counter(bytes, benchmark::Counter::kIsRate, benchmark::Counter::OneK::kIs1000);
}

void copy(benchmark::State& state, Device device) {
  const int64_t n = state.range(0);
  Context context(device);
  const Matrix<float> from(context, n, n);
  Matrix<float> to(context, n, n);
  const size_t bytes = static_cast<size_t>(n * n) * sizeof(float);
  for (auto _ : state) {
    context.copy_on_device(to.data(), from.data(), bytes);
    context.synchronize();
  }
  state.counters["bytes"] = rate(2.0 * static_cast<double>(bytes) * static_cast<double>(state.iterations()));
}

void sinkhorn(benchmark::State& state, Device device) {
  const int64_t n = state.range(0), iterations = 20;
  Context context(device);
  const Matrix<float> k = cosines(context, n, 1);
  Sinkhorn solver(context, n, n, SinkhornOptions{.epsilon = 0.05, .iterations = iterations});
  for (auto _ : state) {
    solver.solve(k);
    context.synchronize();
  }
  const double done = static_cast<double>(state.iterations() * iterations);
  state.counters["per_iteration"] =
      benchmark::Counter(done, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes"] = rate(done * static_cast<double>(n * n) * 4.0);
}

void klot(benchmark::State& state, Device device) {
  const int64_t n = state.range(0);
  Context context(device);
  const Matrix<float> student = cosines(context, n, 1), teacher = cosines(context, n, 2);
  Matrix<float> gradient(context, n, n);
  Klot divergence(context, n, n, {});
  for (auto _ : state) {
    divergence.run(student, teacher, gradient);
    context.synchronize();
  }
}

void register_benchmarks(const Device& device) {
  const bool cpu = device.kind == DeviceKind::kCpu;
  const auto add = [&](const char* name, void (*function)(benchmark::State&, Device), int64_t largest) {
    benchmark::internal::Benchmark* entry =
        benchmark::RegisterBenchmark((std::string(name) + (cpu ? "/cpu" : "/cuda")).c_str(),
                                     [=](benchmark::State& state) { function(state, device); });
    for (int64_t n = 256; n <= largest; n *= 2) entry->Arg(n);
    if (!cpu) entry->Arg(22000);  // the paper's batch
    entry->Unit(benchmark::kMillisecond)->UseRealTime();
  };
  add("copy", copy, 8192);
  add("sinkhorn", sinkhorn, cpu ? 8192 : 32768);
  add("klot", klot, cpu ? 4096 : 32768);
}

}  // namespace

int main(int argc, char** argv) {
  register_benchmarks({});
  if (const Device device = parse_device("auto"); device.kind != DeviceKind::kCpu)
    register_benchmarks(device);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
