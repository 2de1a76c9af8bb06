// Log-sum-exp of rows and columns in one read of K from memory. Each task takes a chunk of rows, eight at a
// time, few enough to stay in cache. Rows: the maximum, then the sum. Columns: each keeps a running maximum
// and the sum relative to it, rescaled to a new maximum once per eight rows. The chunks are combined in a
// fixed order at the end.
#include "kernels/log_sum_exp.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/cpu/exp_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/log_sum_exp.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "kernels/cpu/exp_inl.h"

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {

/// Adds `rows` rows of k: maxima_j becomes the largest c k_ij so far, and sums_j the sum of exponentials
/// relative to it.
void AddRowsToColumns(const float* k, int64_t stride, int64_t rows, float c, float* maxima, float* sums,
                      int64_t count) {
  const D d;
  const V scale = hn::Set(d, c);
  const auto add = [&](const auto& load, V old, V sum, V& top) {
    top = old;
    for (int64_t r = 0; r < rows; ++r) top = hn::Max(top, hn::Mul(scale, load(r)));
    sum = hn::Mul(sum, Exp(d, Clamp(d, hn::Sub(old, top))));
    // The large product and maximum nearly cancel inside the fused multiply-add.
    for (int64_t r = 0; r < rows; ++r)
      sum = hn::Add(sum, Exp(d, Clamp(d, hn::MulAdd(scale, load(r), hn::Neg(top)))));
    return sum;
  };
  ForColumns(
      0, count,
      [&](int64_t j) {
        V top;
        const auto load = [&](int64_t r) { return hn::LoadU(d, k + r * stride + j); };
        hn::StoreU(add(load, hn::LoadU(d, maxima + j), hn::LoadU(d, sums + j), top), d, sums + j);
        hn::StoreU(top, d, maxima + j);
      },
      [&](int64_t j, auto mask) {
        V top;
        const auto load = [&](int64_t r) { return hn::MaskedLoad(mask, d, k + r * stride + j); };
        const V sum = add(load, hn::MaskedLoad(mask, d, maxima + j), hn::MaskedLoad(mask, d, sums + j), top);
        hn::BlendedStore(sum, mask, d, sums + j);
        hn::BlendedStore(top, mask, d, maxima + j);
      });
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(AddRowsToColumns);

namespace {

constexpr int64_t kAtOnce = 8;

/// Depends on the shape alone, so results do not depend on the number of threads.
int64_t chunks_of(int64_t rows) { return std::clamp<int64_t>(rows / 64, 1, 64); }

struct Scratch {
  float* zeros;          // [cols]
  float *maxima, *sums;  // [chunks, cols]
};
Scratch carve(Carver& carver, const LogSumExp& args) {
  const int64_t chunks = chunks_of(args.rows);
  Scratch s{};
  s.zeros = carver.take<float>(args.cols);
  s.maxima = carver.take<float>(chunks * args.cols);
  s.sums = carver.take<float>(chunks * args.cols);
  return s;
}

}  // namespace

size_t log_sum_exp_scratch(const Queue&, const LogSumExp& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void log_sum_exp(const Queue& queue, const LogSumExp& args) {
  const int64_t rows = args.rows, cols = args.cols, chunks = chunks_of(rows);
  const auto add_rows_to_columns = HWY_DYNAMIC_DISPATCH(AddRowsToColumns);
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args);
  std::fill_n(s.zeros, cols, 0.0f);
#pragma omp parallel for num_threads(queue.threads) schedule(dynamic)
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    float *maxima = s.maxima + chunk * cols, *sums = s.sums + chunk * cols;
    std::fill_n(maxima, cols, -FLT_MAX);
    std::fill_n(sums, cols, 0.0f);
    const int64_t end = chunk_begin(rows, chunks, chunk + 1);
    for (int64_t i = chunk_begin(rows, chunks, chunk); i < end; i += kAtOnce) {
      const int64_t count = std::min(kAtOnce, end - i);
      for (int64_t r = i; r < i + count; ++r)
        args.row[r] = log_sum_exp_row(args.k + r * args.stride, s.zeros, args.c, cols);
      add_rows_to_columns(args.k + i * args.stride, args.stride, count, args.c, maxima, sums, cols);
    }
  }
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t j = 0; j < cols; ++j) {
    float maximum = -FLT_MAX;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) maximum = std::max(maximum, s.maxima[chunk * cols + j]);
    double sum = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk)
      sum += static_cast<double>(s.sums[chunk * cols + j]) *
             std::exp(static_cast<double>(s.maxima[chunk * cols + j]) - static_cast<double>(maximum));
    args.column[j] = static_cast<double>(maximum) + std::log(sum);
  }
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
