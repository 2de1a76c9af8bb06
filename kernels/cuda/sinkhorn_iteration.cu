// One Sinkhorn iteration in four launches: round the potentials for the loops; read K for the row sums and
// each chunk's column sums; turn the sums into new potentials; take the convergence decision and commit.
// Nothing is committed until every sum has proved trustworthy. The state on the device tells each kernel what
// to do.
//
// Rows: a block owns a chunk of rows and ALL columns, a thread the columns t, t + kThreads, ... for the whole
// kernel. It loads its entries of kRows rows, computes their exponentials in registers, and sums its share of
// each row. These sums cross the block at one barrier for the kRows rows; then every thread knows a_i / r_i
// and adds its exponentials, still in registers, to its column sums, also in registers. So K is read once,
// with one exponential per entry; the extra traffic is the chunks' column sums, written and read once, and
// the column potentials, read once per chunk. Row sums are in float, added as a tree except for the few
// columns of a thread; the new potential and the weight use the same r_i, so its rounding does not reach the
// column sums.
//
// Matrices too wide for registers take two reads and two exponentials: a warp sums each row, then tiles
// (entropic.h) sum the columns.
#include "kernels/sinkhorn_iteration.h"

#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kCommitThreads = 256;
/// Two-read path: one warp per row.
constexpr int kRowWarps = 8;

// Processing of rows by number of columns. Every layout fits 64 registers per thread, that is 1024 threads
// per multiprocessor: two registers per column (the exponential and the column sum) leave room for 22 columns
// per thread. Narrow matrices take several rows per barrier, since a block would otherwise spend its time
// waiting rather than reading. Blocks are no larger than needed, so that several share a multiprocessor and
// one reads while another waits at its barrier.
struct Layout {
  int threads, columns, rows;  // `columns` per thread, `rows` per barrier
};
constexpr Layout kLayouts[] = {{128, 1, 4}, {128, 2, 4},  {128, 4, 4},  {256, 4, 4},   {512, 4, 4},
                               {512, 8, 2}, {512, 16, 1}, {512, 22, 1}, {1024, 16, 1}, {1024, 22, 1}};
constexpr int kWide = sizeof(kLayouts) / sizeof(Layout);  // index that stands for the two-read path

/// Strides and pointers of a ragged batch take registers, which 16 or more entries per thread do not leave:
/// half as many threads then share a multiprocessor, and a block of 1024 would not fit.
constexpr bool fits_own_shapes(const Layout& layout) { return layout.threads <= 512; }
constexpr int blocks_at_once(int threads, int entries, bool own_shapes) {
  return (own_shapes && entries >= 16 ? 512 : 1024) / threads;
}

constexpr int layout_of(const EntropicBatch& p) {
  const bool own_shapes = p.chunks > 0;
  int index = 0;
  while (index < kWide && (p.cols > int64_t{kLayouts[index].threads} * kLayouts[index].columns ||
                           (own_shapes && !fits_own_shapes(kLayouts[index]))))
    ++index;
  return index;
}

// A multiprocessor holds 1024 / threads blocks. The chunks are one wave of blocks on the 132 multiprocessors
// of an H100 or H200, or two waves if a block fills a multiprocessor, so that no block ends long after the
// others. For n = 22,000 this gives 83 rows per chunk: the chunks' column sums add 2 % to the traffic.
constexpr int64_t iteration_chunks(const EntropicBatch& p) {
  const int layout = layout_of(p);
  if (layout == kWide) return tiles_of(p).chunks;
  const int64_t wave = 132 * 1024 / kLayouts[layout].threads;
  return chunk_count(strip_height(p), wave > 264 ? wave : 264);
}

