// Exact nearest neighbours by inner product, in tiles of scores.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/top_k.h"
#include "sotalign/core/buffer.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

/// The k best gallery rows of each query, in the memory of a context.
struct NearestRows {
  NearestRows(Context& context, int64_t queries, int64_t k)
      : values(context, std::vector<float>(size(queries, k), -std::numeric_limits<float>::infinity()),
               "neighbour scores"),
        indices(context, std::vector<int64_t>(size(queries, k), -1), "neighbour indices") {}
  static size_t size(int64_t queries, int64_t k) {
    return static_cast<size_t>(queries) * static_cast<size_t>(k);
  }

  Buffer<float> values;     ///< [queries, k], descending
  Buffer<int64_t> indices;  ///< [queries, k]; -1 where there is no neighbour
};

/// Finds the k gallery rows with the largest score, inner product less correction, for each query; ties go to
/// the lower index. Scores are computed in tiles of at most tile x tile. `corrections` is [gallery rows] in
/// the memory of the context, or null.
inline NearestRows nearest_rows(Context& context, ConstMatrixF queries, ConstMatrixF gallery, int64_t k,
                                int64_t tile, const float* corrections = nullptr) {
  NearestRows nearest(context, queries.rows, k);
  Workspace scratch(context);
  const int64_t tile_rows = std::min(tile, queries.rows), tile_cols = std::min(tile, gallery.rows);
  float* scores = scratch.take<float>(tile_rows * tile_cols);
  for (int64_t i = 0; i < queries.rows; i += tile_rows)
    for (int64_t j = 0; j < gallery.rows; j += tile_cols) {
      const int64_t rows = std::min(tile_rows, queries.rows - i),
                    cols = std::min(tile_cols, gallery.rows - j);
      gemm(context, Op::kNone, Op::kTranspose, 1.0f, queries.row_range(i, rows), gallery.row_range(j, cols),
           0.0f, MatrixF(scores, rows, cols));
      kernels::top_k(context.queue(), {.tile = scores,
                                       .tile_stride = cols,
                                       .corrections = corrections != nullptr ? corrections + j : nullptr,
                                       .rows = rows,
                                       .cols = cols,
                                       .first_col = j,
                                       .k = k,
                                       .values = nearest.values.data() + i * k,
                                       .indices = nearest.indices.data() + i * k});
    }
  return nearest;
}

}  // namespace sotalign
