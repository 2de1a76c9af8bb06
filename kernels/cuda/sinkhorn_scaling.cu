// One Sinkhorn iteration in the scaling form, in two launches. The first reads the density for the row sums
// and each chunk's column sums; the second adds the chunks' sums and computes the new factors, and its last
// block takes the convergence decision. New factors go into the copy that is not current, so nothing is
// committed until every sum has proved trustworthy.
//
// Rows: a block owns a chunk of rows and ALL columns, a thread the packets t, t + kThreads, ... of 16 bytes
// for the whole kernel. It loads its packets of kRows rows into registers and multiplies them by the column
// factors; its share of the row sums crosses the block at one barrier for the kRows rows. Then every thread
// knows the row factors and adds its packets, still in registers, to its column sums, also in registers.
// Meanwhile the next rows are in flight to shared memory: each thread copies the packets that it will read
// itself, which needs no barrier, and refills a slot as soon as it has read it. So memory stays busy while
// the block adds, waits at its barrier or writes. Row sums are in float, added as a tree except for the few
// columns of a thread; the new factor and the weight use the same sum, so its rounding does not reach the
// column sums.
//
// Matrices too wide for registers take two reads: a warp sums each row, then tiles (entropic.h) sum the
// columns.
#include "kernels/sinkhorn_scaling.h"

#include "kernels/cuda/density_entries.h"
#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/scaling_layout.h"

