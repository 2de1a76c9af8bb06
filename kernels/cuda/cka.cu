// CKA divergence in two reads of both affinities. First read: a warp takes a chunk of rows of kColumns * 32
// columns, each lane kColumns of them, 32 apart. Lanes keep their column sums and the three sums of products
// in registers down the chunk; the warp reduces each row's sum. Every tile writes a sum per row and column,
// which two small kernels add in a fixed order; a single block then adds the rest and computes the value and
// the gradient's coefficients (cka_statistics.h). All this is in double: about ten operations for 8 bytes of
// memory traffic. Second read: the gradient, element-wise (elementwise.h) in single precision, but relative
// to the mean of all entries, so a large common offset costs no digits.
#include "kernels/cka.h"

#include "kernels/cka_statistics.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kWarps = 4;  // per block; they work independently
constexpr int kColumns = 4, kRows = 2;
constexpr int kWidth = kColumns * kWarpSize;
constexpr int kTotalThreads = 1024;

/// A value of the student and of the teacher; entries are taken minus the first entry of their matrix.
struct Pair {
  double x, y;
};
__device__ __forceinline__ Pair operator+(Pair a, Pair b) { return {a.x + b.x, a.y + b.y}; }

/// At least 32 rows per chunk; about 8000 warps are two waves on the largest devices.
struct Layout {
  int64_t chunks, across;
};
constexpr Layout layout_of(const Cka& args) {
  const int64_t across = (args.cols + kWidth - 1) / kWidth;
  const int64_t chunks = (args.rows + 31) / 32, most = 8192 / across > 16 ? 8192 / across : 16;
  return {chunks < most ? chunks : most, across};
}

struct Scratch {
  Pair* row_sums;                 // [rows, across]
  Pair* column_sums;              // [chunks, cols]
  CkaProducts* products;          // [chunks, across]
  double *row_x, *row_y;          // [rows], means
  double *column_x, *column_y;    // [cols], means
  CkaCoefficients* coefficients;  // [1]
};
Scratch carve(Carver& carver, const Cka& args) {
  const Layout layout = layout_of(args);
  Scratch s{};
  s.row_sums = carver.take<Pair>(args.rows * layout.across);
  s.column_sums = carver.take<Pair>(layout.chunks * args.cols);
  s.products = carver.take<CkaProducts>(layout.chunks * layout.across);
  s.row_x = carver.take<double>(args.rows);
  s.row_y = carver.take<double>(args.rows);
  s.column_x = carver.take<double>(args.cols);
  s.column_y = carver.take<double>(args.cols);
  s.coefficients = carver.take<CkaCoefficients>(1);
  return s;
}

__device__ __forceinline__ CkaProducts add_product(CkaProducts sum, double x, double y) {
  return {fma(x, x, sum.xx), fma(x, y, sum.xy), fma(y, y, sum.yy)};
}

__global__ void __launch_bounds__(kWarps* kWarpSize) tiles_kernel(Cka args, Scratch s, Layout layout) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t warp = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarpSize;
  const int64_t chunk = warp / layout.across, across = warp % layout.across;
  if (chunk >= layout.chunks) return;  // the whole warp returns; there is no barrier
  const int64_t begin = chunk_begin(args.rows, layout.chunks, chunk),
                end = chunk_begin(args.rows, layout.chunks, chunk + 1);
  const int64_t first = across * kWidth + lane;
  const float first_k = *args.student, first_teacher_k = *args.teacher;
  const double first_x = static_cast<double>(first_k), first_y = static_cast<double>(first_teacher_k);
  Pair columns[kColumns];
#pragma unroll
  for (int n = 0; n < kColumns; ++n) columns[n] = {0, 0};
  CkaProducts products{};
  for (int64_t i = begin; i < end; i += kRows) {
    float k[kRows][kColumns], teacher_k[kRows][kColumns];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int n = 0; n < kColumns; ++n) {
        const int64_t j = first + n * kWarpSize;
        const bool there = i + r < end && j < args.cols;
        // Out-of-range entries equal the first one, so they add nothing.
        k[r][n] = there ? args.student[(i + r) * args.student_stride + j] : first_k;
        teacher_k[r][n] = there ? args.teacher[(i + r) * args.teacher_stride + j] : first_teacher_k;
      }
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (i + r >= end) continue;  // the whole warp
      Pair row = {0, 0};