struct Scratch {
  int32_t *run, *rows_bad, *columns_bad;  // [batch]
  SinkhornState* entry;                   // [batch], the states at entry
  double* shift;                          // [batch]
  Row* rows;                              // [batch, rows], the weight is a_i
  float* v;                               // [batch, cols], centred
  double* u;                              // [batch, rows], row sums, then new row potentials
  double* new_v;                          // [batch, cols], column sums, then new column potentials
  double* block_error;                    // [batch, row blocks]
  float* chunk_columns;                   // [all chunks, cols]
};
Scratch carve(Carver& carver, const EntropicBatch& p) {
  const int64_t chunks = iteration_chunks(p);
  Scratch s{};
  s.run = carver.take<int32_t>(p.batch);
  s.rows_bad = carver.take<int32_t>(p.batch);
  s.columns_bad = carver.take<int32_t>(p.batch);
  s.entry = carver.take<SinkhornState>(p.batch);
  s.shift = carver.take<double>(p.batch);
  s.rows = carver.take<Row>(p.batch * p.rows);
  s.v = carver.take<float>(p.batch * p.cols);
  s.u = carver.take<double>(p.batch * p.rows);
  s.new_v = carver.take<double>(p.batch * p.cols);
  s.block_error = carver.take<double>(p.batch * blocks_for(p.rows, kSumThreads));
  s.chunk_columns = carver.take<float>(total_partials(p, chunks, p.cols));
  return s;
}

// `run` keeps the problem's `active` flag at entry, which the last kernel may change.
__global__ void __launch_bounds__(kPrepareThreads)
    prepare_kernel(SinkhornIteration args, Scratch s, int64_t blocks) {
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, i = blockIdx.x % blocks * kPrepareThreads + threadIdx.x;
  const bool active = args.states[b].active != 0;
  if (i == 0) {
    args.states[b].use_log_domain = 0;
    s.run[b] = active;
    s.rows_bad[b] = s.columns_bad[b] = 0;
    s.entry[b] = args.states[b];
  }
  if (!active) return;  // the whole block
  const int64_t cols = cols_of(p, b);
  const double shift = centre_of(args.v + b * p.cols, cols);
  if (i == 0) s.shift[b] = shift;
  if (i < cols) s.v[b * p.cols + i] = static_cast<float>(args.v[b * p.cols + i] - shift);
  if (i < rows_of(p, b)) {
    const int64_t at = b * p.rows + i;
    const double log_a = p.log_a[at];
    // A row without mass has weight 0, whatever its exponentials. A relaxed weight keeps part of the offset's
    // rounding error.
    if (std::isinf(log_a)) {
      s.rows[at] = {0.0f, 0.0f};
    } else {
      const double exponent = args.u[at] + shift - log_a;
      const float offset = static_cast<float>(exponent);
      const double rest =
          args.relaxation == 1.0 ? 0.0 : (1.0 - args.relaxation) * (exponent - static_cast<double>(offset));
      s.rows[at] = {offset, static_cast<float>(exp(log_a + rest))};
    }
  }
}

// The row's mass over its sum to the power of the relaxation.
__device__ __forceinline__ float relaxed_weight(float weight, float sum, float relaxation) {
  if (relaxation == 1.0f) return weight / sum;
  return weight * exp2_approx(-relaxation * log2_approx(sum));
}
__device__ __forceinline__ double relaxed(double old, double plain, double relaxation) {
  return relaxation == 1.0 ? plain : old + relaxation * (plain - old);
}

