#include "sotalign/eval/top_k.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "eval/unit_rows.h"
#include "kernels/top_k.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

TopKResult top_k(Context& context, ConstMatrixF queries, ConstMatrixF gallery, int64_t k,
                 const TopKOptions& options) {
  if (queries.cols != gallery.cols)
    throw InvalidArgument(fmt::format("top_k: queries and gallery need equally many columns, found {} and {}",
                                      queries.cols, gallery.cols));
  if (k < 1 || k > gallery.rows)
    throw InvalidArgument(
        fmt::format("top_k: k, expected 1 to {} (gallery rows), found {}", gallery.rows, k));
  if (options.tile < 1)
    throw InvalidArgument(fmt::format("top_k: tile, expected at least 1, found {}", options.tile));
  const size_t entries = static_cast<size_t>(queries.rows) * static_cast<size_t>(k);
  const Matrix<float> unit_queries = unit_rows(context, queries), unit_gallery = unit_rows(context, gallery);
  Buffer<float> values(context, std::vector<float>(entries, -std::numeric_limits<float>::infinity()),
                       "neighbour scores");
  Buffer<int64_t> indices(context, std::vector<int64_t>(entries, -1), "neighbour indices");

  Workspace scratch(context);
  const int64_t tile_rows = std::min(options.tile, queries.rows);
  const int64_t tile_cols = std::min(options.tile, gallery.rows);
  float* scores = scratch.take<float>(tile_rows * tile_cols);
  for (int64_t i = 0; i < queries.rows; i += tile_rows)
    for (int64_t j = 0; j < gallery.rows; j += tile_cols) {
      const int64_t rows = std::min(tile_rows, queries.rows - i),
                    cols = std::min(tile_cols, gallery.rows - j);
      gemm(context, Op::kNone, Op::kTranspose, 1.0f, unit_queries.view().row_range(i, rows),
           unit_gallery.view().row_range(j, cols), 0.0f, MatrixF(scores, rows, cols));
      kernels::top_k(context.queue(), {.tile = scores,
                                       .tile_stride = cols,
                                       .rows = rows,
                                       .cols = cols,
                                       .first_col = j,
                                       .k = k,
                                       .values = values.data() + i * k,
                                       .indices = indices.data() + i * k});
    }
  return {.k = k, .indices = indices.download(), .scores = values.download()};
}

}  // namespace sotalign