#pragma unroll
      for (int n = 0; n < kColumns; ++n) {
        const Pair entry = {static_cast<double>(k[r][n]) - first_x,
                            static_cast<double>(teacher_k[r][n]) - first_y};
        row = row + entry;
        columns[n] = columns[n] + entry;
        products = add_product(products, entry.x, entry.y);
      }
      row = {warp_sum(row.x), warp_sum(row.y)};
      if (lane == 0) s.row_sums[(i + r) * layout.across + across] = row;
    }
  }
#pragma unroll
  for (int n = 0; n < kColumns; ++n)
    if (first + n * kWarpSize < args.cols)
      s.column_sums[chunk * args.cols + first + n * kWarpSize] = columns[n];
  products = {warp_sum(products.xx), warp_sum(products.xy), warp_sum(products.yy)};
  if (lane == 0) s.products[warp] = products;
}

__global__ void __launch_bounds__(kWarps* kWarpSize) rows_kernel(Cka args, Scratch s, int64_t across) {
  const int lane = static_cast<int>(threadIdx.x) % kWarpSize;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarpSize;
  if (i >= args.rows) return;  // the whole warp returns; there is no barrier
  Pair sum = {0, 0};
  for (int64_t t = lane; t < across; t += kWarpSize) sum = sum + s.row_sums[i * across + t];
  sum = {warp_sum(sum.x), warp_sum(sum.y)};
  const double cols = static_cast<double>(args.cols);
  if (lane == 0) s.row_x[i] = sum.x / cols, s.row_y[i] = sum.y / cols;
}

__global__ void __launch_bounds__(kSumThreads) columns_kernel(Cka args, Scratch s, int64_t chunks) {
  SOTALIGN_SHARED(Pair, shared, [kGroups][kWarpSize]);
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kWarpSize + sum_column();
  Pair sum = {0, 0};
  if (j < args.cols)
    for (int64_t chunk = sum_group(); chunk < chunks; chunk += kGroups)
      sum = sum + s.column_sums[chunk * args.cols + j];
  sum = combine_groups(sum, shared, Plus{});
  const double rows = static_cast<double>(args.rows);
  if (sum_group() == 0 && j < args.cols) s.column_x[j] = sum.x / rows, s.column_y[j] = sum.y / rows;
}

__device__ inline CkaProducts block_products(CkaProducts p, double* scratch) {
  return {block_sum(p.xx, scratch), block_sum(p.xy, scratch), block_sum(p.yy, scratch)};
}

__global__ void __launch_bounds__(kTotalThreads) totals_kernel(Cka args, Scratch s, int64_t tiles) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  CkaSums sums;
  for (int64_t t = threadIdx.x; t < tiles; t += kTotalThreads) {
    const CkaProducts p = s.products[t];
    sums.entries = {sums.entries.xx + p.xx, sums.entries.xy + p.xy, sums.entries.yy + p.yy};
  }
  for (int64_t i = threadIdx.x; i < args.rows; i += kTotalThreads) {
    sums.x += s.row_x[i], sums.y += s.row_y[i];
    sums.row_means = add_product(sums.row_means, s.row_x[i], s.row_y[i]);
  }
  for (int64_t j = threadIdx.x; j < args.cols; j += kTotalThreads)
    sums.column_means = add_product(sums.column_means, s.column_x[j], s.column_y[j]);
  sums.entries = block_products(sums.entries, scratch);
  sums.row_means = block_products(sums.row_means, scratch);
  sums.column_means = block_products(sums.column_means, scratch);
  const double cols = static_cast<double>(args.cols);
  sums.x = cols * block_sum(sums.x, scratch);
  sums.y = cols * block_sum(sums.y, scratch);
  sums.first_x = static_cast<double>(*args.student), sums.first_y = static_cast<double>(*args.teacher);
  if (threadIdx.x == 0) *s.coefficients = conclude(sums, args);
}