namespace sotalign::kernels::cuda {

namespace {

/// Two-read path: one warp per row.
constexpr int kRowWarps = 8;

// Results of the second launch's blocks, for the last of them.
struct Tally {
  unsigned blocks;  // finished blocks
  int32_t rows_bad, columns_bad, drifted;
};
struct Scratch {
  Tally* tallies;        // [batch]
  float* row_sums;       // [batch, rows]
  double* block_errors;  // [batch, row blocks]
  float* chunk_columns;  // [all chunks, width]
};
// Sizes from the common shape, or from the largest one.
struct Sizes {
  int64_t chunks, row_blocks;
  int64_t width;   // of factors and column sums
  int64_t stride;  // of the density's rows, in entries
};
// The same for one problem.
__device__ __forceinline__ int64_t width_of(const EntropicBatch& p, const Sizes& n, int64_t b) {
  return p.layouts == nullptr ? n.width : density_stride(p.layouts[b].cols, DensityType::kFloat);
}
__device__ __forceinline__ int64_t stride_of(const SinkhornScaling& args, const Sizes& n, int64_t b) {
  const EntropicBatch& p = args.problems;
  return p.layouts == nullptr ? n.stride : density_stride(p.layouts[b].cols, args.type);
}
template <class T>
Sizes sizes_of(const SinkhornScaling& args) {
  const EntropicBatch& p = args.problems;
  return {scaling_chunks<T>(p), blocks_for(p.rows, kSumThreads), density_stride(p.cols, DensityType::kFloat),
          density_stride(p.cols, args.type)};
}
Scratch carve(Carver& carver, const EntropicBatch& p, const Sizes& n) {
  Scratch s{};
  s.tallies = carver.take<Tally>(p.batch);
  s.row_sums = carver.take<float>(p.batch * p.rows);
  s.block_errors = carver.take<double>(p.batch * n.row_blocks);
  s.chunk_columns = carver.take<float>(total_partials(p, n.chunks, n.width));
  return s;
}

// Only the last block of an iteration changes the fields read here.
__device__ __forceinline__ bool wanted(const SinkhornScaling& args, int64_t b) {
  const SinkhornState& state = args.states[b];
  return state.active && !state.use_log_domain && (state.coarse == 0) == (args.type == DensityType::kFloat);
}

// Index of a problem's current copy of the factors, and of the other copy.
__device__ __forceinline__ int64_t old_factors(const SinkhornScaling& args, int64_t b) {
  return 2 * b + args.states[b].current;
}
__device__ __forceinline__ int64_t new_factors(const SinkhornScaling& args, int64_t b) {
  return 2 * b + 1 - args.states[b].current;
}
template <class T>
__device__ __forceinline__ const T* density_of(const SinkhornScaling& args, int64_t b) {
  return reinterpret_cast<const T*>(static_cast<const char*>(args.density) +
                                    density_offset(args.problems, b, args.density_stride_bytes));
}

// The updated factor; `sum` is the row sum, or the column sum over the column's mass. exp2 and log2 take the
// power with few registers, and an error in it amounts to a slightly different relaxation.
template <class Real>
__device__ __forceinline__ float updated(float factor, Real sum, double relaxation) {
  if (relaxation == 1.0) return static_cast<float>(1 / sum);
  return factor * exp2_approx(-static_cast<float>(relaxation) * log2f(factor * static_cast<float>(sum)));
}
// a_i s_i of a row. Both launches compute s_i, bit for bit the same, from the same sum.
__device__ __forceinline__ float weight_of(float mass, float factor, float sum, double relaxation) {
  return mass > 0 ? mass * updated(factor, sum, relaxation) : 0.0f;
}

template <class T, int kThreads, int kPackets, int kRows, int kAhead>
__global__ void __launch_bounds__(kThreads, 512 / kThreads)
    rows_kernel(SinkhornScaling args, Scratch s, Sizes n) {
  constexpr int kWarps = kThreads / kWarpSize, kEntries = kPacketEntries<T>;
  constexpr int kParts = 4 / kRows;  // partial sums per thread and row, to shorten chains of dependent adds
  static_assert(kRows * kWarps <= kWarpSize && kRows % kAhead == 0 && kParts >= 1);
  SOTALIGN_SHARED(float, sums, [2][kRows * kWarps]);
  const Chunk chunk = chunk_of(args.problems, blockIdx.x, n.chunks);
  const int64_t b = chunk.problem;
  if (!wanted(args, b)) return;  // the whole block
  if (chunk.index == 0 && threadIdx.x == 0) s.tallies[b] = Tally{};
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarpSize, warp = t / kWarpSize;
  // The thread's packets; zeros complete the last packet of the columns.
  const int across = static_cast<int>((cols_of(args.problems, b) + kEntries - 1) / kEntries);
  const int packets = (across - t + kThreads - 1) / kThreads;
  const int64_t rows = rows_of(args.problems, b), stride = stride_of(args, n, b);
  const int64_t begin = chunk_begin(rows, chunk.count, chunk.index);
  const int count = static_cast<int>(chunk_begin(rows, chunk.count, chunk.index + 1) - begin);

  // Slots that are never copied to are zero: packets past the columns, and rows past the chunk.
  Packet* stage = simt::dynamic_shared<Packet>() + t;
  const Packet* next = reinterpret_cast<const Packet*>(density_of<T>(args, b) + begin * stride) + t;
  const int64_t row_packets = stride / kEntries;
#pragma unroll
  for (int r = 0; r < kAhead; ++r) {
#pragma unroll
    for (int k = 0; k < kPackets; ++k) {
      Packet* place = stage + (r * kPackets + k) * kThreads;
      if (k < packets && r < count)
        copy_async(place, next + k * kThreads);
      else
        *place = Packet{};
    }
    copy_commit();
    next += row_packets;
  }

  float columns[kPackets][kEntries] = {};
  // In the sum across warps, a lane holds the part of one warp for one row.
  const int my_row = lane / kWarps;
  int64_t at = b * args.problems.rows + begin + my_row;
  const int64_t factor_at =
      (old_factors(args, b) - b) * args.problems.rows;  // from `at` to the row's current factor
  const float4* factors = reinterpret_cast<const float4*>(args.column_scale + old_factors(args, b) * n.width);
  int buffer = 0;
  for (int left = count; left > 0; left -= kRows, at += kRows, buffer ^= 1) {
    const bool has_row = my_row < kRows && my_row < left;
    const float mass = has_row ? args.row_mass[at] : 0.0f,
                factor = has_row ? args.row_scale[at + factor_at] : 1.0f;
    Packet e[kRows][kPackets];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      copy_wait<kAhead - 1>();
      Packet* places = stage + r % kAhead * kPackets * kThreads;
#pragma unroll
      for (int k = 0; k < kPackets; ++k) e[r][k] = places[k * kThreads];
#pragma unroll
      for (int k = 0; k < kPackets; ++k)
        if (k < packets && r + kAhead < left) copy_async(places + k * kThreads, next + k * kThreads);
      copy_commit();
      next += row_packets;
    }
    float parts[kRows][kParts] = {};
#pragma unroll
    for (int k = 0; k < kPackets; ++k) {
      const Factors<T> t_k = k < packets ? load_factors<T>(factors, t + k * kThreads) : Factors<T>{};
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int i = 0; i < kEntries; ++i)
          parts[r][i % kParts] = fmaf(entry_of<T>(e[r][k], i), t_k.values[i], parts[r][i % kParts]);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int i = 1; i < kParts; ++i) parts[r][0] += parts[r][i];
      const float sum = warp_sum(parts[r][0]);
      if (lane == 0) sums[buffer][r * kWarps + warp] = sum;
    }
    // One barrier is enough: a thread writes this buffer again only after the next barrier, and by then all
    // threads have read it.
    __syncthreads();
    float sum = lane < kRows * kWarps ? sums[buffer][lane] : 0.0f;
#pragma unroll
    for (int offset = kWarps / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(kFullMask, sum, offset);
    if (warp == 0 && lane % kWarps == 0 && has_row) s.row_sums[at] = sum;
    const float weight = weight_of(mass, factor, sum, args.relaxation);
    // Otherwise the compiler would keep the unpacked entries, twice as many registers as there are.
    if constexpr (kEntries > 4) {
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int k = 0; k < kPackets; ++k)
#pragma unroll
          for (uint32_t& word : e[r][k].words) make_opaque(word);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float w = __shfl_sync(kFullMask, weight, r * kWarps);
#pragma unroll
      for (int k = 0; k < kPackets; ++k)
#pragma unroll
        for (int i = 0; i < kEntries; ++i) columns[k][i] = fmaf(w, entry_of<T>(e[r][k], i), columns[k][i]);
    }
  }

  const int64_t width = width_of(args.problems, n, b);
  float4* partial = reinterpret_cast<float4*>(
      s.chunk_columns + partials_of(args.problems, b, n.chunks, width) + chunk.index * width);
