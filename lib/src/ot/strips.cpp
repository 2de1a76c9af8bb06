#include "ot/strips.h"

#include <fmt/format.h>

#include "kernels/fixed_point.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign::detail {

namespace {
// Bytes of a strip. On the CPU, a strip leaves room for other data in the cache that cores share; on CUDA, in
// the L2 cache of a data centre GPU (40 MiB or more), where it must also be enough work for all
// multiprocessors.
constexpr int64_t kCpuBytes = int64_t{8} << 20, kCudaBytes = int64_t{32} << 20;
constexpr int64_t kLeastDecodedRows = 64, kLeastProductRows = 256;
}  // namespace

ConstMatrixF ProductStrips::strip(int64_t begin) const {
  const MatrixF strip(buffer_, rows_at(begin), embeddings_.y.rows);
  gemm(*context_, Op::kNone, Op::kTranspose, 1.0f, embeddings_.x.row_range(begin, strip.rows), embeddings_.y,
       0.0f, strip);
  return strip;
}

ConstMatrixF FixedPointStrips::strip(int64_t begin) const {
  const MatrixF strip(buffer_, rows_at(begin), matrix_.q.cols());
  kernels::decode_fixed_point(context_->queue(), {.q = matrix_.q.view().row(begin),
                                                  .q_stride = matrix_.q.cols(),
                                                  .centre = matrix_.centre.data() + begin,
                                                  .step = matrix_.step.data() + begin,
                                                  .x = strip.data,
                                                  .x_stride = strip.stride,
                                                  .rows = strip.rows,
                                                  .cols = strip.cols});
  return strip;
}

int64_t strip_height(const Context& context, int64_t rows, int64_t cols, StripOrigin origin, int64_t asked) {
  if (asked < 0) throw InvalidArgument(fmt::format("strip_rows: expected >= 0, found {}", asked));
  if (asked > 0) return std::min(rows, asked);
  const int64_t bytes = context.device().kind == DeviceKind::kCpu ? kCpuBytes : kCudaBytes;
  const int64_t least = origin == StripOrigin::kProduct ? kLeastProductRows : kLeastDecodedRows;
  const int64_t row_bytes = std::max<int64_t>(cols, 1) * static_cast<int64_t>(sizeof(float));
  return std::min(rows, std::max(least, bytes / row_bytes));
}

void check_embeddings(const char* name, const Embeddings& e, int64_t rows, int64_t cols) {
  if (e.x.rows != rows || e.y.rows != cols || e.x.cols != e.y.cols)
    throw InvalidArgument(
        fmt::format("{} embeddings: expected [{}, d] and [{}, d], found [{}, {}] and [{}, {}]", name, rows,
                    cols, e.x.rows, e.x.cols, e.y.rows, e.y.cols));
}

void check_form(const SolveOptions& options) {
  if (options.form == SinkhornForm::kScaling || options.storage == SinkhornStorage::kLadder)
    throw InvalidArgument(fmt::format(
        "{}: expected the log domain and float, because only affinities stored in float32 have a density",
        options.form == SinkhornForm::kScaling ? "form scaling" : "storage ladder"));
}

}  // namespace sotalign::detail