template <int kCount>
struct Gradient {
  static constexpr int kVector = kCount;
  using Entries = Vector<float, kCount>;
  /// Subtracted from the entries of an affinity. `mean` is k_00 plus the mean of x, rounded to float;
  /// row_shift, added to a row's mean of x, subtracts the mean of x and carries the rounding error.
  struct Side {
    float mean, factor;
    double row_shift;
    Entries columns;
  };
  struct Columns {
    Side student, teacher;
  };
  struct Row {
    Entries student, teacher;
    double x, y;
  };
  Cka args;
  Scratch s;

  __device__ static Side side(double first, double mean, double factor, const double* columns,
                              int64_t count) {
    const double whole = first + mean;
    Side side{static_cast<float>(whole), static_cast<float>(factor), 0, {}};
    side.row_shift = whole - static_cast<double>(side.mean) - mean;
#pragma unroll
    for (int e = 0; e < kCount; ++e)
      side.columns.values[e] = e < count ? static_cast<float>(columns[e] - mean) : 0.0f;
    return side;
  }
  __device__ Columns column(int64_t j, int64_t count) const {
    const CkaCoefficients c = *s.coefficients;
    return {side(c.first_x, c.student_mean, c.student_factor, s.column_x + j, count),
            side(c.first_y, c.teacher_mean, c.teacher_factor, s.column_y + j, count)};
  }
  __device__ Row load(int64_t i, int64_t j, int64_t count) const {
    return {load_vector<kCount>(args.student + i * args.student_stride + j, count),
            load_vector<kCount>(args.teacher + i * args.teacher_stride + j, count), s.row_x[i], s.row_y[i]};
  }
  __device__ static float centred(const Side& side, const Entries& entries, float row, int e) {
    return side.factor * (entries.values[e] - side.mean - row - side.columns.values[e]);
  }
  __device__ void store(int64_t i, int64_t j, int64_t count, const Row& row, const Columns& columns) const {
    const float x = static_cast<float>(row.x + columns.student.row_shift),
                y = static_cast<float>(row.y + columns.teacher.row_shift);
    Entries gradient;
#pragma unroll
    for (int e = 0; e < kCount; ++e)
      gradient.values[e] =
          centred(columns.student, row.student, x, e) + centred(columns.teacher, row.teacher, y, e);
    store_vector<kCount>(args.gradient + i * args.gradient_stride + j, count, gradient);
  }
};

}  // namespace

size_t cka_scratch(const Queue&, const Cka& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void cka(const Queue& queue, const Cka& args) {
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args);
  const Layout layout = layout_of(args);
  const int64_t tiles = layout.chunks * layout.across;
  launch(queue, "cka: tiles", tiles_kernel, blocks_for(tiles, kWarps), kWarps * kWarpSize, 0, args, s,
         layout);
  launch(queue, "cka: rows", rows_kernel, blocks_for(args.rows, kWarps), kWarps * kWarpSize, 0, args, s,
         layout.across);
  launch(queue, "cka: columns", columns_kernel, blocks_for(args.cols, kWarpSize), kSumThreads, 0, args, s,
         layout.chunks);
  launch(queue, "cka: totals", totals_kernel, 1, kTotalThreads, 0, args, s, tiles);
  if (args.gradient == nullptr) return;
  constexpr int kWide = 4;
  if (rows_are_aligned(args.student, args.student_stride) &&
      rows_are_aligned(args.teacher, args.teacher_stride) &&
      rows_are_aligned(args.gradient, args.gradient_stride))
    launch_elementwise(queue, "cka: gradient", Gradient<kWide>{args, s}, args.rows, args.cols);
  else
    launch_elementwise(queue, "cka: gradient", Gradient<1>{args, s}, args.rows, args.cols);
}

}  // namespace sotalign::kernels::cuda