#pragma unroll
  for (int k = 0; k < kPackets; ++k)
#pragma unroll
    for (int i = 0; i < kEntries; i += 4)
      if (k < packets)
        partial[(t + k * kThreads) * (kEntries / 4) + i / 4] =
            make_float4(columns[k][i], columns[k][i + 1], columns[k][i + 2], columns[k][i + 3]);
}

// First read of the two-read path: one warp per row.
template <class T>
__global__ void __launch_bounds__(kRowWarps* kWarpSize, 3)
    wide_rows_kernel(SinkhornScaling args, Scratch s, Sizes n) {
  constexpr int kAtOnce = 4;  // packets a lane has in flight
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const WarpRows rows = rows_of_warp(args.problems, kRowWarps);
  const int64_t b = rows.problem;
  if (b >= args.problems.batch || !wanted(args, b)) return;  // the whole warp returns; there is no barrier
  if (rows.begin == 0 && lane == 0) s.tallies[b] = Tally{};
  const int across =
      static_cast<int>((cols_of(args.problems, b) + kPacketEntries<T> - 1) / kPacketEntries<T>);
  const float4* factors = reinterpret_cast<const float4*>(args.column_scale + old_factors(args, b) * n.width);
  for (int64_t i = rows.begin; i < rows.end; i += kRowWarps) {
    const Packet* row = reinterpret_cast<const Packet*>(density_of<T>(args, b) + i * stride_of(args, n, b));
    double sum = 0;
    for (int j = lane; j < across; j += kAtOnce * kWarpSize) {
      Packet packets[kAtOnce];
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k)
        packets[k] = j + k * kWarpSize < across ? row[j + k * kWarpSize] : Packet{};
      float part = 0;
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const int packet = j + k * kWarpSize < across ? j + k * kWarpSize : j;
        const Factors<T> factor = load_factors<T>(factors, packet);
#pragma unroll
        for (int e = 0; e < kPacketEntries<T>; ++e)
          part = fmaf(entry_of<T>(packets[k], e), factor.values[e], part);
      }
      sum += static_cast<double>(part);
    }
    sum = warp_sum(sum);
    if (lane == 0) s.row_sums[b * args.problems.rows + i] = static_cast<float>(sum);
  }
}

