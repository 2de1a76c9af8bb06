// Folding is a serial loop over vectors. The density takes one read of K, one exponential per entry and one
// write; each thread computes whole rows.
#include "kernels/sinkhorn_absorb.h"

#include <omp.h>

#include <limits>

#include "kernels/cpu/exp_rows.h"
#include "kernels/cpu/scaling_rows.h"
#include "kernels/cpu/sinkhorn_common.h"

namespace sotalign::kernels::cpu {

namespace {
struct Scratch {
  float* v;     // [cols], centred
  float* rows;  // [threads, cols], float rows of coarse densities
};
Scratch carve(Carver& carver, const Queue& queue, const EntropicBatch& p) {
  Scratch s{};
  s.v = carver.take<float>(p.cols);
  s.rows = carver.take<float>(queue.threads * p.cols);
  return s;
}
}  // namespace

void sinkhorn_fold(const Queue&, const SinkhornFold& args) {
  const EntropicBatch& p = args.problems;
  const int64_t width = density_stride(p.cols, DensityType::kFloat);
  for (int64_t b = 0; b < p.batch; ++b) {
    const SinkhornState& state = args.states[b];
    if (!args.all && !wants_density(state, args.refine)) continue;
    float* s = args.row_scale + (2 * b + state.current) * p.rows;
    float* t = args.column_scale + (2 * b + state.current) * width;
    const int64_t rows = rows_of(p, b), cols = cols_of(p, b);
    for (int64_t i = 0; i < rows; ++i) args.u[b * p.rows + i] += std::log(static_cast<double>(s[i]));
    for (int64_t j = 0; j < cols; ++j) args.v[b * p.cols + j] += std::log(static_cast<double>(t[j]));
    std::fill_n(s, rows, 1.0f);
    std::fill_n(t, cols, 1.0f);
  }
}

size_t sinkhorn_absorb_scratch(const Queue& queue, const SinkhornAbsorb& args) {
  Carver carver;
  carve(carver, queue, args.problems);
  return carver.used();
}

void sinkhorn_absorb(const Queue& queue, const SinkhornAbsorb& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const Scratch scratch = carve(carver, queue, p);
  const int64_t width = density_stride(p.cols, DensityType::kFloat);
  for (int64_t b = 0; b < p.batch; ++b) {
    SinkhornState& state = args.states[b];
    if (!wants_density(state, args.refine)) continue;
    const bool coarse = stays_coarse(state, args.refine);
    const int64_t rows = rows_of(p, b), cols = cols_of(p, b), row_stride = row_stride_of(p, b);
    const float* affinity = affinity_of(p, b);
    const double* u = args.u + b * p.rows;
    double* v = args.v + b * p.cols;
    float* s = args.row_scale + (2 * b + state.current) * p.rows;
    float* t = args.column_scale + (2 * b + state.current) * width;
    const double shift = centre(v, scratch.v, cols);
    for (int64_t j = 0; j < cols; ++j) {
      const double log_b = p.log_b[b * p.cols + j];
      args.column_mass[b * p.cols + j] = mass_of(std::exp(log_b));
      t[j] = 1.0f;
      if (std::isinf(log_b)) {
        scratch.v[j] = -std::numeric_limits<float>::infinity();  // whatever its potential is
        continue;
      }
      const double rounded = static_cast<double>(scratch.v[j]) + shift;
      t[j] = static_cast<float>(std::exp(v[j] - rounded));
      v[j] = rounded;
    }
    // Zeroes the padding of both copies; nothing else writes it.
    for (int copy = 0; copy < 2; ++copy)
      std::fill(args.column_scale + (2 * b + copy) * width + cols,
                args.column_scale + (2 * b + copy + 1) * width, 0.0f);

    char* density = static_cast<char*>(args.density) + density_offset(p, b, args.density_stride_bytes);
    const int64_t stride = density_stride(cols, coarse ? DensityType::kBfloat16 : DensityType::kFloat);
#pragma omp parallel for num_threads(queue.threads) schedule(static)
    for (int64_t i = 0; i < rows; ++i) {
      const double log_a = p.log_a[b * p.rows + i];
      args.row_mass[b * p.rows + i] = mass_of(std::exp(log_a));
      s[i] = 1.0f;
      float* row = coarse ? scratch.rows + omp_get_thread_num() * p.cols
                          : reinterpret_cast<float*>(density) + i * stride;
      if (std::isinf(log_a)) {
        std::fill_n(row, cols, 0.0f);
      } else {
        const double exponent = u[i] + shift - log_a;
        const float offset = static_cast<float>(exponent);
        plan_row(affinity + i * row_stride, scratch.v, p.inverse_epsilon[b], offset,
                 static_cast<float>(std::exp(exponent - static_cast<double>(offset))), row, cols);
      }
      if (coarse) {
        uint16_t* out = reinterpret_cast<uint16_t*>(density) + i * stride;
        to_bfloat16_row(row, out, cols);
        std::fill(out + cols, out + stride, uint16_t{0});
      } else {
        std::fill(row + cols, row + stride, 0.0f);
      }
    }
    state.coarse = coarse;
    state.absorb = state.use_log_domain = 0;
  }
}

}  // namespace sotalign::kernels::cpu
