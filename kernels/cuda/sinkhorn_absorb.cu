// Folding takes one thread per factor. Absorbing takes two launches: round the potentials for the loop, then
// compute the density in tiles (entropic.h), with one read of K. The first launch decides what each problem
// needs and writes it to scratch memory, so the second may clear the requests in the states.
#include "kernels/sinkhorn_absorb.h"

#include "kernels/bfloat16.h"
#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kFoldThreads = 256;

enum class Wanted : int32_t { kNothing, kFloat, kBfloat16, kClear };

struct Scratch {
  Wanted* wanted;  // [batch]
  double* shift;   // [batch]
  Row* rows;       // [batch, rows]; weight: exp of the offset's rounding error
  float* v;        // [batch, cols], centred; -inf in columns without mass
};
Scratch carve(Carver& carver, const EntropicBatch& p) {
  Scratch s{};
  s.wanted = carver.take<Wanted>(p.batch);
  s.shift = carver.take<double>(p.batch);
  s.rows = carver.take<Row>(p.batch * p.rows);
  s.v = carver.take<float>(p.batch * p.cols);
  return s;
}

__global__ void __launch_bounds__(kFoldThreads)
    fold_kernel(SinkhornFold args, int64_t width, int64_t blocks) {
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, i = blockIdx.x % blocks * kFoldThreads + threadIdx.x;
  const SinkhornState& state = args.states[b];
  if (!args.all && !wants_density(state, args.refine)) return;  // no barrier follows
  const auto fold = [](float& factor, double& potential) {
    potential += log(static_cast<double>(factor));
    factor = 1.0f;
  };
  const int64_t copy = 2 * b + state.current;
  if (i < rows_of(p, b)) fold(args.row_scale[copy * p.rows + i], args.u[b * p.rows + i]);
  if (i < cols_of(p, b)) fold(args.column_scale[copy * width + i], args.v[b * p.cols + i]);
}

__global__ void __launch_bounds__(kPrepareThreads)
    prepare_kernel(SinkhornAbsorb args, Scratch s, int64_t width, int64_t blocks) {
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, i = blockIdx.x % blocks * kPrepareThreads + threadIdx.x;
  const SinkhornState& state = args.states[b];
  const bool wanted = wants_density(state, args.refine),
             ended = args.iterations > 0 && state.next >= args.iterations;
  if (i == 0)
    s.wanted[b] = !wanted                            ? Wanted::kNothing
                  : ended                            ? Wanted::kClear
                  : stays_coarse(state, args.refine) ? Wanted::kBfloat16
                                                     : Wanted::kFloat;
  if (!wanted || ended) return;  // the whole block
  const double shift = centre_of(args.v + b * p.cols, cols_of(p, b));
  if (i == 0) s.shift[b] = shift;
  const int64_t copy = 2 * b + state.current;
  if (i < rows_of(p, b)) {
    const int64_t at = b * p.rows + i;
    const double log_a = p.log_a[at], exponent = args.u[at] + shift - log_a;
    const float offset = static_cast<float>(exponent);
    s.rows[at] = std::isinf(log_a)
                     ? Row{-INFINITY, 0.0f}
                     : Row{offset, static_cast<float>(exp(exponent - static_cast<double>(offset)))};
    args.row_mass[at] = mass_of(exp(log_a));
    args.row_scale[copy * p.rows + i] = 1.0f;
  }
  if (i < cols_of(p, b)) {
    const int64_t at = b * p.cols + i;
    const double v = args.v[at], log_b = p.log_b[at];
    const float rounded = std::isinf(log_b) ? -INFINITY : static_cast<float>(v - shift);
    s.v[at] = rounded;
    args.column_mass[at] = mass_of(exp(log_b));
    args.column_scale[copy * width + i] =
        std::isinf(rounded) ? 1.0f : static_cast<float>(exp(v - (static_cast<double>(rounded) + shift)));
  } else if (i < width) {  // zero padding of both copies; nothing else writes it
    args.column_scale[2 * b * width + i] = args.column_scale[(2 * b + 1) * width + i] = 0.0f;
  }
}

