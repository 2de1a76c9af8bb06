// A team of blocks per problem, one block on a multiprocessor, all of them alive at once (a cooperative
// launch). A block copies a run of consecutive chunks of rows (entropic.h) to shared memory and keeps them.
// An iteration has two halves, as in sinkhorn_scaling.cu and with the same arithmetic (scaling_step.h):
//   rows     each group of threads takes a chunk at a time: its row sums, then its column sums, which it
//            writes to global memory, where they stay in L2;
//   finish   the team shares out the new factors: rows, and sums over chunks.
// A barrier between the team's blocks follows each half. Then every block takes the convergence decision
// itself, from the same numbers, so nobody waits for an answer.
//
// Factors and sums change while the kernel runs: they are never read through the read-only cache.
#include "kernels/sinkhorn_on_chip.h"

#include "kernels/cuda/launch.h"
#include "kernels/cuda/scaling_step.h"

namespace sotalign::kernels::cuda {

namespace {

/// Threads per block, as many as the registers of a multiprocessor allow: a thread takes 128, and more where
/// it unpacks bfloat16.
template <class T>
constexpr int kBlockThreads = kPacketEntries<T> > 4 ? 256 : 512;
constexpr int kMostShares = kBlockThreads<float> / kSumThreads;
/// The first layouts of scaling_layout.h, up to 4,096 columns of float and 8,192 of bfloat16. Wider rows
/// would need more registers than there are.
constexpr int kOnChipLayouts = 4;
/// The lanes of one warp add up the errors of the shares of rows.
constexpr int64_t kMostRows = int64_t{kWarpSize} * kSumThreads;

struct Scratch {
  unsigned* arrivals;  // [batch], of blocks at the team's barrier; zero at the start
  ScalingScratch step;
};
Scratch carve(Carver& carver, const EntropicBatch& p, const ScalingSizes& n) {
  Scratch s{};
  s.arrivals = carver.take<unsigned>(p.batch);
  // Two tallies per problem: blocks still read the last iteration's while this one's is reset.
  s.step = carve_scaling(carver, p, n, 2);
  return s;
}

/// A block's static shared memory.
struct Shared {
  float sums[2][kBlockThreads<float> / 8];  // of rows, by warp; two buffers
  double finish[kMostShares][kGroups][kWarpSize];
  double state[(sizeof(SinkhornState) + 7) / 8];  // a SinkhornState, which has initializers
  int stops;
};

// The state after an iteration, and whether the problem leaves the chip.
__device__ __forceinline__ bool advance(SinkhornState& state, const IterationSchedule& schedule,
                                        const Iteration& result, bool moved_far) {
  if (conclude(state, result)) {
    state.current ^= 1;
    state.absorb = moved_far;
  }
  int64_t iteration = state.next;
  // A problem that needs the log domain waits until that is offered.
  while (state.active && state.use_log_domain && !schedule.offers(Backend::kCuda, iteration)) ++iteration;
  if (state.coarse == 1 && schedule.refines(iteration)) state.coarse = 2;
  state.next = iteration + 1;
  return schedule.last(iteration) || !state.active ||
         (schedule.offers(Backend::kCuda, iteration) && wants_density(state, false));
}

template <class T, int kThreads, int kPackets, int kRows>
__global__ void __launch_bounds__(kBlockThreads<T>, 1)
    on_chip_kernel(SinkhornOnChip args, Scratch scratch, ScalingSizes n, int64_t blocks) {
  using Group = RowGroup<T, kThreads, kPackets, kRows>;
  constexpr int kEntries = kPacketEntries<T>;
  SOTALIGN_SHARED(Shared, shared, );
  constexpr int kBlock = kBlockThreads<T>;
  constexpr int kSlots = kBlock / kThreads;      // chunks that a block processes at once
  constexpr int kShares = kBlock / kSumThreads;  // the same for the second half
  static_assert(kSlots * Group::kSums * sizeof(float) <= sizeof shared.sums[0]);
  const SinkhornScaling& step = args.scaling;
  const ScalingScratch& s = scratch.step;
  const EntropicBatch& p = step.problems;
  const int64_t b = blockIdx.x / blocks, member = blockIdx.x % blocks;
  if (!wants_scaling(step.states[b], step.type) || step.states[b].next >= args.schedule.iterations)
    return;  // the whole team
  SinkhornState& state = *reinterpret_cast<SinkhornState*>(shared.state);
  if (threadIdx.x == 0) state = step.states[b];

  const int first_chunk = static_cast<int>(chunk_begin(n.chunks, blocks, member)),
            end_chunk = static_cast<int>(chunk_begin(n.chunks, blocks, member + 1));
  const int64_t first_row = chunk_begin(p.rows, n.chunks, first_chunk),
                end_row = chunk_begin(p.rows, n.chunks, end_chunk);
  const int row_packets = static_cast<int>(n.stride / kEntries);
  Packet* density = simt::dynamic_shared<Packet>();
  const Packet* source = reinterpret_cast<const Packet*>(density_of<T>(step, b) + first_row * n.stride);
  for (int64_t i = threadIdx.x; i < (end_row - first_row) * row_packets; i += kBlock)
    copy_async(density + i, source + i);
  copy_commit();
  copy_wait<0>();
  __syncthreads();

  const int slot = static_cast<int>(threadIdx.x) / kThreads, t = static_cast<int>(threadIdx.x) % kThreads;
  const int lane = t % kWarpSize, warp = t / kWarpSize, my_row = Group::row_of_lane(lane);
  const int across = static_cast<int>((p.cols + kEntries - 1) / kEntries);
  const int packets = (across - t + kThreads - 1) / kThreads;
  const int most_rows = static_cast<int>((p.rows + n.chunks - 1) / n.chunks);  // of a chunk
  const int64_t shares = finish_shares(p, n);
  unsigned arrivals = 0;
  for (bool stops = false; !stops;) {
    const int64_t iteration = state.next, copy = 2 * b + state.current;
    const double relaxation = args.schedule.relaxation_at(iteration);
    Tally& tally = s.tallies[2 * b + iteration % 2];
    if (member == 0 && threadIdx.x == 0) tally = Tally{};
    // Factors of the thread's first packet. A thread without packets may read any: its entries are zero.
    const float4* factors = reinterpret_cast<const float4*>(step.column_scale + copy * n.width) +
                            (packets > 0 ? t : 0) * (kEntries / 4);
    make_opaque(factors);
    const float *row_mass = step.row_mass + b * p.rows + first_row,
                *row_scale = step.row_scale + copy * p.rows + first_row;
    float* row_sums = s.row_sums + b * p.rows + first_row;
    int buffer = 0;
    for (int round = first_chunk; round < end_chunk; round += kSlots) {
      const int chunk = round + slot;
      const int begin = static_cast<int>(chunk_begin(p.rows, n.chunks, chunk) - first_row);
      const int count = chunk < end_chunk
                            ? static_cast<int>(chunk_begin(p.rows, n.chunks, chunk + 1) - first_row) - begin
                            : 0;
      const Packet* rows = density + begin * row_packets + t;
      float columns[kPackets][kEntries] = {};
      // All groups take as many steps, since they share the barrier.
      for (int done = 0; done < most_rows; done += kRows, buffer ^= 1) {
        const bool has_row = my_row < kRows && done + my_row < count;
        const int i = begin + done + my_row;
        const float mass = has_row ? row_mass[i] : 0.0f, factor = has_row ? __ldcg(row_scale + i) : 1.0f;
        Group group;
#pragma unroll
        for (int r = 0; r < kRows; ++r)
#pragma unroll
          for (int k = 0; k < kPackets; ++k)
            group.e[r][k] =
                k < packets && done + r < count ? rows[(done + r) * row_packets + k * kThreads] : Packet{};
        float* sums = shared.sums[buffer] + slot * Group::kSums;
        const auto factors_of = [&](int k) {
          return load_factors<T>(factors, k < packets ? k * kThreads : 0, Fresh{});
        };
        group.add_rows(lane, warp, factors_of, sums);
        __syncthreads();  // one is enough: see sinkhorn_scaling.cu
        const float sum = Group::row_sum(lane, sums);
        if (warp == 0 && lane % Group::kWarps == 0 && has_row) row_sums[i] = sum;
        group.add_columns(weight_of(mass, factor, sum, relaxation), columns);
      }
      if (count > 0)
        write_columns<kThreads>(columns,
                                reinterpret_cast<float4*>(s.chunk_columns + (b * n.chunks + chunk) * n.width),
                                t, packets);
    }
    team_barrier(scratch.arrivals + b, static_cast<unsigned>(blocks), arrivals);

    for (int64_t first = member * kShares; first < shares; first += blocks * kShares) {
      const int part = static_cast<int>(threadIdx.x) / kSumThreads;
      finish_share(step, s, n, b, first + part < shares ? first + part : -1, copy, relaxation, tally,
                   shared.finish[part]);
      __syncthreads();
    }
    team_barrier(scratch.arrivals + b, static_cast<unsigned>(blocks), arrivals);

    if (threadIdx.x < kWarpSize) {
      const double error =
          warp_sum(lane < n.row_blocks ? __ldcg(&s.block_errors[b * n.row_blocks + lane]) : 0.0);
      if (lane == 0)
        shared.stops = advance(state, args.schedule,
                               {.row_error = error,
                                .rows_bad = __ldcg(&tally.rows_bad) != 0,
                                .columns_bad = __ldcg(&tally.columns_bad) != 0,
                                .tolerance = args.schedule.tolerance_at(iteration)},
                               __ldcg(&tally.drifted) != 0);
    }
    __syncthreads();
    stops = shared.stops;
  }
  if (member == 0 && threadIdx.x == 0) step.states[b] = state;
}

/// Rows of the block that has most of them.
int64_t rows_of_block(int64_t rows, int64_t chunks, int64_t blocks) {
  int64_t most = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = chunk_begin(rows, chunks, chunk_begin(chunks, blocks, block)),
                  end = chunk_begin(rows, chunks, chunk_begin(chunks, blocks, block + 1));
    most = most > end - begin ? most : end - begin;
  }
  return most;
}

template <class T>
OnChipMapping mapping_of(const Queue& queue, const SinkhornScaling& args) {
  const EntropicBatch& p = args.problems;
  const ScalingSizes n = scaling_sizes<T>(p, args.type);
  if (queue.plain || p.layouts != nullptr || strip_height(p) != p.rows ||
      layout_of<T>(p.cols) >= kOnChipLayouts || p.rows > kMostRows)
    return {};
  const int64_t each = queue.multiprocessors / p.batch, blocks = each < n.chunks ? each : n.chunks;
  if (blocks < 1) return {};
  const int64_t bytes = rows_of_block(p.rows, n.chunks, blocks) * n.stride * int64_t{sizeof(T)};
  if (bytes + int64_t{sizeof(Shared)} > cooperative_shared_memory(queue.device)) return {};
  return {.blocks = blocks, .shared_bytes = bytes};
}

// Launches the layout that layout_of() returns.
template <class T, int kLayout = 0>
void run(const Queue& queue, const SinkhornOnChip& args) {
  if constexpr (kLayout < kOnChipLayouts) {
    const EntropicBatch& p = args.scaling.problems;
    if (kLayout != layout_of<T>(p.cols)) return run<T, kLayout + 1>(queue, args);
    constexpr Layout layout = Layouts<T>::kAll[kLayout];
    const OnChipMapping mapping = mapping_of<T>(queue, args.scaling);
    const ScalingSizes n = scaling_sizes<T>(p, args.scaling.type);
    Carver carver(args.scaling.scratch);
    const Scratch s = carve(carver, p, n);
    check(cudaMemsetAsync(s.arrivals, 0, static_cast<size_t>(p.batch) * sizeof(unsigned), stream_of(queue)),
          "cudaMemsetAsync");
    launch_cooperative(queue, "sinkhorn_on_chip",
                       on_chip_kernel<T, layout.threads, layout.packets, layout.rows>,
                       static_cast<unsigned>(p.batch * mapping.blocks), kBlockThreads<T>,
                       static_cast<size_t>(mapping.shared_bytes), args, s, n, mapping.blocks);
  }
}

}  // namespace

OnChipMapping sinkhorn_on_chip_mapping(const Queue& queue, const SinkhornScaling& args) {
  return args.type == DensityType::kFloat ? mapping_of<float>(queue, args)
                                          : mapping_of<uint16_t>(queue, args);
}

size_t sinkhorn_on_chip_scratch(const Queue&, const SinkhornOnChip& args) {
  const EntropicBatch& p = args.scaling.problems;
  const DensityType type = args.scaling.type;
  Carver carver;
  carve(carver, p,
        type == DensityType::kFloat ? scaling_sizes<float>(p, type) : scaling_sizes<uint16_t>(p, type));
  return carver.used();
}

void sinkhorn_on_chip(const Queue& queue, const SinkhornOnChip& args) {
  if (args.scaling.type == DensityType::kFloat)
    run<float>(queue, args);
  else
    run<uint16_t>(queue, args);
}

}  // namespace sotalign::kernels::cuda
