// y_i = x_{index_i}, one pass. A power of two of adjacent threads copies a row, so a block copies several
// short rows or one long one. Rows move as float4 if all are 16-byte aligned, the last few entries one by
// one. Loads are streaming (__ldcs), since a batch does not return to rows it has read.
#include "kernels/gather_rows.h"

#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kLoads = 4;  // per thread, in flight before its first store

// Unit is float or float4.
template <class Unit>
__global__ void __launch_bounds__(kThreads) gather_rows_kernel(GatherRows args, int threads_per_row) {
  constexpr int64_t kFloats = sizeof(Unit) / sizeof(float);
  const int thread = static_cast<int>(threadIdx.x) % threads_per_row;
  const int64_t i =
      blockIdx.x * int64_t{kThreads / threads_per_row} + static_cast<int>(threadIdx.x) / threads_per_row;
  if (i >= args.rows) return;
  const float* x = args.x + args.index[i] * args.x_stride;
  float* y = args.y + i * args.y_stride;
  const Unit* x_units = reinterpret_cast<const Unit*>(x);
  Unit* y_units = reinterpret_cast<Unit*>(y);
  const int64_t units = args.cols / kFloats;
  for (int64_t first = thread; first < units; first += kLoads * threads_per_row) {
    Unit parts[kLoads] = {};
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int64_t j = first + l * threads_per_row;
      if (j < units) parts[l] = __ldcs(x_units + j);
    }
#pragma unroll
    for (int l = 0; l < kLoads; ++l) {
      const int64_t j = first + l * threads_per_row;
      if (j < units) y_units[j] = parts[l];
    }
  }
  for (int64_t j = units * kFloats + thread; j < args.cols; j += threads_per_row) y[j] = x[j];
}

bool starts_on_16_bytes(const float* rows, int64_t stride) {
  return reinterpret_cast<uintptr_t>(rows) % 16 == 0 && stride % 4 == 0;
}

template <class Unit>
void gather(const Queue& queue, const GatherRows& args) {
  const int64_t units = args.cols / static_cast<int64_t>(sizeof(Unit) / sizeof(float));
  // Up to a warp per row, so that its loads coalesce; more threads while each has more than kLoads loads.
  int threads_per_row = 1;
  while (threads_per_row < kThreads &&
         (threads_per_row < 32 ? threads_per_row < units : threads_per_row * kLoads < units))
    threads_per_row *= 2;
  launch(queue, "gather_rows", gather_rows_kernel<Unit>, blocks_for(args.rows, kThreads / threads_per_row),
         kThreads, 0, args, threads_per_row);
}

}  // namespace

void gather_rows(const Queue& queue, const GatherRows& args) {
  if (starts_on_16_bytes(args.x, args.x_stride) && starts_on_16_bytes(args.y, args.y_stride))
    gather<float4>(queue, args);
  else
    gather<float>(queue, args);
}

}  // namespace sotalign::kernels::cuda
