// Log-domain half-iterations. Rows: one row per task, read twice while in cache (maximum, then sum). Columns:
// one chunk of rows per task; one sweep for the column maxima and one for the sums, each followed by a
// reduction over the chunks in a fixed order. Each strip rescales the sums so far to the new maxima.
#include "kernels/sinkhorn_update.h"

#include <limits>

#include "kernels/cpu/exp_rows.h"
#include "kernels/cpu/sinkhorn_common.h"

namespace sotalign::kernels::cpu {

namespace {

bool wanted(const SinkhornState* states, int64_t b) {
  return states == nullptr || (states[b].active && states[b].use_log_domain);
}

struct RowScratch {
  float* v;       // [cols], centred
  double* shift;  // [1]
};
RowScratch carve_row(Carver& carver, const EntropicBatch& p) {
  RowScratch s{};
  s.v = carver.take<float>(p.cols);
  s.shift = carver.take<double>(1);
  return s;
}

struct ColumnScratch {
  RowPotential* rows;  // [strip height]
  float* maxima;       // [cols], up to this strip
  double* sums;        // [cols], relative to them
  float* partial;      // [chunks, cols]: maxima, then sums
};
ColumnScratch carve(Carver& carver, const EntropicBatch& p) {
  ColumnScratch s{};
  s.rows = carver.take<RowPotential>(strip_height(p));
  s.maxima = carver.take<float>(p.cols);
  s.sums = carver.take<double>(p.cols);
  s.partial = carver.take<float>(chunk_count(p) * p.cols);
  return s;
}

}  // namespace

size_t sinkhorn_row_update_scratch(const Queue&, const SinkhornRowUpdate& args) {
  Carver carver;
  carve_row(carver, args.problems);
  return carver.used();
}

void sinkhorn_row_update(const Queue& queue, const SinkhornRowUpdate& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const RowScratch s = carve_row(carver, p);
  for (int64_t b = 0; b < p.batch; ++b) {
    if (!wanted(args.states, b)) continue;
    const Strip strip = strip_of(p, b);
    const int64_t cols = cols_of(p, b), stride = row_stride_of(p, b);
    const float* affinity = affinity_of(p, b);
    if (strip.first) *s.shift = centre(args.v + b * p.cols, s.v, cols);
    const double shift = *s.shift;
    const float c = p.inverse_epsilon[b];
#pragma omp parallel for num_threads(queue.threads) schedule(static)
    for (int64_t i = 0; i < strip.rows; ++i) {
      double& u = args.u[b * p.rows + strip.begin + i];
      const double log_a = p.log_a[b * p.rows + strip.begin + i];
      if (std::isinf(log_a)) {
        u = log_a;
        continue;
      }
      const double next = log_a - log_sum_exp_row(affinity + i * stride, s.v, c, cols) - shift;
      u = args.blend == 1.0 ? next : u + args.blend * (next - u);
    }
  }
}

size_t sinkhorn_column_update_scratch(const Queue&, const SinkhornColumnUpdate& args) {
  Carver carver;
  carve(carver, args.problems);
  return carver.used();
}

void sinkhorn_column_update(const Queue& queue, const SinkhornColumnUpdate& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const ColumnScratch s = carve(carver, p);
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  for (int64_t b = 0; b < p.batch; ++b) {
    if (!wanted(args.states, b)) continue;
    const Strip strip = strip_of(p, b);
    const int64_t chunks = chunks_of(p, b, chunk_count(p)), cols = cols_of(p, b),
                  stride = row_stride_of(p, b);
    const float c = p.inverse_epsilon[b];
    const float* affinity = affinity_of(p, b);
    // The row weight stays inside the exponent here: a row of weight 1e-40 may hold all the mass of a column.
    const int64_t first_row = b * p.rows + strip.begin;
    for (int64_t i = 0; i < strip.rows; ++i)
      s.rows[i] = std::isinf(p.log_a[first_row + i]) ? RowPotential{} : split(args.u[first_row + i], 0.0);

    // Sets each chunk's partial results to `start`, then calls visit(row of K, its potential, partial) for
    // its rows in the strip.
    const auto sweep = [&](float start, auto&& visit) {
#pragma omp parallel for num_threads(queue.threads) schedule(dynamic)
      for (int64_t chunk = 0; chunk < chunks; ++chunk) {
        float* partial = s.partial + chunk * cols;
        std::fill(partial, partial + cols, start);
        const int64_t end = chunk_begin(strip.rows, chunks, chunk + 1);
        for (int64_t i = chunk_begin(strip.rows, chunks, chunk); i < end; ++i)
          if (s.rows[i].weight > 0) visit(affinity + i * stride, s.rows[i], partial);
      }
    };
    sweep(kNone, [&](const float* k, const RowPotential& row, float* partial) {
      max_into_columns(k, c, row.offset, partial, cols);
    });
#pragma omp parallel for num_threads(queue.threads) schedule(static)
    for (int64_t j = 0; j < cols; ++j) {
      const float before = strip.first ? kNone : s.maxima[j];
      float maximum = before;
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        maximum = std::max(maximum, s.partial[chunk * cols + j]);
      s.maxima[j] = maximum;
      if (strip.first)
        s.sums[j] = 0;
      else if (before < maximum)  // if equal, both may be -inf
        s.sums[j] *= std::exp(static_cast<double>(before) - static_cast<double>(maximum));
    }
    sweep(0.0f, [&](const float* k, const RowPotential& row, float* partial) {
      add_exp_to_columns(k, s.maxima, c, row.offset, static_cast<float>(row.weight), partial, cols);
    });
#pragma omp parallel for num_threads(queue.threads) schedule(static)
    for (int64_t j = 0; j < cols; ++j) {
      double& sum = s.sums[j];
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        sum += static_cast<double>(s.partial[chunk * cols + j]);
      if (!strip.last) continue;
      const double log_b = p.log_b[b * p.cols + j];
      args.v[b * p.cols + j] =
          std::isinf(log_b) ? log_b
                            : args.factor * (log_b - (static_cast<double>(s.maxima[j]) + std::log(sum)));
    }
  }
}

}  // namespace sotalign::kernels::cpu
