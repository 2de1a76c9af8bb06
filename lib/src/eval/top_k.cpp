#include "sotalign/eval/top_k.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "eval/nearest_rows.h"
#include "eval/unit_rows.h"
#include "eval/upload_corrections.h"
#include "sotalign/core/error.h"

namespace sotalign {

TopKResult top_k(Context& context, ConstMatrixF queries, ConstMatrixF gallery, int64_t k,
                 const TopKOptions& options) {
  if (queries.cols != gallery.cols)
    throw InvalidArgument(fmt::format("top_k: queries and gallery need equally many columns, found {} and {}",
                                      queries.cols, gallery.cols));
  if (k < 1 || k > gallery.rows)
    throw InvalidArgument(
        fmt::format("top_k: k, expected 1 to {} (gallery rows), found {}", gallery.rows, k));
  TopKSearch search(context, queries, k, options.tile);
  search.add(gallery, options.corrections);
  return search.result();
}

TopKSearch::TopKSearch(Context& context, ConstMatrixF queries, int64_t k, int64_t tile)
    : context_(&context), k_(k), tile_(tile) {
  if (k < 1) throw InvalidArgument(fmt::format("top_k: k, expected at least 1, found {}", k));
  if (tile < 1) throw InvalidArgument(fmt::format("top_k: tile, expected at least 1, found {}", tile));
  queries_ = unit_rows(context, queries);
  NearestRows none(context, queries.rows, k);
  values_ = std::move(none.values);
  indices_ = std::move(none.indices);
}

void TopKSearch::add(ConstMatrixF rows, const std::vector<float>& corrections) {
  if (rows.cols != queries_.cols())
    throw InvalidArgument(fmt::format("top_k: queries and gallery need equally many columns, found {} and {}",
                                      queries_.cols(), rows.cols));
  const Buffer<float> subtracted =
      upload_corrections(*context_, "top_k: corrections", corrections, rows.rows, "gallery rows");
  const int64_t height = std::min(tile_, queries_.rows()), width = std::min(tile_, rows.rows);
  Workspace scratch(*context_);
  // Unit rows of one tile only: a copy of the whole gallery would take as much memory again, and more time.
  const MatrixF unit = scratch.take_matrix<float>(width, rows.cols);
  float* scores = scratch.take<float>(height * width);
  for (int64_t j = 0; j < rows.rows; j += width) {
    const int64_t cols = std::min(width, rows.rows - j);
    normalize(*context_, rows.row_range(j, cols), unit.row_range(0, cols));
    for (int64_t i = 0; i < queries_.rows(); i += height) {
      const int64_t count = std::min(height, queries_.rows() - i);
      gemm(*context_, Op::kNone, Op::kTranspose, 1.0f, queries_.view().row_range(i, count),
           unit.row_range(0, cols), 0.0f, MatrixF(scores, count, cols));
      kernels::top_k(context_->queue(),
                     {.tile = scores,
                      .tile_stride = cols,
                      .corrections = subtracted.data() != nullptr ? subtracted.data() + j : nullptr,
                      .rows = count,
                      .cols = cols,
                      .first_col = rows_ + j,
                      .k = k_,
                      .values = values_.data() + i * k_,
                      .indices = indices_.data() + i * k_});
    }
  }
  rows_ += rows.rows;
}

TopKResult TopKSearch::result() const {
  return {.k = k_, .indices = indices_.download(), .scores = values_.download()};
}

}  // namespace sotalign
