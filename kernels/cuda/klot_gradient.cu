// KLOT value and gradient in one pass over both affinities in tiles (entropic.h), one column per thread. The
// same pass writes the gradient, each entry by the thread that read it, so the gradient may overwrite either
// affinity. Threads sum the value in double, since the logarithms reach hundreds and nearly cancel: a few
// double operations per entry against 12 bytes of memory traffic.
#include "kernels/klot_gradient.h"

#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/value_sum.h"

namespace sotalign::kernels::cuda {

namespace {

constexpr int kRowsAtOnce = 4;

struct KlotRow {
  Row student, teacher;
  double u_difference;  // u*_i - u_i, 0 in rows without mass
};
struct Scratch {
  KlotRow* rows;         // [rows]
  float *v, *teacher_v;  // [cols], centred
  double* v_difference;  // [cols], v*_j - v_j, 0 in columns without mass
  double* block_values;  // [chunks, tiles across], sums up to this strip
};
Scratch carve(Carver& carver, const EntropicBatch& p) {
  const Tiles tiles = tiles_of(p);
  Scratch s{};
  s.rows = carver.take<KlotRow>(p.rows);
  s.v = carver.take<float>(p.cols);
  s.teacher_v = carver.take<float>(p.cols);
  s.v_difference = carver.take<double>(p.cols);
  s.block_values = carver.take<double>(tiles.chunks * tiles.across);
  return s;
}

__global__ void __launch_bounds__(kPrepareThreads) prepare_kernel(KlotGradient args, Scratch s) {
  const int64_t rows = args.student.rows, cols = args.student.cols;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kPrepareThreads + threadIdx.x;
  const double shift = centre_of(args.v_student, cols), teacher_shift = centre_of(args.v_teacher, cols);
  if (i < cols) {
    const double v = args.v_student[i], teacher_v = args.v_teacher[i];
    s.v[i] = static_cast<float>(v - shift);
    s.teacher_v[i] = static_cast<float>(teacher_v - teacher_shift);
    s.v_difference[i] = std::isinf(args.student.log_b[i]) ? 0.0 : teacher_v - v;
  }
  if (i < rows) {
    const double log_a = args.student.log_a[i], u = args.u_student[i], teacher_u = args.u_teacher[i];
    s.rows[i] = {split(u + shift, log_a), split(teacher_u + teacher_shift, log_a),
                 std::isinf(log_a) ? 0.0 : teacher_u - u};
  }
}

__global__ void __launch_bounds__(kTileThreads, kTileBlocks)
    klot_kernel(KlotGradient args, Scratch s, Tiles tiles) {
  SOTALIGN_SHARED(double, scratch, [kMaxWarps]);
  const Strip strip = strip_of(args.student);
  const Tile tile = tile_of_block(args.student, tiles);
  const int64_t j = tile.column, stride = args.student.row_stride, teacher_stride = args.teacher.row_stride;
  const bool inside = j < args.student.cols;
  const float c = args.student.inverse_epsilon[0], teacher_c = args.teacher.inverse_epsilon[0];
  const double wide_c = static_cast<double>(c), wide_teacher_c = static_cast<double>(teacher_c);
  const float v = inside ? s.v[j] : -INFINITY, teacher_v = inside ? s.teacher_v[j] : -INFINITY;
  const double v_difference = inside ? s.v_difference[j] : 0.0;
  const float scale = args.gradient_scale * c;
  const bool write = inside && args.gradient != nullptr;
  double value = 0;
  for (int64_t i = tile.begin; i < tile.end; i += kRowsAtOnce) {
    float k[kRowsAtOnce], teacher_k[kRowsAtOnce];
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      const bool there = inside && i + r < tile.end;
      k[r] = there ? args.student.affinity[(i + r) * stride + j] : 0.0f;
      teacher_k[r] = there ? args.teacher.affinity[(i + r) * teacher_stride + j] : 0.0f;
    }
#pragma unroll
    for (int r = 0; r < kRowsAtOnce; ++r) {
      if (i + r >= tile.end) continue;
      const KlotRow row = s.rows[strip.begin + i + r];
      const float p = plan_entry(fmaf(c, k[r], row.student.offset) + v, row.student.weight);
      const float q =
          plan_entry(fmaf(teacher_c, teacher_k[r], row.teacher.offset) + teacher_v, row.teacher.weight);
      const double log_ratio = wide_teacher_c * static_cast<double>(teacher_k[r]) -
                               wide_c * static_cast<double>(k[r]) + (row.u_difference + v_difference);
      value += static_cast<double>(q) * log_ratio;
      if (write) args.gradient[(i + r) * args.gradient_stride + j] = scale * (p - q);
    }
  }
  value = block_sum(value, scratch);
  if (threadIdx.x == 0) s.block_values[blockIdx.x] = strip.first ? value : s.block_values[blockIdx.x] + value;
}

}  // namespace

size_t klot_gradient_scratch(const Queue&, const KlotGradient& args) {
  Carver carver;
  carve(carver, args.student);
  return carver.used();
}

void klot_gradient(const Queue& queue, const KlotGradient& args) {
  const int64_t rows = args.student.rows, cols = args.student.cols;
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args.student);
  const Strip strip = strip_of(args.student);
  const Tiles tiles = tiles_of(args.student);
  const int64_t blocks = tiles.chunks * tiles.across;
  if (strip.first)
    launch(queue, "klot_gradient", prepare_kernel, static_cast<unsigned>(prepare_blocks(rows, cols)),
           kPrepareThreads, 0, args, s);
  launch(queue, "klot_gradient", klot_kernel, static_cast<unsigned>(blocks), kTileThreads, 0, args, s, tiles);
  if (strip.last)
    launch(queue, "klot_gradient", value_kernel, 1, kValueThreads, 0, args.value, s.block_values, blocks);
}

}  // namespace sotalign::kernels::cuda
