#include "sotalign/eval/top_k.h"

#include <fmt/format.h>

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
  if (options.tile < 1)
    throw InvalidArgument(fmt::format("top_k: tile, expected at least 1, found {}", options.tile));
  const Buffer<float> corrections =
      upload_corrections(context, "top_k: corrections", options.corrections, gallery.rows, "gallery rows");
  const Matrix<float> unit_queries = unit_rows(context, queries), unit_gallery = unit_rows(context, gallery);
  const NearestRows nearest =
      nearest_rows(context, unit_queries, unit_gallery, k, options.tile, corrections.data());
  return {.k = k, .indices = nearest.indices.download(), .scores = nearest.values.download()};
}

}  // namespace sotalign
