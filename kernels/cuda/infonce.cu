// InfoNCE divergence in one pass over both affinities in tiles (entropic.h), one column per thread. The same
// pass writes the gradient, each entry by the thread that read it, so the gradient may overwrite either
// affinity. A softmax entry is computed as weight exp(c k - offset). `offset` is the log-sum-exp L of the row
// or column, rounded to float; `weight` is exp(offset - L) / (2 rows) or exp(offset - L) / (2 cols), which
// includes the mean over rows or columns. Threads sum the value in double, since the logarithms reach
// hundreds and nearly cancel.
#include "kernels/infonce.h"

#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/value_sum.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kRowsAtOnce = 4;

/// Normalisers of a row or column of both affinities.
struct Normalisers {
  float offset, weight, teacher_offset, teacher_weight;
  double difference;  // the student's log-sum-exp minus the teacher's
};
struct Scratch {
  Normalisers* rows;     // [rows]
  Normalisers* columns;  // [cols]
  double* block_values;  // [chunks, tiles across]
};
Scratch carve(Carver& carver, const InfoNce& args) {
  const Tiles tiles = tiles_of(args.rows, args.cols);
  Scratch s{};
  s.rows = carver.take<Normalisers>(args.rows);
  s.columns = carver.take<Normalisers>(args.cols);
  s.block_values = carver.take<double>(tiles.chunks * tiles.across);
  return s;
}

__device__ __forceinline__ float rest_of(double log_sum, int64_t count) {
  const double offset = static_cast<double>(static_cast<float>(log_sum));
  return static_cast<float>(exp(offset - log_sum) / (2.0 * static_cast<double>(count)));
}

/// A thread per row, then a thread per column, for both affinities.
__global__ void __launch_bounds__(kPrepareThreads) prepare_kernel(InfoNce args, Scratch s) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kPrepareThreads + threadIdx.x;
  const bool of_row = thread < args.rows;
  const int64_t i = of_row ? thread : thread - args.rows, count = of_row ? args.rows : args.cols;
  if (!of_row && i >= args.cols) return;  // no barrier follows
  Normalisers& normalisers = of_row ? s.rows[i] : s.columns[i];
  const double student = of_row ? args.student.row[i] : args.student.column[i],
               teacher = of_row ? args.teacher.row[i] : args.teacher.column[i];
  normalisers.offset = static_cast<float>(student);
  normalisers.teacher_offset = static_cast<float>(teacher);
  normalisers.weight = rest_of(student, count);
  normalisers.teacher_weight = rest_of(teacher, count);
  normalisers.difference = student - teacher;
}

__global__ void __launch_bounds__(kTileThreads) infonce_kernel(InfoNce args, Scratch s, Tiles tiles) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  const Tile tile = tile_of_block({.rows = args.rows, .cols = args.cols}, tiles);
  const int64_t j = tile.column;
  const bool inside = j < args.cols;
  const float c = args.student.c, teacher_c = args.teacher.c;
  const double wide_c = static_cast<double>(c), wide_teacher_c = static_cast<double>(teacher_c);
  const Normalisers column = inside ? s.columns[j] : Normalisers{};
  const float scale = args.gradient_scale * c;
  double value = 0;
  for (int64_t i = tile.begin; i < tile.end; i += kRowsAtOnce) {
    float k[kRowsAtOnce], teacher_k[kRowsAtOnce];
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const bool there = inside && i + r < tile.end;
      k[r] = there ? args.student.k[(i + r) * args.student.stride + j] : 0.0f;
      teacher_k[r] = there ? args.teacher.k[(i + r) * args.teacher.stride + j] : 0.0f;
    }
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      if (!inside || i + r >= tile.end) continue;  // no barrier in this loop
      const Normalisers row = s.rows[i + r];
      const float p_row = plan_entry(fmaf(c, k[r], -row.offset), row.weight),
                  p_column = plan_entry(fmaf(c, k[r], -column.offset), column.weight),
                  q_row = plan_entry(fmaf(teacher_c, teacher_k[r], -row.teacher_offset), row.teacher_weight),
                  q_column = plan_entry(fmaf(teacher_c, teacher_k[r], -column.teacher_offset),
                                        column.teacher_weight);
      const double log_ratio =
          wide_teacher_c * static_cast<double>(teacher_k[r]) - wide_c * static_cast<double>(k[r]);
      value += static_cast<double>(q_row) * (log_ratio + row.difference);
      value += static_cast<double>(q_column) * (log_ratio + column.difference);
      if (args.gradient != nullptr)
        args.gradient[(i + r) * args.gradient_stride + j] = scale * ((p_row - q_row) + (p_column - q_column));
    }
  }
  value = block_sum(value, scratch);
  if (threadIdx.x == 0) s.block_values[blockIdx.x] = value;
}

}  // namespace

size_t infonce_scratch(const Queue&, const InfoNce& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void infonce(const Queue& queue, const InfoNce& args) {
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args);
  const Tiles tiles = tiles_of(args.rows, args.cols);
  const int64_t blocks = tiles.chunks * tiles.across;
  launch(queue, "infonce: prepare", prepare_kernel, blocks_for(args.rows + args.cols, kPrepareThreads),
         kPrepareThreads, 0, args, s);
  launch(queue, "infonce", infonce_kernel, static_cast<unsigned>(blocks), kTileThreads, 0, args, s, tiles);
  launch(queue, "infonce: value", value_kernel, 1, kValueThreads, 0, args.value, s.block_values, blocks);
}

}  // namespace sotalign::kernels::cuda