// Second read of the two-read path: tiles.
template <class T>
__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    wide_columns_kernel(SinkhornScaling args, Scratch s, Sizes n, Tiles tiles) {
  const Tile tile = tile_of_block(args.problems, tiles);
  const int64_t b = tile.problem, j = tile.column, stride = stride_of(args, n, b);
  if (!wanted(args, b) || j >= cols_of(args.problems, b)) return;  // no barrier follows
  const T* density = density_of<T>(args, b) + j;
  const float* mass = args.row_mass + b * args.problems.rows;
  const float* factors = args.row_scale + old_factors(args, b) * args.problems.rows;
  const float* sums = s.row_sums + b * args.problems.rows;
  float column = 0;
  for (int64_t i = tile.begin; i < tile.end; i += kTileRows) {
    T entries[kTileRows];
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) entries[r] = i + r < tile.end ? density[(i + r) * stride] : T{};
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) {
      const int64_t row = i + r < tile.end ? i + r : i;  // out of range: any row, since its entry is zero
      column =
          fmaf(weight_of(mass[row], factors[row], sums[row], args.relaxation), to_float(entries[r]), column);
    }
  }
  const int64_t width = width_of(args.problems, n, b);
  s.chunk_columns[partials_of(args.problems, b, tiles.chunks, width) + tile.chunk * width + j] = column;
}

// Computes the new factors. The first blocks of a problem take rows, one per thread, and write their shares
// of the marginal error; the others add the chunks' column sums (entropic.h). Whichever block finishes last
// takes the convergence decision; it adds the errors in a fixed order.
__global__ void __launch_bounds__(kSumThreads)
    finish_kernel(SinkhornScaling args, Scratch s, Sizes n, int64_t blocks) {
  SOTALIGN_SHARED(double, errors, [kMaxWarps]);
  SOTALIGN_SHARED(double, columns, [kGroups][kWarpSize]);
  SOTALIGN_SHARED(bool, last, );
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!wanted(args, b)) return;  // the whole block
  Tally& tally = s.tallies[b];
  const auto update = [&](float mass, float factor, auto sum, int32_t& bad) {
    if (!(mass > 0)) return factor;
    const float next = updated(factor, sum, args.relaxation);
    if (!trustworthy(static_cast<double>(sum))) atomicMax(&bad, 1);
    if (drifted(next)) atomicMax(&tally.drifted, 1);
    return next;
  };
  if (block < n.row_blocks) {
    const int64_t i = block * kSumThreads + threadIdx.x;
    double error = 0;
    if (i < rows_of(p, b)) {
      const float mass = args.row_mass[b * p.rows + i], sum = s.row_sums[b * p.rows + i],
                  factor = args.row_scale[old_factors(args, b) * p.rows + i];
      args.row_scale[new_factors(args, b) * p.rows + i] = update(mass, factor, sum, tally.rows_bad);
      error = static_cast<double>(mass) * fabs(static_cast<double>(factor) * static_cast<double>(sum) - 1.0);
    }
    error = block_sum(error, errors);
    if (threadIdx.x == 0) s.block_errors[b * n.row_blocks + block] = error;
  } else {
    const int64_t j = (block - n.row_blocks) * kWarpSize + sum_column();
    const int64_t width = width_of(p, n, b), cols = cols_of(p, b);
    const double sum = sum_chunks(s.chunk_columns + partials_of(p, b, n.chunks, width),
                                  chunks_of(p, b, n.chunks), width, cols, j, columns);
    if (sum_group() == 0 && j < cols) {
      const float mass = args.column_mass[b * p.cols + j],
                  factor = args.column_scale[old_factors(args, b) * n.width + j];
      args.column_scale[new_factors(args, b) * n.width + j] =
          update(mass, factor, sum / static_cast<double>(mass), tally.columns_bad);
    }
  }

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(&tally.blocks, 1u) == blocks - 1;
  __syncthreads();
  if (!last) return;  // the whole block
  __threadfence();
  double error = 0;
  for (int64_t i = threadIdx.x; i < n.row_blocks; i += kSumThreads)
    error += __ldcg(&s.block_errors[b * n.row_blocks + i]);
  error = block_sum(error, errors);
  if (threadIdx.x != 0) return;
  SinkhornState& state = args.states[b];
  if (conclude(state, {.row_error = error,
                       .rows_bad = __ldcg(&tally.rows_bad) != 0,
                       .columns_bad = __ldcg(&tally.columns_bad) != 0,
                       .tolerance = args.tolerance})) {
    state.current ^= 1;
    state.absorb = __ldcg(&tally.drifted);
  }
}

