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

#include "kernels/cuda/launch.h"
#include "kernels/cuda/scaling_step.h"

namespace sotalign::kernels::cuda {

namespace {

/// Two-read path: one warp per row.
constexpr int kRowWarps = 8;

// Only the last block of an iteration changes the fields read here.
__device__ __forceinline__ bool wanted(const SinkhornScaling& args, int64_t b) {
  return wants_scaling(args.states[b], args.type);
}
// Index of a problem's current copy of the factors.
__device__ __forceinline__ int64_t old_factors(const SinkhornScaling& args, int64_t b) {
  return 2 * b + args.states[b].current;
}

template <class T, int kThreads, int kPackets, int kRows, int kAhead>
__global__ void __launch_bounds__(kThreads, 512 / kThreads)
    rows_kernel(SinkhornScaling args, ScalingScratch s, ScalingSizes n) {
  using Group = RowGroup<T, kThreads, kPackets, kRows>;
  constexpr int kEntries = kPacketEntries<T>;
  static_assert(kRows % kAhead == 0);
  constexpr bool kRefillFirst = kRows * kPackets < 12;
  SOTALIGN_SHARED(float, sums, [2][Group::kSums]);
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
  const int row_packets = static_cast<int>(stride / kEntries);
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
  const int my_row = Group::row_of_lane(lane);
  const int64_t first_row = b * args.problems.rows + begin;
  const float *row_mass = args.row_mass + first_row,
              *row_scale = args.row_scale + old_factors(args, b) * args.problems.rows + begin;
  float* row_sums = s.row_sums + first_row;
  // Factors of the thread's first packet. A thread without packets may read any: its entries are zero. The
  // pointer is opaque, or the compiler would compute an address for each packet again.
  const float4* factors =
      reinterpret_cast<const float4*>(args.column_scale + old_factors(args, b) * n.width) +
      (packets > 0 ? t : 0) * (kEntries / 4);
  if constexpr (kRefillFirst) make_opaque(factors);
  int buffer = 0;
  for (int i = my_row, left = count; left > 0; i += kRows, left -= kRows, buffer ^= 1) {
    const bool has_row = my_row < kRows && my_row < left;
    const float mass = has_row ? row_mass[i] : 0.0f, factor = has_row ? row_scale[i] : 1.0f;
    Group group;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      copy_wait<kAhead - 1>();
      Packet* places = stage + r % kAhead * kPackets * kThreads;
#pragma unroll
      for (int k = 0; k < kPackets; ++k) group.e[r][k] = places[k * kThreads];
#pragma unroll
      for (int k = 0; k < kPackets; ++k)
        if (k < packets && r + kAhead < left) copy_async(places + k * kThreads, next + k * kThreads);
      copy_commit();
      next += row_packets;
    }
    // Unconditional loads where registers allow: with branches, the compiler puts additions before the
    // refill.
    const auto factors_of = [&](int k) {
      if constexpr (kRefillFirst)
        return load_factors<T>(factors, k < packets ? k * kThreads : 0, Constant{});
      else
        return k < packets ? load_factors<T>(factors, k * kThreads, ReadOnly{}) : Factors<T>{};
    };
    group.add_rows(lane, warp, factors_of, sums[buffer]);
    // One barrier is enough: a thread writes this buffer again only after the next barrier, and by then all
    // threads have read it.
    __syncthreads();
    const float sum = Group::row_sum(lane, sums[buffer]);
    if (warp == 0 && lane % Group::kWarps == 0 && has_row) row_sums[i] = sum;
    group.add_columns(weight_of(mass, factor, sum, args.relaxation), columns);
  }

  const int64_t width = width_of(args.problems, n, b);
  float4* partial = reinterpret_cast<float4*>(
      s.chunk_columns + partials_of(args.problems, b, n.chunks, width) + chunk.index * width);
  write_columns<kThreads>(columns, partial, t, packets);
}

// First read of the two-read path: one warp per row.
template <class T>
__global__ void __launch_bounds__(kRowWarps* kWarpSize, 3)
    wide_rows_kernel(SinkhornScaling args, ScalingScratch s, ScalingSizes n) {
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
        const Factors<T> factor = load_factors<T>(factors, packet, Constant{});
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
    wide_columns_kernel(SinkhornScaling args, ScalingScratch s, ScalingSizes n, Tiles tiles) {
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

// Computes the new factors, one share per block. Whichever block finishes last takes the convergence
// decision; it adds the errors in a fixed order.
__global__ void __launch_bounds__(kSumThreads)
    finish_kernel(SinkhornScaling args, ScalingScratch s, ScalingSizes n, int64_t blocks) {
  SOTALIGN_SHARED(double, errors, [kMaxWarps]);
  SOTALIGN_SHARED(double, shared, [kGroups][kWarpSize]);
  SOTALIGN_SHARED(bool, last, );
  const int64_t b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!wanted(args, b)) return;  // the whole block
  Tally& tally = s.tallies[b];
  finish_share(args, s, n, b, block, old_factors(args, b), args.relaxation, tally, shared);

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
void launch_rows(const Queue& queue, const SinkhornScaling& args, const ScalingScratch& s,
                 const ScalingSizes& n) {
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
  const ScalingSizes n = scaling_sizes<T>(p, args.type);
  Carver carver(args.scratch);
  const ScalingScratch s = carve_scaling(carver, p, n, 1);
  launch_rows<T>(queue, args, s, n);
  const int64_t blocks = finish_shares(p, n);
  launch(queue, "sinkhorn_scaling", finish_kernel, static_cast<unsigned>(p.batch * blocks), kSumThreads, 0,
         args, s, n, blocks);
}

template <class T>
ScalingMapping mapping_of(const SinkhornScaling& args) {
  const int64_t chunks = args.problems.chunks > 0 ? args.problems.chunks : scaling_chunks<T>(args.problems);
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
  carve_scaling(carver, args.problems,
                args.type == DensityType::kFloat ? scaling_sizes<float>(args.problems, args.type)
                                                 : scaling_sizes<uint16_t>(args.problems, args.type),
                1);
  return carver.used();
}

void sinkhorn_scaling(const Queue& queue, const SinkhornScaling& args) {
  if (args.type == DensityType::kFloat)
    iterate<float>(queue, args);
  else
    iterate<uint16_t>(queue, args);
}

}  // namespace sotalign::kernels::cuda
