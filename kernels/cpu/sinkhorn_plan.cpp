// Plan and marginal errors, one pass over K each. The plan takes a row per task. The marginals take a chunk
// of rows per task (sinkhorn_common.h); the chunks' column sums are then added in a fixed order, strip by
// strip.
#include "kernels/sinkhorn_plan.h"

#include <omp.h>

#include "kernels/cpu/exp_rows.h"
#include "kernels/cpu/sinkhorn_common.h"

namespace sotalign::kernels::cpu {

namespace {

struct MarginalScratch {
  float* v;              // [cols]
  double* chunk_error;   // [chunks]
  double* column;        // [cols], sums up to this strip
  float* chunk_columns;  // [chunks, cols]
  float* rows;           // [threads, cols]
};
MarginalScratch carve(Carver& carver, const Queue& queue, const EntropicBatch& p) {
  MarginalScratch s{};
  s.v = carver.take<float>(p.cols);
  s.chunk_error = carver.take<double>(chunk_count(p));
  s.column = carver.take<double>(p.cols);
  s.chunk_columns = carver.take<float>(chunk_count(p) * p.cols);
  s.rows = carver.take<float>(queue.threads * p.cols);
  return s;
}

}  // namespace

size_t sinkhorn_plan_scratch(const Queue&, const SinkhornPlan& args) {
  return static_cast<size_t>(args.problems.cols) * sizeof(float);
}

void sinkhorn_plan(const Queue& queue, const SinkhornPlan& args) {
  const EntropicBatch& p = args.problems;
  float* v = static_cast<float*>(args.scratch);
  for (int64_t b = 0; b < p.batch; ++b) {
    const Strip strip = strip_of(p, b);
    const int64_t cols = cols_of(p, b), stride = row_stride_of(p, b), plan_stride = plan_stride_of(args, b);
    const float* affinity = affinity_of(p, b);
    float* plan = plan_of(args, b);
    const double shift = centre(args.v + b * p.cols, v, cols);
#pragma omp parallel for num_threads(queue.threads) schedule(static)
    for (int64_t i = 0; i < strip.rows; ++i) {
      const int64_t of_row = b * p.rows + strip.begin + i;
      const RowPotential row = split(args.u[of_row] + shift, p.log_a[of_row]);
      plan_row(affinity + i * stride, v, p.inverse_epsilon[b], row.offset, static_cast<float>(row.weight),
               plan + i * plan_stride, cols);
    }
  }
}

size_t sinkhorn_marginals_scratch(const Queue& queue, const SinkhornMarginals& args) {
  Carver carver;
  carve(carver, queue, args.problems);
  return carver.used();
}

void sinkhorn_marginals(const Queue& queue, const SinkhornMarginals& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const MarginalScratch s = carve(carver, queue, p);
  for (int64_t b = 0; b < p.batch; ++b) {
    const Strip strip = strip_of(p, b);
    const int64_t chunks = chunks_of(p, b, chunk_count(p)), cols = cols_of(p, b),
                  stride = row_stride_of(p, b);
    const float* affinity = affinity_of(p, b);
    const double shift = centre(args.v + b * p.cols, s.v, cols);
#pragma omp parallel for num_threads(queue.threads) schedule(dynamic)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      float* columns = s.chunk_columns + chunk * cols;
      float* plan = s.rows + omp_get_thread_num() * p.cols;
      std::fill(columns, columns + cols, 0.0f);
      double error = 0;
      const int64_t end = chunk_begin(strip.rows, chunks, chunk + 1);
      for (int64_t i = chunk_begin(strip.rows, chunks, chunk); i < end; ++i) {
        const int64_t of_row = b * p.rows + strip.begin + i;
        const double log_a = p.log_a[of_row];
        const RowPotential row = split(args.u[of_row] + shift, log_a);
        const double sum =
            plan_row(affinity + i * stride, s.v, p.inverse_epsilon[b], row.offset, 1.0f, plan, cols);
        const float weight = static_cast<float>(row.weight);
        add_weighted_rows(plan, cols, &weight, 1, columns, cols);
        error += std::abs(sum * row.weight - std::exp(log_a));
      }
      s.chunk_error[chunk] = strip.first ? error : s.chunk_error[chunk] + error;
    }
#pragma omp parallel for num_threads(queue.threads) schedule(static)
    for (int64_t j = 0; j < cols; ++j) {
      double sum = strip.first ? 0.0 : s.column[j];
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        sum += static_cast<double>(s.chunk_columns[chunk * cols + j]);
      s.column[j] = sum;
    }
    if (!strip.last) continue;
    SinkhornState& state = args.states[b];
    state.row_error = 0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) state.row_error += s.chunk_error[chunk];
    state.column_error = 0;
    for (int64_t j = 0; j < cols; ++j)
      state.column_error += std::abs(s.column[j] - std::exp(p.log_b[b * p.cols + j]));
  }
}

}  // namespace sotalign::kernels::cpu
