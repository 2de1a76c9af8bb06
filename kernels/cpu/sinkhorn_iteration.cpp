// One Sinkhorn iteration in one read of K. Each task takes a chunk of rows of one problem
// (sinkhorn_common.h): it reads each row once, keeps the exponentials of up to four rows in L2, and adds them
// to the chunk's column sums. A second loop adds the chunks' sums column by column, in double, to those of
// earlier strips. Nothing is committed until every sum has proved trustworthy.
#include "kernels/sinkhorn_iteration.h"

#include <omp.h>

#include "kernels/cpu/exp_rows.h"
#include "kernels/cpu/sinkhorn_common.h"

namespace sotalign::kernels::cpu {

namespace {

struct Scratch {
  float* v;              // [batch, cols], centred
  double* shift;         // [batch]
  double* u;             // [batch, rows], the new row potentials
  double* column;        // [batch, cols], c_j
  double* chunk_error;   // [all chunks]
  int32_t* chunk_bad;    // [all chunks]
  int32_t* block_bad;    // [batch, blocks]
  float* chunk_columns;  // [all chunks, cols]
  float* rows;           // [threads, rows_at_once, cols]
};

constexpr int64_t kColumnBlock = 512;

Scratch carve(Carver& carver, const Queue& queue, const EntropicBatch& p) {
  const int64_t chunks = chunk_count(p), blocks = (p.cols + kColumnBlock - 1) / kColumnBlock;
  Scratch s{};
  s.v = carver.take<float>(p.batch * p.cols);
  s.shift = carver.take<double>(p.batch);
  s.u = carver.take<double>(p.batch * p.rows);
  s.column = carver.take<double>(p.batch * p.cols);
  s.chunk_error = carver.take<double>(total_chunks(p, chunks));
  s.chunk_bad = carver.take<int32_t>(total_chunks(p, chunks));
  s.block_bad = carver.take<int32_t>(p.batch * blocks);
  s.chunk_columns = carver.take<float>(total_partials(p, chunks, p.cols));
  s.rows = carver.take<float>(queue.threads * rows_at_once(p.cols) * p.cols);
  return s;
}

double relaxed(double old, double plain, double relaxation) {
  return relaxation == 1.0 ? plain : old + relaxation * (plain - old);
}

// Processes chunk `number` of the batch, its rows in this strip: new u, the chunk's column sums, and its
// share of the marginal error.
void process_chunk(const SinkhornIteration& args, const Scratch& s, int64_t number, float* exponentials) {
  const EntropicBatch& p = args.problems;
  const auto [b, chunk, chunks] = chunk_of(p, number, chunk_count(p));
  const Strip strip = strip_of(p, b);
  const int64_t end = chunk_begin(strip.rows, chunks, chunk + 1);
  const int64_t cols = cols_of(p, b), stride = row_stride_of(p, b);
  const float* affinity = affinity_of(p, b);
  const float c = p.inverse_epsilon[b];
  const float* v = s.v + b * p.cols;
  const double shift = s.shift[b];
  const int64_t first_row = b * p.rows + strip.begin;
  const double *u = args.u + first_row, *log_a = p.log_a + first_row;
  float* columns = s.chunk_columns + partials_of(p, b, chunks, cols) + chunk * cols;
  std::fill(columns, columns + cols, 0.0f);
  const int at_once = rows_at_once(cols);
  float weights[4];
  int filled = 0;
  double error = 0;
  bool bad = false;
  for (int64_t i = chunk_begin(strip.rows, chunks, chunk); i < end; ++i) {
    const double log_ai = log_a[i];
    double& u_new = s.u[first_row + i];
    if (std::isinf(log_ai)) {
      u_new = u[i];
    } else {
      const double exponent = u[i] + shift - log_ai;
      const float offset = static_cast<float>(exponent);
      const double sum = exp_row(affinity + i * stride, v, c, offset, exponentials + filled * cols, cols);
      bad |= !trustworthy(sum);
      const double a = std::exp(log_ai);
      // The row's mass under the potentials at entry; `offset` is their rounded value.
      error += a * std::abs(sum * std::exp(exponent - static_cast<double>(offset)) - 1.0);
      u_new = relaxed(u[i], static_cast<double>(offset) - shift + log_ai - std::log(sum), args.relaxation);
      weights[filled++] = static_cast<float>(
          args.relaxation == 1.0 ? a / sum : std::exp(u_new + shift - static_cast<double>(offset)));
    }
    if (filled == at_once || i + 1 == end) {
      add_weighted_rows(exponentials, cols, weights, filled, columns, cols);
      filled = 0;
    }
  }
  double& chunk_error = s.chunk_error[number];
  int32_t& chunk_bad = s.chunk_bad[number];
  chunk_error = strip.first ? error : chunk_error + error;
  chunk_bad = strip.first ? bad : chunk_bad | bad;
}

}  // namespace

size_t sinkhorn_iteration_scratch(const Queue& queue, const SinkhornIteration& args) {
  Carver carver;
  carve(carver, queue, args.problems);
  return carver.used();
}

void sinkhorn_iteration(const Queue& queue, const SinkhornIteration& args) {
  const EntropicBatch& p = args.problems;
  Carver carver(args.scratch);
  const Scratch s = carve(carver, queue, p);
  const Strip strip = strip_of(p);
  const int64_t chunks = chunk_count(p), blocks = (p.cols + kColumnBlock - 1) / kColumnBlock;
  for (int64_t b = 0; b < p.batch && strip.first; ++b) {
    args.states[b].use_log_domain = 0;
    if (args.states[b].active) s.shift[b] = centre(args.v + b * p.cols, s.v + b * p.cols, cols_of(p, b));
  }

#pragma omp parallel num_threads(queue.threads)
  {
    float* exponentials = s.rows + omp_get_thread_num() * rows_at_once(p.cols) * p.cols;
#pragma omp for schedule(dynamic)
    for (int64_t number = 0; number < total_chunks(p, chunks); ++number)
      if (args.states[chunk_of(p, number, chunks).problem].active)
        process_chunk(args, s, number, exponentials);

#pragma omp for schedule(static)
    for (int64_t task = 0; task < p.batch * blocks; ++task) {
      const int64_t b = task / blocks, begin = task % blocks * kColumnBlock;
      const int64_t cols = cols_of(p, b);
      if (!args.states[b].active || begin >= cols) continue;
      const int64_t end = std::min(begin + kColumnBlock, cols);
      double* column = s.column + b * p.cols;
      if (strip.first) std::fill(column + begin, column + end, 0.0);
      for (int64_t chunk = 0; chunk < chunks_of(p, b, chunks); ++chunk) {
        const float* partial = s.chunk_columns + partials_of(p, b, chunks, cols) + chunk * cols;
        for (int64_t j = begin; j < end; ++j) column[j] += static_cast<double>(partial[j]);
      }
      if (!strip.last) continue;
      bool bad = false;
      for (int64_t j = begin; j < end; ++j) {
        const double log_b = p.log_b[b * p.cols + j];
        if (std::isinf(log_b)) {
          column[j] = log_b;
          continue;
        }
        bad |= !trustworthy(column[j] * std::exp(-log_b));
        column[j] =
            relaxed(args.v[b * p.cols + j],
                    static_cast<double>(s.v[b * p.cols + j]) + s.shift[b] + log_b - std::log(column[j]),
                    args.relaxation);
      }
      s.block_bad[task] = bad;
    }
  }

  for (int64_t b = 0; b < p.batch && strip.last; ++b) {
    SinkhornState& state = args.states[b];
    if (!state.active) continue;
    Iteration result{.tolerance = args.tolerance};
    for (int64_t chunk = 0; chunk < chunks_of(p, b, chunks); ++chunk) {
      result.row_error += s.chunk_error[first_chunk_of(p, b, chunks) + chunk];
      result.rows_bad |= s.chunk_bad[first_chunk_of(p, b, chunks) + chunk] != 0;
    }
    for (int64_t block = 0; block * kColumnBlock < cols_of(p, b); ++block)
      result.columns_bad |= s.block_bad[b * blocks + block] != 0;
    if (conclude(state, result)) {
      std::copy_n(s.u + b * p.rows, rows_of(p, b), args.u + b * p.rows);
      std::copy_n(s.column + b * p.cols, cols_of(p, b), args.v + b * p.cols);
    }
  }
}

}  // namespace sotalign::kernels::cpu