template <int kThreads, int kColumns, int kRows, bool kOwnShapes>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kThreads, kColumns* kRows, kOwnShapes))
    rows_kernel(SinkhornIteration args, Scratch s, int64_t chunks) {
  constexpr int kWarps = kThreads / kWarpSize;
  SOTALIGN_SHARED(float, sums, [2][kRows][kWarps]);
  EntropicBatch p = args.problems;
  if constexpr (!kOwnShapes) p.layouts = nullptr;  // already null; lets the compiler drop the layout code
  const Chunk chunk = chunk_of(p, blockIdx.x, chunks);
  const int64_t b = chunk.problem, row_stride = row_stride_of(p, b);
  if (!s.run[b]) return;  // the whole block
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarpSize, warp = t / kWarpSize;
  const int left =
      static_cast<int>(cols_of(p, b)) - t;  // columns from the thread's first; those of a layout fit an int
  const float c = p.inverse_epsilon[b];

  // Registers would not hold the column potentials, so they are in shared memory. A thread reads only what it
  // wrote itself, so no barrier is needed. Columns past the matrix get potentials of -inf, and their sums are
  // not written.
  float* v = simt::dynamic_shared<float>() + t;
  float columns[kColumns];
#pragma unroll
  for (int k = 0; k < kColumns; ++k) {
    v[k * kThreads] = k * kThreads < left ? s.v[b * p.cols + t + k * kThreads] : -INFINITY;
    columns[k] = 0.0f;
  }

  const Strip strip = strip_of(p, b);
  const int64_t begin = chunk_begin(strip.rows, chunk.count, chunk.index);
  const int count = static_cast<int>(chunk_begin(strip.rows, chunk.count, chunk.index + 1) - begin);
  const float* affinity = affinity_of(p, b) + begin * row_stride + t;
  const Row* rows = s.rows + b * p.rows + strip.begin + begin;
  double* u = s.u + b * p.rows + strip.begin + begin;
  const float relaxation = static_cast<float>(args.relaxation);
  int buffer = 0;
  for (int rows_left = count; rows_left > 0; rows_left -= kRows, buffer ^= 1) {
    const auto there = [&](int r) { return kRows == 1 || r < rows_left; };
    float e[kRows][kColumns];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int k = 0; k < kColumns; ++k)
        e[r][k] = there(r) && k * kThreads < left ? affinity[k * kThreads] : 0.0f;
      affinity += row_stride;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float offset = there(r) ? rows[r].offset : 0.0f;
      float sum = 0;
#pragma unroll
      for (int k = 0; k < kColumns; ++k) {
        e[r][k] = exp_clamped(fmaf(c, e[r][k], offset) + v[k * kThreads]);
        sum += e[r][k];
      }
      sum = warp_sum(sum);
      if (lane == 0) sums[buffer][r][warp] = sum;
    }
    // One barrier is enough: a thread writes this buffer again only after the next barrier, and by then all
    // threads have read it.
    __syncthreads();
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float sum = 0;
      if constexpr (kWarps <= 8) {
#pragma unroll
        for (int w = 0; w < kWarps; ++w) sum += sums[buffer][r][w];
      } else {
        sum = warp_sum(lane < kWarps ? sums[buffer][r][lane] : 0.0f);
      }
      const float weight = relaxed_weight(there(r) ? rows[r].weight : 0.0f, sum, relaxation);
#pragma unroll
      for (int k = 0; k < kColumns; ++k) columns[k] = fmaf(weight, e[r][k], columns[k]);
      if (t == r && there(r)) u[r] = static_cast<double>(sum);
    }
    rows += kRows;
    u += kRows;
  }

  const int64_t cols = cols_of(p, b);
  float* partial = s.chunk_columns + partials_of(p, b, chunks, cols) + chunk.index * cols + t;
#pragma unroll
  for (int k = 0; k < kColumns; ++k)
    if (k * kThreads < left) partial[k * kThreads] = columns[k];
}

// First read of the two-read path: one warp per row.
__global__ void __launch_bounds__(kRowWarps* kWarpSize) wide_rows_kernel(SinkhornIteration args, Scratch s) {
  constexpr int kAtOnce = 8;  // entries a lane has in flight
  const EntropicBatch& p = args.problems;
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const WarpRows rows = rows_of_warp(p, kRowWarps);
  const int64_t b = rows.problem;
  if (b >= p.batch || !s.run[b]) return;  // the whole warp returns; there is no barrier
  const int64_t cols = cols_of(p, b);
  const float c = p.inverse_epsilon[b];
  const float* v = s.v + b * p.cols;
  for (int64_t i = rows.begin; i < rows.end; i += kRowWarps) {
    const int64_t at = b * p.rows + strip_of(p).begin + i;
    const float offset = s.rows[at].offset;
    const float* affinity = affinity_of(p, b) + i * row_stride_of(p, b);
    double sum = 0;
    for (int64_t j = lane; j < cols; j += kAtOnce * kWarpSize) {
      float x[kAtOnce];
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) {
        const int64_t column = j + k * kWarpSize;
        x[k] = column < cols ? fmaf(c, affinity[column], offset) + v[column] : -INFINITY;
      }
      float part = 0;
#pragma unroll
      for (int k = 0; k < kAtOnce; ++k) part += exp_clamped(x[k]);
      sum += static_cast<double>(part);
    }
    sum = warp_sum(sum);
    if (lane == 0) {
      s.u[at] = sum;
      s.rows[at].weight =
          relaxed_weight(s.rows[at].weight, static_cast<float>(sum), static_cast<float>(args.relaxation));
    }
  }
}