// Launches the layout that layout_of() returns: compares its index with that of each instantiation.
template <class T, int kLayout = 0>
void launch_rows(const Queue& queue, const SinkhornScaling& args, const Scratch& s, const Sizes& n) {
  const EntropicBatch& p = args.problems;
  if constexpr (kLayout < kWide<T>) {
    if (kLayout != layout_of<T>(p.cols)) return launch_rows<T, kLayout + 1>(queue, args, s, n);
    constexpr Layout layout = Layouts<T>::kAll[kLayout];
    launch(
        queue, "sinkhorn_scaling", rows_kernel<T, layout.threads, layout.packets, layout.rows, layout.ahead>,
        static_cast<unsigned>(total_chunks(p, n.chunks)), layout.threads, layout.shared_bytes(), args, s, n);
  } else {
    launch(queue, "sinkhorn_scaling", wide_rows_kernel<T>, warp_row_blocks(p, kRowWarps),
           kRowWarps * kWarpSize, 0, args, s, n);
    const Tiles tiles = tiles_of(p);
    launch(queue, "sinkhorn_scaling", wide_columns_kernel<T>, tile_blocks(p, tiles), kTileThreads, 0, args, s,
           n, tiles);
  }
}

template <class T>
void iterate(const Queue& queue, const SinkhornScaling& args) {
  const EntropicBatch& p = args.problems;
  const Sizes n = sizes_of<T>(args);
  Carver carver(args.scratch);
  const Scratch s = carve(carver, p, n);
  launch_rows<T>(queue, args, s, n);
  const int64_t blocks = n.row_blocks + blocks_for(p.cols, kWarpSize);
  launch(queue, "sinkhorn_scaling", finish_kernel, static_cast<unsigned>(p.batch * blocks), kSumThreads, 0,
         args, s, n, blocks);
}

template <class T>
ScalingMapping mapping_of(const SinkhornScaling& args) {
  const int64_t chunks = args.problems.chunks > 0 ? args.problems.chunks : sizes_of<T>(args).chunks;
  const int index = layout_of<T>(args.problems.cols);
  if (index == kWide<T>) return {.reads = 2, .chunks = chunks, .threads = kTileThreads};
  const Layout& layout = Layouts<T>::kAll[index];
  return {.chunks = chunks,
          .rows_at_once = layout.rows,
          .threads = layout.threads,
          .columns = layout.packets * kPacketEntries<T>,
          .ahead_bytes = static_cast<int64_t>(layout.shared_bytes())};
}

}  // namespace

ScalingMapping sinkhorn_scaling_mapping(const Queue&, const SinkhornScaling& args) {
  return args.type == DensityType::kFloat ? mapping_of<float>(args) : mapping_of<uint16_t>(args);
}

size_t sinkhorn_scaling_scratch(const Queue&, const SinkhornScaling& args) {
  Carver carver;
  carve(carver, args.problems,
        args.type == DensityType::kFloat ? sizes_of<float>(args) : sizes_of<uint16_t>(args));
  return carver.used();
}

void sinkhorn_scaling(const Queue& queue, const SinkhornScaling& args) {
  if (args.type == DensityType::kFloat)
    iterate<float>(queue, args);
  else
    iterate<uint16_t>(queue, args);
}

}  // namespace sotalign::kernels::cuda
