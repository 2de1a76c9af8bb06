// Times a Sinkhorn iteration, and a step (value and gradient) of KLOT, InfoNCE and CKA, for affinities [n, n]
// of random unit vectors, and the hubness corrections of a gallery, on the CPU and on the first CUDA device
// if there is one. The time of an iteration is the difference of two solves, so that one-time costs cancel.
// Reported with each time, at the median of the samples:
//   GB_per_s     minimum traffic per second: one read of the matrix per iteration; two reads of both
//                matrices and one write for InfoNCE and CKA
//   percent      of the device's bandwidth for a matrix of that size, measured just before: a read on
//                the CPU, a copy (bytes read plus written) on CUDA
//   ns_per_entry per matrix entry and iteration
// Hubness corrections report GFLOP_per_s of their product, and bank_ms, the time to build the bank. The
// column Time is the mean. Sizes that do not fit into memory are skipped with a message.
//
//   build/release/bench/klot_bench --benchmark_filter='sinkhorn/cpu/n:(1024|4096)/batch:1'
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/eval/hubness.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/loss/divergence.h"
#include "sotalign/ot/klot.h"

namespace {

using namespace sotalign;

// Whether products run on the device; where only the driver is installed, cuBLAS cannot be loaded.
bool has_products(Context& context) {
  const Matrix<float> one(context, std::vector<float>{1}.data(), 1, 1);
  Matrix<float> product(context, 1, 1);
  try {
    gemm(context, Op::kNone, Op::kNone, 1.0f, one, one, 0.0f, product);
  } catch (const Error&) {
    return false;
  }
  return true;
}

// Cosines of clustered vectors, as trained embeddings have: a part common to rows and columns, and noise.
Matrix<float> cosines(Context& context, int64_t rows, int64_t cols, unsigned seed) {
  constexpr int64_t kDim = 64;
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  const auto unit_rows = [&](int64_t count, const std::vector<float>* common) {
    std::vector<float> x(static_cast<size_t>(count * kDim));
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = normal(engine) + (common == nullptr ? 0.0f : (*common)[i % common->size()]);
    for (auto row = x.begin(); row != x.end(); row += kDim) {
      float norm = 0;
      for (int64_t d = 0; d < kDim; ++d) norm += row[d] * row[d];
      for (int64_t d = 0; d < kDim; ++d) row[d] /= std::sqrt(norm);
    }
    return x;
  };
  // The common part and the noise have the same length.
  std::vector<float> common = unit_rows(cols, nullptr);
  for (float& value : common) value *= std::sqrt(static_cast<float>(kDim));
  const std::vector<float> x = unit_rows(rows, &common), y = unit_rows(cols, &common);
  const auto product = [&](Context& on) {
    const Matrix<float> dx(on, x.data(), rows, kDim), dy(on, y.data(), cols, kDim);
    Matrix<float> k(on, rows, cols);
    gemm(on, Op::kNone, Op::kTranspose, 1.0f, dx, dy, 0.0f, k);
    return k;
  };
  if (has_products(context)) return product(context);
  Context cpu;
  return Matrix<float>(context, product(cpu).download().data(), rows, cols);
}

template <class Run>
double seconds_of(Context& context, Run&& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  context.synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Several accumulators, so that the loop is bound by memory rather than by the latency of additions.
float sum_of(const float* data, int64_t count, [[maybe_unused]] int threads) {
  constexpr int64_t kLanes = 32;
  float total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
  {
    float sums[kLanes] = {};
#pragma omp for
    for (int64_t i = 0; i < count / kLanes; ++i)
#pragma omp simd
      for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += data[i * kLanes + lane];
    for (const float sum : sums) total += sum;
  }
  return total;
}

// Median bandwidth in bytes per second.
double bandwidth(Context& context, const Matrix<float>& matrix) {
  constexpr int kSamples = 11;
  const bool cpu = context.device().kind == DeviceKind::kCpu;
  const double bytes = static_cast<double>(matrix.size()) * sizeof(float);
  Matrix<float> copy;
  if (!cpu) copy = Matrix<float>(context, matrix.rows(), matrix.cols(), "copy");
  // Copies of small matrices end before the next one is launched; queueing a few at a time hides that.
  const int at_once = cpu ? 1 : 8;
  std::vector<double> seconds;
  for (int sample = 0; sample < kSamples; ++sample)
    seconds.push_back(seconds_of(context, [&] {
      for (int i = 0; i < at_once; ++i) {
        if (cpu)
          benchmark::DoNotOptimize(sum_of(matrix.data(), matrix.size(), context.threads()));
        else
          context.copy_on_device(copy.data(), matrix.data(), static_cast<size_t>(bytes));
      }
    }));
  std::nth_element(seconds.begin(), seconds.begin() + kSamples / 2, seconds.end());
  return (cpu ? 1.0 : 2.0) * at_once * bytes / seconds[kSamples / 2];
}

// Samples measure() and returns the median.
template <class Measure>
double sample(benchmark::State& state, Measure&& measure) {
  std::vector<double> samples;
  for (auto _ : state) {
    samples.push_back(measure());
    state.SetIterationTime(samples.back());
  }
  std::sort(samples.begin(), samples.end());
  const auto percentile = [&](size_t percent) {
    return samples[((samples.size() - 1) * percent + 50) / 100];
  };
  state.counters["p10_ms"] = 1e3 * percentile(10);
  state.counters["median_ms"] = 1e3 * percentile(50);
  state.counters["p90_ms"] = 1e3 * percentile(90);
  return percentile(50);
}

// Samples measure(), whose run has this many Sinkhorn iterations and entries and moves at least this many
// bytes.
template <class Measure>
void report(benchmark::State& state, double bandwidth, double bytes, double iterations, double entries,
            Measure&& measure) {
  const double median = sample(state, measure);
  state.counters["GB_per_s"] = 1e-9 * bytes / median;
  state.counters["percent"] = 100.0 * bytes / median / bandwidth;
  state.counters["ns_per_entry"] = 1e9 * median / (iterations * entries);
}

// Linux hands out more host memory than it has and kills the process on use; CUDA reports an error.
void require_memory(const Context& context, double bytes) {
  if (context.device().kind != DeviceKind::kCpu) return;
  std::ifstream info("/proc/meminfo");
  for (std::string key, unit; info >> key;) {
    double available = 0;
    if (key == "MemAvailable:" && info >> available && bytes > 1024 * available)
      throw OutOfMemory(fmt::format("{:.1f} GB needed, {:.1f} GB free", bytes / 1e9, 1.024e-6 * available));
    std::getline(info, unit);
  }
}

void sinkhorn(benchmark::State& state, Device device, SinkhornOptions options) {
  // Both exceed the fine iterations that end a ladder, so that those cancel in the difference.
  constexpr int64_t kLow = 30, kHigh = 70;
  const int64_t n = state.range(0), batch = state.range(1);
  const double entries = static_cast<double>(batch * n) * static_cast<double>(n);
  Context context(device);
  require_memory(context, 3 * entries * sizeof(float));
  const Matrix<float> k = cosines(context, batch * n, n, 1);
  const double most = bandwidth(context, k);
  const auto solver = [&](int64_t iterations) {
    options.solve.iterations = iterations;
    return Sinkhorn(context, n, n, std::vector<SinkhornOptions>(static_cast<size_t>(batch), options));
  };
  Sinkhorn low = solver(kLow), high = solver(kHigh);
  low.solve(k), high.solve(k);  // one-time allocations
  context.synchronize();
  const double entry_bytes = options.solve.storage == SinkhornStorage::kLadder ? 2 : 4;
  report(state, most, entries * entry_bytes, 1.0, entries, [&] {
    const double less = seconds_of(context, [&] { low.solve(k); });
    const double more = seconds_of(context, [&] { high.solve(k); });
    return (more - less) / static_cast<double>(kHigh - kLow);
  });
}

enum class Batch { kRagged, kPadded };

// An iteration of a batch of problems with shapes from [n / 8, n / 8] to [n, n]: ragged, or padded to the
// largest shape with zero weights for the additional rows and columns. Entries count only the problems' own,
// in both cases.
void several_shapes(benchmark::State& state, Device device, SinkhornOptions options, Batch kind) {
  constexpr int64_t kLow = 30, kHigh = 70;
  const int64_t n = state.range(0), batch = state.range(1);
  std::mt19937 engine(7);
  std::uniform_int_distribution<int64_t> size(n / 8, n);
  std::vector<SinkhornShape> shapes = {{n, n}};
  while (static_cast<int64_t>(shapes.size()) < batch) {
    const int64_t rows = size(engine), cols = size(engine);
    shapes.push_back({rows, cols});
  }
  double entries = 0;
  for (const SinkhornShape& shape : shapes)
    entries += static_cast<double>(shape.rows) * static_cast<double>(shape.cols);
  Context context(device);
  require_memory(context, 3.0 * static_cast<double>(batch * n) * static_cast<double>(n) * sizeof(float));
  const Matrix<float> k = cosines(context, batch * n, n, 1);
  std::vector<ConstMatrixF> affinities;
  for (int64_t b = 0; b < batch; ++b) {
    const SinkhornShape shape = shapes[static_cast<size_t>(b)];
    affinities.emplace_back(k.data() + b * n * n, shape.rows, shape.cols, n);
  }
  const double most = bandwidth(context, k);
  const auto weights = [n](int64_t count) {
    std::vector<double> w(static_cast<size_t>(n), 0.0);
    std::fill_n(w.begin(), count, 1.0);
    return w;
  };
  const auto solver = [&](int64_t iterations) {
    options.solve.iterations = iterations;
    if (kind == Batch::kRagged) return Sinkhorn(context, shapes, options);
    Sinkhorn padded(context, n, n, std::vector<SinkhornOptions>(static_cast<size_t>(batch), options));
    for (int64_t b = 0; b < batch; ++b) {
      const SinkhornShape shape = shapes[static_cast<size_t>(b)];
      padded.set_weights(b, weights(shape.rows), weights(shape.cols));
    }
    return padded;
  };
  const auto solve = [&](Sinkhorn& s) {
    if (kind == Batch::kRagged)
      s.solve(affinities);
    else
      s.solve(k);
  };
  Sinkhorn low = solver(kLow), high = solver(kHigh);
  solve(low), solve(high);  // one-time allocations
  context.synchronize();
  const double entry_bytes = options.solve.storage == SinkhornStorage::kLadder ? 2 : 4;
  report(state, most, entries * entry_bytes, 1.0, entries, [&] {
    const double less = seconds_of(context, [&] { solve(low); });
    const double more = seconds_of(context, [&] { solve(high); });
    return (more - less) / static_cast<double>(kHigh - kLow);
  });
  state.counters["entries_per_s"] = 1e3 * entries / state.counters["median_ms"];
}

void klot(benchmark::State& state, Device device, KlotOptions options) {
  const int64_t n = state.range(0);
  const double entries = static_cast<double>(n) * static_cast<double>(n);
  Context context(device);
  require_memory(context, 5 * entries * sizeof(float));
  const Matrix<float> student = cosines(context, n, n, 1), teacher = cosines(context, n, n, 2);
  const double most = bandwidth(context, student);
  Matrix<float> gradient(context, n, n);
  Klot divergence(context, n, n, options);
  divergence.run(student, teacher, gradient);
  context.synchronize();
  // One read per iteration; the gradient pass reads both matrices and writes one.
  const double iterations = static_cast<double>(options.student.iterations + options.teacher.iterations);
  report(state, most, (iterations + 3.0) * entries * sizeof(float), iterations, entries,
         [&] { return seconds_of(context, [&] { divergence.run(student, teacher, gradient); }); });
}

void divergence(benchmark::State& state, Device device, const std::string& name) {
  const int64_t n = state.range(0);
  const double entries = static_cast<double>(n) * static_cast<double>(n);
  Context context(device);
  require_memory(context, 4 * entries * sizeof(float));
  const Matrix<float> student = cosines(context, n, n, 1), teacher = cosines(context, n, n, 2);
  const double most = bandwidth(context, student);
  Matrix<float> gradient(context, n, n);
  const auto divergence = make_divergence(context, n, n, {.name = name});
  divergence->run(student, teacher, gradient);
  context.synchronize();
  report(state, most, 5.0 * entries * sizeof(float), 1.0, entries,
         [&] { return seconds_of(context, [&] { divergence->run(student, teacher, gradient); }); });
}

// Corrections of a gallery of n texts from a bank of 1500 rows of each side.
void hubness(benchmark::State& state, Device device, Hubness kind) {
  constexpr int64_t kBank = 1500, kDim = 512;
  const int64_t n = state.range(0);
  Context context(device);
  require_memory(context, 2.0 * static_cast<double>((n + 2 * kBank) * kDim) * sizeof(float));
  std::mt19937 engine(3);
  std::normal_distribution<float> normal;
  const auto rows = [&](int64_t count) {
    std::vector<float> x(static_cast<size_t>(count * kDim));
    for (float& value : x) value = normal(engine);
    return Matrix<float>(context, x.data(), count, kDim);
  };
  const Matrix<float> images = rows(kBank), texts = rows(kBank), gallery = rows(n);
  const auto build = [&] { return HubnessCorrection(context, images, texts, {.kind = kind}); };
  const HubnessCorrection correction = build();
  state.counters["bank_ms"] = 1e3 * seconds_of(context, build);
  correction.corrections(context, Side::kY, gallery);  // one-time allocations
  const double median = sample(state, [&] {
    return seconds_of(context,
                      [&] { benchmark::DoNotOptimize(correction.corrections(context, Side::kY, gallery)); });
  });
  state.counters["GFLOP_per_s"] = 2e-9 * static_cast<double>(n * kBank * kDim) / median;
}

// A benchmark that reports its own time.
template <class Function>
benchmark::internal::Benchmark* add(const std::string& name, int64_t samples, Function function) {
  const auto guarded = [function](benchmark::State& state) {
    try {
      function(state);
    } catch (const Error& error) {
      state.SkipWithError(error.what());
    }
  };
  return benchmark::RegisterBenchmark(name.c_str(), guarded)
      ->Unit(benchmark::kMillisecond)
      ->UseManualTime()
      ->Iterations(samples);
}

struct Way {
  const char* name;
  SinkhornForm form;
  SinkhornStorage storage;
};
constexpr Way kWays[] = {{"scaling", SinkhornForm::kScaling, SinkhornStorage::kFloat},
                         {"ladder", SinkhornForm::kScaling, SinkhornStorage::kLadder},
                         {"log_domain", SinkhornForm::kLogDomain, SinkhornStorage::kFloat}};

void register_benchmarks(const Device& device) {
  const bool cpu = device.kind == DeviceKind::kCpu;
  const std::string where = cpu ? "/cpu" : "/cuda";
  std::vector<int64_t> sizes;
  for (int64_t n = 256; n <= 32768; n *= 2) sizes.push_back(n);
  if (!cpu) sizes.push_back(22000);  // the paper's batch
  for (const Hubness kind : {Hubness::kDbs, Hubness::kInvertedSoftmax, Hubness::kCsls})
    add("hubness" + where + "/" + to_string(kind), 30, [=](auto& state) { hubness(state, device, kind); })
        ->ArgNames({"n"})
        ->Args({10000});
  for (const int64_t n : sizes) {
    const int64_t samples = cpu && n > 4096 ? 5 : 30;  // large sizes take seconds per sample
    for (const std::string divergence_name : {"infonce", "cka"})
      add(divergence_name + where, samples, [=](auto& state) { divergence(state, device, divergence_name); })
          ->ArgNames({"n"})
          ->Args({n});
    for (const Way& way : kWays) {
      const std::string name = where + "/" + way.name;
      for (const int64_t batch : {1, 2, 8})
        if (batch == 1 || n <= 4096)
          add("sinkhorn" + name, samples,
              [=](auto& state) {
                sinkhorn(state, device, {.solve = {.form = way.form, .storage = way.storage}});
              })
              ->ArgNames({"n", "batch"})
              ->Args({n, batch});
      if (n <= 2048)
        for (const auto& [batch_name, kind] :
             {std::pair{"ragged", Batch::kRagged}, std::pair{"padded", Batch::kPadded}})
          add(batch_name + name, samples,
              [=, kind = kind](auto& state) {
                several_shapes(state, device, {.solve = {.form = way.form, .storage = way.storage}}, kind);
              })
              ->ArgNames({"n", "batch"})
              ->Args({n, 32});
      add("klot" + name, samples,
          [=](auto& state) {
            klot(state, device, KlotOptions{}.with_both({.form = way.form, .storage = way.storage}));
          })
          ->ArgNames({"n"})
          ->Args({n});
    }
  }
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