// Second read of the two-read path: tiles.
__global__ void __launch_bounds__(kTileThreads)
    wide_columns_kernel(SinkhornIteration args, Scratch s, Tiles tiles) {
  const EntropicBatch& p = args.problems;
  const Tile tile = tile_of_block(p, tiles);
  const int64_t b = tile.problem, j = tile.column, cols = cols_of(p, b), stride = row_stride_of(p, b);
  if (!s.run[b] || j >= cols) return;  // no barrier follows
  const float c = p.inverse_epsilon[b], v = s.v[b * p.cols + j];
  const float* affinity = affinity_of(p, b) + j;
  const Row* rows = s.rows + b * p.rows + strip_of(p).begin;
  float column = 0;
  for (int64_t i = tile.begin; i < tile.end; i += kTileRows) {
    float k[kTileRows];
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) k[r] = i + r < tile.end ? affinity[(i + r) * stride] : 0.0f;
#pragma unroll
    for (int r = 0; r < kTileRows; ++r) {
      const Row row = i + r < tile.end ? rows[i + r] : Row{0.0f, 0.0f};
      column = fmaf(row.weight, exp_clamped(fmaf(c, k[r], row.offset) + v), column);
    }
  }
  s.chunk_columns[partials_of(p, b, tiles.chunks, cols) + tile.chunk * cols + j] = column;
}

// Computes the new potentials. The first blocks of a problem take rows, one per thread, and write their
// shares of the marginal error; the others add the chunks' column sums (entropic.h) to those of earlier
// strips. Before the last strip the rows have nothing to do, and row_blocks is 0.
__global__ void __launch_bounds__(kSumThreads)
    finish_kernel(SinkhornIteration args, Scratch s, int64_t chunks, int64_t row_blocks, int64_t blocks) {
  SOTALIGN_SHARED(double, errors, [kMaxWarps]);
  SOTALIGN_SHARED(double, columns, [kGroups][kWarpSize]);
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!s.run[b]) return;  // the whole block
  const double shift = s.shift[b];
  if (block < row_blocks) {
    const int64_t i = block * kSumThreads + threadIdx.x, at = b * p.rows + i;
    double error = 0;
    const int64_t rows = rows_of(p, b);
    if (i < rows && std::isinf(p.log_a[at])) {
      s.u[at] = args.u[at];
    } else if (i < rows) {
      const double log_a = p.log_a[at], offset = static_cast<double>(s.rows[at].offset), sum = s.u[at];
      if (!trustworthy(sum)) atomicMax(&s.rows_bad[b], 1);
      s.u[at] = relaxed(args.u[at], offset - shift + log_a - log(sum), args.relaxation);
      // The row's mass under the potentials at entry; `offset` is their rounded value.
      error = exp(log_a) * fabs(sum * exp(args.u[at] + shift - log_a - offset) - 1.0);
    }
    error = block_sum(error, errors);
    if (threadIdx.x == 0) s.block_error[b * row_blocks + block] = error;
  } else {
    const int64_t j = (block - row_blocks) * kWarpSize + sum_column(), at = b * p.cols + j;
    const Strip strip = strip_of(p, b);
    const int64_t cols = cols_of(p, b);
    double sum = sum_chunks(s.chunk_columns + partials_of(p, b, chunks, cols), chunks_of(p, b, chunks), cols,
                            cols, j, columns);
    if (sum_group() != 0 || j >= cols) return;  // no barrier follows
    if (!strip.first) sum += s.new_v[at];
    if (!strip.last) {
      s.new_v[at] = sum;
      return;
    }
    const double log_b = p.log_b[at];
    if (std::isinf(log_b)) {
      s.new_v[at] = log_b;
      return;
    }
    if (!trustworthy(sum * exp(-log_b))) atomicMax(&s.columns_bad[b], 1);
    s.new_v[at] =
        relaxed(args.v[at], static_cast<double>(s.v[at]) + shift + log_b - log(sum), args.relaxation);
  }
}

