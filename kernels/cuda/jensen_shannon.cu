// Jensen-Shannon divergence of row softmaxes, one block per row: a pass for the log-sum-exp of both matrices
// (row_sum.h), one for the row's divergence, and one for its gradient, each entry written by the thread that
// read it. A second kernel of one block adds the rows' divergences in a fixed order.
//
// Apart from the larger of p and q, every term depends only on log p - log q. Both logarithms reach hundreds
// and nearly cancel, so the difference is computed in double.
#include "kernels/jensen_shannon.h"

#include "kernels/cuda/launch.h"
#include "kernels/cuda/row_sum.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kAtOnce = 4;  // loads per thread and matrix in flight at a time
constexpr int kValueThreads = 512;

double* carve(Carver& carver, const JensenShannon& args) { return carver.take<double>(args.rows); }

/// A row of both matrices.
struct RowPair {
  float c;
  Row q, p;           // q = weight exp(c s + offset)
  double difference;  // log p - log q = c (s0 - s) + difference
};
struct Term {
  float q, g;
  float divergence;  // twice the entry's share
};

__device__ __forceinline__ Term term_of(const RowPair& row, float s, float s0) {
  const float q = plan_entry(fmaf(row.c, s, row.q.offset), row.q.weight),
              p = plan_entry(fmaf(row.c, s0, row.p.offset), row.p.weight);
  const double apart = static_cast<double>(s0) - static_cast<double>(s);
  const float log_ratio = static_cast<float>(static_cast<double>(row.c) * apart + row.difference);
  // min(p, q) = e max(p, q), and log max(p, q) - log m = -log_mean.
  const float a = fabsf(log_ratio), gap = -expm1f(-a), e = 1.0f - gap, log_mean = log1pf(-0.5f * gap);
  // Close p and q would make the two parts cancel: use the first terms of the series, accurate to 1e-8.
  const float square = 0.25f * a * a;
  const float divergence = a < 0.25f ? sqrtf(e) * fmaf(square * square, square * (1.0f / 72.0f), square)
                                     : -(1.0f + e) * log_mean - e * a;
  return {q, -0.5f * (log_ratio > 0.0f ? a + log_mean : log_mean), fmaxf(p, q) * divergence};
}

__global__ void __launch_bounds__(kThreads) rows_kernel(JensenShannon args, double* row_values) {
  SOTALIGN_SHARED(RowSumScratch, scratch, [1]);
  const int64_t i = blockIdx.x;
  const float* s = args.s + i * args.s_stride;
  const float* s0 = args.s0 + i * args.s0_stride;
  const double log_sum = row_log_sum(s, args.c, args.cols, scratch[0]),
               log_sum0 = row_log_sum(s0, args.c, args.cols, scratch[0]);
  const RowPair row{args.c, split(-log_sum, 0.0), split(-log_sum0, 0.0), log_sum - log_sum0};

  // Calls visit(j, s_j, s0_j) for the thread's columns.
  const auto for_each_entry = [&](auto visit) {
    for (int64_t first = threadIdx.x; first < args.cols; first += kThreads * kAtOnce) {
      float entries[kAtOnce], entries0[kAtOnce];
#pragma unroll
      for (int n = 0; n < kAtOnce; ++n) {
        const int64_t j = first + n * kThreads;
        entries[n] = j < args.cols ? s[j] : 0.0f;
        entries0[n] = j < args.cols ? s0[j] : 0.0f;
      }
#pragma unroll
      for (int n = 0; n < kAtOnce; ++n) {
        const int64_t j = first + n * kThreads;
        if (j < args.cols) visit(j, entries[n], entries0[n]);
      }
    }
  };
  double divergence = 0, mean_g = 0;
  for_each_entry([&](int64_t, float entry, float entry0) {
    const Term term = term_of(row, entry, entry0);
    divergence += static_cast<double>(term.divergence);
    mean_g += static_cast<double>(term.q * term.g);
  });
  divergence = block_sum(divergence, scratch[0].sums);
  mean_g = block_sum(mean_g, scratch[0].sums);
  if (threadIdx.x == 0) row_values[i] = 0.5 * divergence;
  if (args.gradient == nullptr) return;  // the whole block returns
  float* gradient = args.gradient + i * args.gradient_stride;
  const float mean = static_cast<float>(mean_g),
              scale = static_cast<float>(args.gradient_scale * args.weight * static_cast<double>(args.c));
  for_each_entry([&](int64_t j, float entry, float entry0) {
    const Term term = term_of(row, entry, entry0);
    gradient[j] = scale * term.q * (term.g - mean);
  });
}

__global__ void __launch_bounds__(kValueThreads) value_kernel(JensenShannon args, const double* row_values) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  double sum = 0;
#pragma unroll 4
  for (int64_t i = threadIdx.x; i < args.rows; i += kValueThreads) sum += row_values[i];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) *args.value = args.weight * sum + (args.add_value ? *args.value : 0.0);
}

}  // namespace

size_t jensen_shannon_scratch(const Queue&, const JensenShannon& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void jensen_shannon(const Queue& queue, const JensenShannon& args) {
  Carver carver(args.scratch);
  double* row_values = carve(carver, args);
  launch(queue, "jensen_shannon: rows", rows_kernel, static_cast<unsigned>(args.rows), kThreads, 0, args,
         row_values);
  launch(queue, "jensen_shannon: value", value_kernel, 1, kValueThreads, 0, args, row_values);
}

}  // namespace sotalign::kernels::cuda
