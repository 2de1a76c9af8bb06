#include "sotalign/eval/retrieval.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "eval/id_groups.h"
#include "eval/unit_rows.h"
#include "eval/upload_corrections.h"
#include "kernels/match_scores.h"
#include "kernels/retrieval_rank.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

namespace {

/// One side of the comparison, in the memory of the context.
struct RankedSide {
  RankedSide(Context& context, ConstMatrixF rows, const std::vector<int32_t>& group_of_row,
             int64_t group_count, Buffer<float> corrections_of_rows)
      : unit(unit_rows(context, rows)),
        groups(context, group_of_row, "retrieval groups"),
        best(context, rows.rows, "retrieval scores"),
        counts(context, rows.rows, "retrieval counts"),
        corrections(std::move(corrections_of_rows)) {
    std::vector<int64_t> starts(static_cast<size_t>(group_count) + 1), sorted(group_of_row.size());
    for (const int32_t group : group_of_row) ++starts[static_cast<size_t>(group) + 1];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    offsets = Buffer<int64_t>(context, starts, "retrieval groups");
    for (size_t i = 0; i < sorted.size(); ++i)
      sorted[static_cast<size_t>(starts[static_cast<size_t>(group_of_row[i])]++)] = static_cast<int64_t>(i);
    members = Buffer<int64_t>(context, sorted, "retrieval groups");
  }

  std::vector<int64_t> ranks() const {
    std::vector<int64_t> result = counts.download();
    for (int64_t& rank : result) ++rank;
    return result;
  }

  Matrix<float> unit;
  Buffer<int32_t> groups;
  Buffer<int64_t> offsets, members;  // the rows of each group
  Buffer<float> best;                // score of the best match
  Buffer<int64_t> counts;            // wrong rows that score at least as high
  Buffer<float> corrections;         // one for each row of this side, where it is the gallery; may be empty
};

void score_matches(Context& context, RankedSide& queries, const RankedSide& gallery) {
  kernels::match_scores(context.queue(), {.queries = queries.unit.data(),
                                          .queries_stride = queries.unit.cols(),
                                          .gallery = gallery.unit.data(),
                                          .gallery_stride = gallery.unit.cols(),
                                          .groups = queries.groups.data(),
                                          .offsets = gallery.offsets.data(),
                                          .members = gallery.members.data(),
                                          .corrections = gallery.corrections.data(),
                                          .rows = queries.unit.rows(),
                                          .cols = queries.unit.cols(),
                                          .best = queries.best.data()});
}

}  // namespace

RetrievalRanks retrieval_ranks(Context& context, ConstMatrixF images, ConstMatrixF texts,
                               const RetrievalOptions& options) {
  if (images.empty() || texts.empty())
    throw InvalidArgument(fmt::format("retrieval: expected images and texts, found [{}, {}] and [{}, {}]",
                                      images.rows, images.cols, texts.rows, texts.cols));
  if (images.cols != texts.cols)
    throw InvalidArgument(fmt::format(
        "retrieval: images and texts need equally many columns, found {} and {}", images.cols, texts.cols));
  if (std::max(images.rows, texts.rows) > std::numeric_limits<int32_t>::max())
    throw InvalidArgument(fmt::format(
        "retrieval: expected fewer than 2^31 rows, found {} images and {} texts", images.rows, texts.rows));
  if (options.tile < 1)
    throw InvalidArgument(fmt::format("retrieval: tile, expected at least 1, found {}", options.tile));
  const IdGroups groups = number_ids(images.rows, texts.rows, options);
  RankedSide image_side(context, images, groups.images, groups.count,
                        upload_corrections(context, "retrieval: image_corrections", options.image_corrections,
                                           images.rows, "images"));
  RankedSide text_side(context, texts, groups.texts, groups.count,
                       upload_corrections(context, "retrieval: text_corrections", options.text_corrections,
                                          texts.rows, "texts"));
  const auto corrections_from = [](const RankedSide& side, int64_t first) {
    return side.corrections.size() > 0 ? side.corrections.data() + first : nullptr;
  };
  score_matches(context, image_side, text_side);
  score_matches(context, text_side, image_side);

  Workspace scratch(context);
  const int64_t tile_rows = std::min(options.tile, images.rows),
                tile_cols = std::min(options.tile, texts.rows);
  float* scores = scratch.take<float>(tile_rows * tile_cols);
  for (int64_t i = 0; i < images.rows; i += tile_rows)
    for (int64_t j = 0; j < texts.rows; j += tile_cols) {
      const int64_t rows = std::min(tile_rows, images.rows - i), cols = std::min(tile_cols, texts.rows - j);
      gemm(context, Op::kNone, Op::kTranspose, 1.0f, image_side.unit.view().row_range(i, rows),
           text_side.unit.view().row_range(j, cols), 0.0f, MatrixF(scores, rows, cols));
      kernels::retrieval_rank(context.queue(), {.scores = scores,
                                                .scores_stride = cols,
                                                .rows = rows,
                                                .cols = cols,
                                                .row_groups = image_side.groups.data() + i,
                                                .col_groups = text_side.groups.data() + j,
                                                .row_best = image_side.best.data() + i,
                                                .col_best = text_side.best.data() + j,
                                                .row_corrections = corrections_from(image_side, i),
                                                .col_corrections = corrections_from(text_side, j),
                                                .margin = kRetrievalMargin,
                                                .row_counts = image_side.counts.data() + i,
                                                .col_counts = text_side.counts.data() + j});
    }
  return {image_side.ranks(), text_side.ranks()};
}

RecallAtK summarize_ranks(const std::vector<int64_t>& ranks) {
  if (ranks.empty()) throw InvalidArgument("retrieval: ranks, expected at least one, found none");
  double reciprocals = 0;
  for (const int64_t rank : ranks) reciprocals += 1.0 / static_cast<double>(rank);
  std::vector<int64_t> sorted = ranks;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.front() < 1)
    throw InvalidArgument(fmt::format("retrieval: ranks, expected at least 1, found {}", sorted.front()));
  const auto recall = [&](int64_t k) {
    return static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), k) - sorted.begin()) /
           static_cast<double>(sorted.size());
  };
  const size_t n = sorted.size();
  return {.r1 = recall(1),
          .r5 = recall(5),
          .r10 = recall(10),
          .median_rank = 0.5 * static_cast<double>(sorted[(n - 1) / 2] + sorted[n / 2]),
          .queries = static_cast<int64_t>(n),
          .mean_reciprocal_rank = reciprocals / static_cast<double>(n)};
}

RetrievalResult summarize_retrieval(const RetrievalRanks& ranks) {
  RetrievalResult result{summarize_ranks(ranks.image_to_text), summarize_ranks(ranks.text_to_image)};
  result.mean_r1 = 0.5 * (result.image_to_text.r1 + result.text_to_image.r1);
  result.mean_reciprocal_rank =
      0.5 * (result.image_to_text.mean_reciprocal_rank + result.text_to_image.mean_reciprocal_rank);
  return result;
}

RetrievalResult retrieval(Context& context, ConstMatrixF images, ConstMatrixF texts,
                          const RetrievalOptions& options) {
  return summarize_retrieval(retrieval_ranks(context, images, texts, options));
}

}  // namespace sotalign
