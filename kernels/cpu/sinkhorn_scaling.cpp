// One Sinkhorn iteration in the scaling form, in one read of the density. Each task takes a chunk of rows of
// one problem (sinkhorn_common.h), group by group: it multiplies the group by the column factors, which gives
// the row factors, then adds the rows, still in cache, to the chunk's column sums while it prefetches the
// next group. A second loop adds the chunks' sums in double. New factors go into the copy that is not current
// and become valid only if every sum proves trustworthy.
#include "kernels/sinkhorn_scaling.h"

#include "kernels/cpu/scaling_rows.h"
#include "kernels/cpu/sinkhorn_common.h"

namespace sotalign::kernels::cpu {

namespace {

constexpr int64_t kColumnBlock = 512;
/// Batches with fewer entries run on one thread: a parallel region would cost more than it saves.
constexpr int64_t kWorthThreads = int64_t{1} << 17;
/// Rows of a group; two groups stay in a core's L2. The more rows, the less traffic for the column sums: 8
/// rows took 0.8 to 0.9 times as long as 4 at n = 2048 to 8192. At n = 1024, 4 rows stay in L1 and took 0.8
/// times as long as 8.
int rows_of_group(int64_t cols) {
  if (cols <= 1024) return 4;
  return cols <= 8192 ? 8 : cols <= 16384 ? 4 : cols <= 32768 ? 2 : 1;
}

// Result of a task, for the convergence decision at the end.
struct Part {
  double error = 0;
  bool bad = false, drifted = false;
};

struct Scratch {
  Part* chunk_parts;     // [all chunks]
  Part* block_parts;     // [batch, blocks]
  float* chunk_columns;  // [all chunks, width]
};
struct Sizes {
  int64_t chunks, blocks;
  int64_t width;   // of factors and column sums, padding included
  int64_t padded;  // columns rounded up to a cache line of floats
};
Sizes sizes_of(int64_t chunks, int64_t cols) {
  return {chunks, (cols + kColumnBlock - 1) / kColumnBlock, density_stride(cols, DensityType::kFloat),
          (cols + 15) / 16 * 16};
}
Sizes sizes_of(const EntropicBatch& p) { return sizes_of(chunk_count(p), p.cols); }
// Sizes of problem b. The factors of all problems are spaced by the width of the widest one.
Sizes sizes_of(const EntropicBatch& p, int64_t b) {
  return sizes_of(chunks_of(p, b, chunk_count(p)), cols_of(p, b));
}
int64_t entries_of(const EntropicBatch& p) {
  int64_t entries = 0;
  for (int64_t b = 0; b < p.batch; ++b) entries += rows_of(p, b) * cols_of(p, b);
  return entries;
}
Scratch carve(Carver& carver, const EntropicBatch& p) {
  const Sizes n = sizes_of(p);
  Scratch s{};
  s.chunk_parts = carver.take<Part>(total_chunks(p, n.chunks));
  s.block_parts = carver.take<Part>(p.batch * n.blocks);
  s.chunk_columns = carver.take<float>(total_partials(p, n.chunks, n.width));
  return s;
}

// Relaxed update of `factor`; the plain update is target / sum.
double updated(double factor, double target, double sum, double relaxation) {
  const double plain = target / sum;
  return relaxation == 1.0 ? plain : factor * std::pow(plain / factor, relaxation);
}

// `width` is the stride of the column factors.
template <class T>
Part process_chunk(const SinkhornScaling& args, int64_t width, int64_t b, int64_t chunk, float* columns) {
  const EntropicBatch& p = args.problems;
  const Sizes n = sizes_of(p, b);
  const int64_t rows = rows_of(p, b), cols = cols_of(p, b);
  const int64_t begin = chunk_begin(rows, n.chunks, chunk), end = chunk_begin(rows, n.chunks, chunk + 1);
  const int64_t stride = density_stride(cols, args.type);
  const T* density = reinterpret_cast<const T*>(static_cast<const char*>(args.density) +
                                                density_offset(p, b, args.density_stride_bytes));
  const int current = args.states[b].current;
  const float* old_s = args.row_scale + (2 * b + current) * p.rows;
  float* new_s = args.row_scale + (2 * b + 1 - current) * p.rows;
  const float* t = args.column_scale + (2 * b + current) * width;
  const float* mass = args.row_mass + b * p.rows;
  std::fill(columns, columns + n.width, 0.0f);

  Part part;
  const auto gather = [&](int64_t first, int count) {
    ScalingRows<T> group{.row = {}, .rows = count};
    for (int r = 0; r < count; ++r) group.row[r] = density + std::min(first + r, end - 1) * stride;
    return group;
  };
  int at_once = rows_of_group(cols);
  for (int64_t i = begin; i < end; i += at_once) {
    while (at_once > end - i) at_once /= 2;
    const ScalingRows<T> group = gather(i, at_once);
    double sums[kMostRows];
    float weights[kMostRows];
    scaling_sums(group, t, sums, n.padded);
    for (int r = 0; r < at_once; ++r) {
      weights[r] = 0;
      const float a = mass[i + r], s = old_s[i + r];
      float& next = new_s[i + r];
      next = s;
      if (a == 0.0f) continue;
      const double sum = sums[r];
      part.bad |= !trustworthy(sum);
      part.error += static_cast<double>(a) * std::abs(static_cast<double>(s) * sum - 1.0);
      next = static_cast<float>(updated(static_cast<double>(s), 1.0, sum, args.relaxation));
      part.drifted |= drifted(next);
      weights[r] = a * next;
    }
    scaling_columns(group, weights, columns, gather(i + at_once, at_once).row, n.padded);
  }
  return part;
}

}  // namespace

size_t sinkhorn_scaling_scratch(const Queue&, const SinkhornScaling& args) {
  Carver carver;
  carve(carver, args.problems);
  return carver.used();
}

ScalingMapping sinkhorn_scaling_mapping(const Queue&, const SinkhornScaling& args) {
  return {.chunks = args.problems.chunks > 0 ? args.problems.chunks : sizes_of(args.problems).chunks,
          .rows_at_once = rows_of_group(args.problems.cols)};
}

void sinkhorn_scaling(const Queue& queue, const SinkhornScaling& args) {
  const EntropicBatch& p = args.problems;
  const Sizes n = sizes_of(p);
  Carver carver(args.scratch);
  const Scratch s = carve(carver, p);
  const bool is_float = args.type == DensityType::kFloat;
  const auto wanted = [&](int64_t b) {
    const SinkhornState& state = args.states[b];
    return state.active && !state.use_log_domain && (state.coarse == 0) == is_float;
  };
  bool any = false;
  for (int64_t b = 0; b < p.batch; ++b) any |= wanted(b);
  if (!any) return;

#pragma omp parallel num_threads(queue.threads) if (entries_of(p) >= kWorthThreads)
  {
#pragma omp for schedule(dynamic)
    for (int64_t number = 0; number < total_chunks(p, n.chunks); ++number) {
      const auto [b, chunk, chunks] = chunk_of(p, number, n.chunks);
      if (!wanted(b)) continue;
      const int64_t width = sizes_of(p, b).width;
      float* columns = s.chunk_columns + partials_of(p, b, chunks, width) + chunk * width;
      s.chunk_parts[number] = is_float ? process_chunk<float>(args, n.width, b, chunk, columns)
                                       : process_chunk<uint16_t>(args, n.width, b, chunk, columns);
    }

#pragma omp for schedule(static)
    for (int64_t task = 0; task < p.batch * n.blocks; ++task) {
      const int64_t b = task / n.blocks, begin = task % n.blocks * kColumnBlock;
      const int64_t count = std::min(kColumnBlock, cols_of(p, b) - begin);
      if (!wanted(b) || count <= 0) continue;
      double sums[kColumnBlock] = {};
      const Sizes own = sizes_of(p, b);
      for (int64_t chunk = 0; chunk < own.chunks; ++chunk) {
        const float* partial =
            s.chunk_columns + partials_of(p, b, own.chunks, own.width) + chunk * own.width + begin;
        for (int64_t j = 0; j < count; ++j) sums[j] += static_cast<double>(partial[j]);
      }
      const int current = args.states[b].current;
      const float* old_t = args.column_scale + (2 * b + current) * n.width + begin;
      float* new_t = args.column_scale + (2 * b + 1 - current) * n.width + begin;
      const float* mass = args.column_mass + b * p.cols + begin;
      Part part;
      for (int64_t j = 0; j < count; ++j) {
        const double target = static_cast<double>(mass[j]);
        new_t[j] = old_t[j];
        if (mass[j] == 0.0f) continue;
        part.bad |= !trustworthy(sums[j] / target);
        new_t[j] =
            static_cast<float>(updated(static_cast<double>(old_t[j]), target, sums[j], args.relaxation));
        part.drifted |= drifted(new_t[j]);
      }
      s.block_parts[task] = part;
    }
  }

  for (int64_t b = 0; b < p.batch; ++b) {
    if (!wanted(b)) continue;
    Iteration result{.tolerance = args.tolerance};
    bool moved_far = false;
    const Sizes own = sizes_of(p, b);
    for (int64_t chunk = 0; chunk < own.chunks; ++chunk) {
      const Part& part = s.chunk_parts[first_chunk_of(p, b, n.chunks) + chunk];
      result.row_error += part.error;
      result.rows_bad |= part.bad;
      moved_far |= part.drifted;
    }
    for (int64_t block = 0; block < own.blocks; ++block) {
      result.columns_bad |= s.block_parts[b * n.blocks + block].bad;
      moved_far |= s.block_parts[b * n.blocks + block].drifted;
    }
    SinkhornState& state = args.states[b];
    if (conclude(state, result)) {
      state.current ^= 1;
      state.absorb = moved_far;
    }
  }
}

}  // namespace sotalign::kernels::cpu