// Writes rows of the density, one column per thread; zeros past the last column.
template <class T>
__device__ __forceinline__ void write_tile(const SinkhornAbsorb& args, const Scratch& s, const Tile& tile,
                                           DensityType type) {
  const EntropicBatch& p = args.problems;
  const int64_t b = tile.problem, j = tile.column, cols = cols_of(p, b), stride = density_stride(cols, type);
  if (j >= stride) return;
  const bool has_column = j < cols;
  const float c = p.inverse_epsilon[b], v = has_column ? s.v[b * p.cols + j] : -INFINITY;
  const float* affinity = affinity_of(p, b) + j;
  const int64_t row_stride = row_stride_of(p, b);
  T* density = reinterpret_cast<T*>(static_cast<char*>(args.density) +
                                    density_offset(p, b, args.density_stride_bytes)) +
               j;
  const Row* rows = s.rows + b * p.rows;
  for (int64_t i = tile.begin; i < tile.end; i += kTileRows) {
    float k[kTileRows];
#pragma unroll
    for (int r = 0; r < kTileRows; ++r)
      k[r] = has_column && i + r < tile.end ? affinity[(i + r) * row_stride] : 0.0f;
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) {
      if (i + r >= tile.end) continue;
      const Row row = rows[i + r];
      const float entry = plan_entry(fmaf(c, k[r], row.offset) + v, row.weight);
      if constexpr (sizeof(T) == sizeof(float))
        density[(i + r) * stride] = entry;
      else
        density[(i + r) * stride] = to_bfloat16(entry);
    }
  }
}

__global__ void __launch_bounds__(kTileThreads) density_kernel(SinkhornAbsorb args, Scratch s, Tiles tiles) {
  const EntropicBatch& p = args.problems;
  const Tile tile = tile_of_block(p, tiles);
  const int64_t b = tile.problem, j = tile.column;
  const Wanted wanted = s.wanted[b];
  if (wanted == Wanted::kNothing) return;  // no barrier follows
  if (wanted == Wanted::kClear) {
    if (tile.chunk == 0 && j == 0) args.states[b].absorb = args.states[b].use_log_domain = 0;
    return;
  }
  if (tile.chunk == 0 && j < cols_of(p, b) && !std::isinf(s.v[b * p.cols + j]))
    args.v[b * p.cols + j] = static_cast<double>(s.v[b * p.cols + j]) + s.shift[b];
  if (tile.chunk == 0 && j == 0) {
    SinkhornState& state = args.states[b];
    state.absorb = state.use_log_domain = 0;
    state.coarse = wanted == Wanted::kBfloat16;
  }
  if (wanted == Wanted::kBfloat16)
    write_tile<uint16_t>(args, s, tile, DensityType::kBfloat16);
  else
    write_tile<float>(args, s, tile, DensityType::kFloat);
}

}  // namespace

void sinkhorn_fold(const Queue& queue, const SinkhornFold& args) {
  const EntropicBatch& p = args.problems;
  const int64_t blocks = blocks_for(p.rows > p.cols ? p.rows : p.cols, kFoldThreads);
  launch(queue, "sinkhorn_fold", fold_kernel, static_cast<unsigned>(p.batch * blocks), kFoldThreads, 0, args,
         density_stride(p.cols, DensityType::kFloat), blocks);
}

size_t sinkhorn_absorb_scratch(const Queue&, const SinkhornAbsorb& args) {
  Carver carver;
  carve(carver, args.problems);
  return carver.used();
}

void sinkhorn_absorb(const Queue& queue, const SinkhornAbsorb& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const Scratch s = carve(carver, p);
  const int64_t width = density_stride(p.cols, DensityType::kFloat),
                coarse_width = density_stride(p.cols, DensityType::kBfloat16);
  const int64_t blocks = prepare_blocks(p.rows, width);
  launch(queue, "sinkhorn_absorb", prepare_kernel, static_cast<unsigned>(p.batch * blocks), kPrepareThreads,
         0, args, s, width, blocks);
  EntropicBatch padded = p;
  padded.cols = width > coarse_width ? width : coarse_width;
  const Tiles tiles = tiles_of(padded);
  launch(queue, "sinkhorn_absorb", density_kernel, tile_blocks(p, tiles), kTileThreads, 0, args, s, tiles);
}

}  // namespace sotalign::kernels::cuda