// Commits, one thread per potential. Each block repeats the convergence decision, from the results of the
// earlier kernels.
__global__ void __launch_bounds__(kCommitThreads)
    commit_kernel(SinkhornIteration args, Scratch s, int64_t row_blocks, int64_t blocks) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  const EntropicBatch& p = args.problems;
  const int64_t b = blockIdx.x / blocks, block = blockIdx.x % blocks;
  if (!s.run[b]) return;  // the whole block
  double error = 0;
  for (int64_t row_block = threadIdx.x; row_block < row_blocks; row_block += kCommitThreads)
    error += s.block_error[b * row_blocks + row_block];
  error = block_sum(error, scratch);

  SinkhornState state = s.entry[b];
  const bool commit = conclude(state, {.row_error = error,
                                       .rows_bad = s.rows_bad[b] != 0,
                                       .columns_bad = s.columns_bad[b] != 0,
                                       .tolerance = args.tolerance});
  const int64_t i = block * kCommitThreads + threadIdx.x;
  if (commit) {
    if (i < rows_of(p, b)) args.u[b * p.rows + i] = s.u[b * p.rows + i];
    if (i < cols_of(p, b)) args.v[b * p.cols + i] = s.new_v[b * p.cols + i];
  }
  if (i == 0) args.states[b] = state;
}

// Launches the layout that layout_of() returns: compares its index with that of each instantiation.
template <int kLayout = 0>
void launch_rows(const Queue& queue, const SinkhornIteration& args, const Scratch& s, int64_t chunks) {
  if constexpr (kLayout < kWide) {
    if (kLayout != layout_of(args.problems)) return launch_rows<kLayout + 1>(queue, args, s, chunks);
    constexpr Layout layout = kLayouts[kLayout];
    auto* kernel = rows_kernel<layout.threads, layout.columns, layout.rows, false>;
    if constexpr (fits_own_shapes(layout))
      if (args.problems.chunks > 0) kernel = rows_kernel<layout.threads, layout.columns, layout.rows, true>;
    launch(queue, "sinkhorn_iteration", kernel, static_cast<unsigned>(total_chunks(args.problems, chunks)),
           layout.threads, sizeof(float) * layout.threads * layout.columns, args, s, chunks);
  } else {
    launch(queue, "sinkhorn_iteration", wide_rows_kernel, warp_row_blocks(args.problems, kRowWarps),
           kRowWarps * kWarpSize, 0, args, s);
    const Tiles tiles = tiles_of(args.problems);
    launch(queue, "sinkhorn_iteration", wide_columns_kernel, tile_blocks(args.problems, tiles), kTileThreads,
           0, args, s, tiles);
  }
}

}  // namespace

size_t sinkhorn_iteration_scratch(const Queue&, const SinkhornIteration& args) {
  Carver carver;
  carve(carver, args.problems);
  return carver.used();
}

void sinkhorn_iteration(const Queue& queue, const SinkhornIteration& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const Scratch s = carve(carver, p);
  const Strip strip = strip_of(p);
  const int64_t chunks = iteration_chunks(p);
  const int64_t row_blocks = strip.last ? blocks_for(p.rows, kSumThreads) : 0,
                finish_blocks = row_blocks + blocks_for(p.cols, kWarpSize),
                commit_blocks = blocks_for(p.rows > p.cols ? p.rows : p.cols, kCommitThreads);
  const int64_t prepared = prepare_blocks(p.rows, p.cols);
  if (strip.first)
    launch(queue, "sinkhorn_iteration", prepare_kernel, static_cast<unsigned>(p.batch * prepared),
           kPrepareThreads, 0, args, s, prepared);
  launch_rows(queue, args, s, chunks);
  launch(queue, "sinkhorn_iteration", finish_kernel, static_cast<unsigned>(p.batch * finish_blocks),
         kSumThreads, 0, args, s, chunks, row_blocks, finish_blocks);
  if (strip.last)
    launch(queue, "sinkhorn_iteration", commit_kernel, static_cast<unsigned>(p.batch * commit_blocks),
           kCommitThreads, 0, args, s, row_blocks, commit_blocks);
}

}  // namespace sotalign::kernels::cuda
