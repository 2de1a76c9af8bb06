#include "sotalign/eval/zero_shot.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>

#include "eval/unit_rows.h"
#include "eval/upload_corrections.h"
#include "kernels/column_mean.h"
#include "kernels/gather_rows.h"
#include "kernels/match_scores.h"
#include "kernels/retrieval_rank.h"
#include "kernels/scale_matrix.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

namespace {

/// A shorter mean of unit rows is rounding, and has no meaningful direction.
constexpr float kShortestMean = 1e-6f;

void check_size(const char* name, const std::vector<int64_t>& ids, const char* rows_name, int64_t rows) {
  if (static_cast<int64_t>(ids.size()) != rows)
    throw InvalidArgument(fmt::format("zero_shot: {}, expected one id for each of the {} {}, found {}", name,
                                      rows, rows_name, ids.size()));
}

/// The means of consecutive groups of rows, counts[c] rows in group c, in float64.
Matrix<double> means(Context& context, ConstMatrixF rows, const std::vector<int64_t>& counts) {
  Matrix<double> result(context, static_cast<int64_t>(counts.size()), rows.cols, "class means");
  Workspace scratch(context);
  double* sums = scratch.take<double>(kernels::kColumnMeanSums * rows.cols);
  int64_t first = 0;
  for (size_t c = 0; c < counts.size(); ++c) {
    const kernels::ColumnMean::Part part{.x = rows.row(first), .stride = rows.stride, .rows = counts[c]};
    kernels::column_mean(context.queue(), {.parts = &part,
                                           .part_count = 1,
                                           .cols = rows.cols,
                                           .sums = sums,
                                           .mean = result.view().row(static_cast<int64_t>(c))});
    first += counts[c];
  }
  return result;
}

/// The class number of each label: its position in `ids`, which are ascending.
std::vector<int32_t> number_labels(const std::vector<int64_t>& labels, const std::vector<int64_t>& ids) {
  std::vector<int32_t> numbers(labels.size());
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto found = std::lower_bound(ids.begin(), ids.end(), labels[i]);
    if (found == ids.end() || *found != labels[i])
      throw InvalidArgument(
          fmt::format("zero_shot: image {} (label {}) has no prompt of its class among the "
                      "{} classes from {} to {}",
                      i, labels[i], ids.size(), ids.front(), ids.back()));
    numbers[i] = static_cast<int32_t>(found - ids.begin());
  }
  return numbers;
}

}  // namespace

ClassEmbeddings class_embeddings(Context& context, ConstMatrixF prompts,
                                 const std::vector<int64_t>& prompt_classes) {
  if (prompts.empty())
    throw InvalidArgument(
        fmt::format("zero_shot: expected prompts, found [{}, {}]", prompts.rows, prompts.cols));
  check_size("prompt_classes", prompt_classes, "prompts", prompts.rows);
  ClassEmbeddings classes;
  std::vector<int64_t> order(prompt_classes.size());
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return prompt_classes[static_cast<size_t>(a)] < prompt_classes[static_cast<size_t>(b)];
  });
  for (const int64_t prompt : order) {
    const int64_t id = prompt_classes[static_cast<size_t>(prompt)];
    if (classes.ids.empty() || classes.ids.back() != id) {
      classes.ids.push_back(id);
      classes.prompts.push_back(0);
    }
    ++classes.prompts.back();
  }

  const int64_t count = static_cast<int64_t>(classes.ids.size());
  const Matrix<float> unit = unit_rows_with_direction(context, prompts, "zero_shot", "prompt");
  const Buffer<int64_t> device_order(context, order, "prompts by class");
  Matrix<float> sorted(context, prompts.rows, prompts.cols, "prompts by class");
  kernels::gather_rows(context.queue(), {.x = unit.data(),
                                         .x_stride = unit.cols(),
                                         .index = device_order.data(),
                                         .y = sorted.data(),
                                         .y_stride = sorted.cols(),
                                         .rows = prompts.rows,
                                         .cols = prompts.cols});
  const Matrix<double> mean = means(context, sorted, classes.prompts);
  classes.rows = Matrix<float>(context, count, prompts.cols, "class embeddings");
  kernels::scale_matrix(context.queue(), kernels::ScaleMatrix<float>{.x = mean.data(),
                                                                     .x_stride = mean.cols(),
                                                                     .y = classes.rows.data(),
                                                                     .y_stride = mean.cols(),
                                                                     .rows = count,
                                                                     .cols = mean.cols()});
  Buffer<float> norms(context, count, "class norms");
  normalize(context, classes.rows, classes.rows, norms.data());
  const std::vector<float> lengths = norms.download();
  for (size_t c = 0; c < lengths.size(); ++c)
    if (!(lengths[c] >= kShortestMean))
      throw InvalidArgument(
          fmt::format("zero_shot: class {}, expected prompts with a mean direction, found {} that cancel "
                      "each other",
                      classes.ids[c], classes.prompts[c]));
  return classes;
}

std::vector<int64_t> zero_shot_ranks(Context& context, ConstMatrixF images,
                                     const std::vector<int64_t>& labels, const ClassEmbeddings& classes,
                                     const ZeroShotOptions& options) {
  if (images.empty())
    throw InvalidArgument(
        fmt::format("zero_shot: expected images, found [{}, {}]", images.rows, images.cols));
  const int64_t count = classes.rows.rows();
  if (images.cols != classes.rows.cols())
    throw InvalidArgument(
        fmt::format("zero_shot: images and prompts need equally many columns, found {} and "
                    "{}",
                    images.cols, classes.rows.cols()));
  check_size("labels", labels, "images", images.rows);
  if (count > std::numeric_limits<int32_t>::max())
    throw InvalidArgument(fmt::format("zero_shot: expected fewer than 2^31 classes, found {}", count));
  if (options.tile < 1)
    throw InvalidArgument(fmt::format("zero_shot: tile, expected at least 1, found {}", options.tile));

  const Buffer<float> corrections =
      upload_corrections(context, "zero_shot: corrections", options.corrections, count, "classes");
  std::vector<int32_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::vector<int64_t> offsets(static_cast<size_t>(count) + 1);
  std::iota(offsets.begin(), offsets.end(), int64_t{0});
  const Buffer<int32_t> image_class(context, number_labels(labels, classes.ids), "labels"),
      class_number(context, numbers, "classes");
  const Buffer<int64_t> device_offsets(context, offsets, "classes");
  const Matrix<float> unit = unit_rows(context, images);
  Buffer<float> best(context, images.rows, "scores of the right classes");
  kernels::match_scores(context.queue(), {.queries = unit.data(),
                                          .queries_stride = unit.cols(),
                                          .gallery = classes.rows.data(),
                                          .gallery_stride = unit.cols(),
                                          .groups = image_class.data(),
                                          .offsets = device_offsets.data(),
                                          .members = device_offsets.data(),  // class c has a single row, c
                                          .corrections = corrections.data(),
                                          .rows = unit.rows(),
                                          .cols = unit.cols(),
                                          .best = best.data()});

  Buffer<int64_t> counts(context, images.rows, "better classes");
  const auto corrections_from = [&](int64_t first) {
    return corrections.size() > 0 ? corrections.data() + first : nullptr;
  };
  // The kernel counts per column as well; those counts are not used.
  const Buffer<float> class_best(context, count, "scores");
  Buffer<int64_t> class_counts(context, count, "counts");
  Workspace scratch(context);
  const int64_t tile_rows = std::min(options.tile, images.rows), tile_cols = std::min(options.tile, count);
  float* scores = scratch.take<float>(tile_rows * tile_cols);
  for (int64_t i = 0; i < images.rows; i += tile_rows)
    for (int64_t j = 0; j < count; j += tile_cols) {
      const int64_t rows = std::min(tile_rows, images.rows - i), cols = std::min(tile_cols, count - j);
      gemm(context, Op::kNone, Op::kTranspose, 1.0f, unit.view().row_range(i, rows),
           classes.rows.view().row_range(j, cols), 0.0f, MatrixF(scores, rows, cols));
      kernels::retrieval_rank(context.queue(), {.scores = scores,
                                                .scores_stride = cols,
                                                .rows = rows,
                                                .cols = cols,
                                                .row_groups = image_class.data() + i,
                                                .col_groups = class_number.data() + j,
                                                .row_best = best.data() + i,
                                                .col_best = class_best.data() + j,
                                                .col_corrections = corrections_from(j),
                                                .margin = kRetrievalMargin,
                                                .row_counts = counts.data() + i,
                                                .col_counts = class_counts.data() + j});
    }
  std::vector<int64_t> ranks = counts.download();
  for (int64_t& rank : ranks) ++rank;
  return ranks;
}

ZeroShotResult zero_shot(Context& context, ConstMatrixF images, const std::vector<int64_t>& labels,
                         const ClassEmbeddings& classes, const ZeroShotOptions& options) {
  const std::vector<int64_t> ranks = zero_shot_ranks(context, images, labels, classes, options);

  std::map<int64_t, ClassAccuracy> by_id;
  for (const int64_t id : classes.ids) by_id[id].id = id;
  ZeroShotResult result;
  result.images = images.rows;
  int64_t top1 = 0, top5 = 0;
  for (size_t i = 0; i < ranks.size(); ++i) {
    ClassAccuracy& own = by_id[labels[i]];
    ++own.images;
    own.top1 += ranks[i] <= 1 ? 1 : 0;
    own.top5 += ranks[i] <= 5 ? 1 : 0;
  }
  double sum = 0;
  int64_t with_images = 0;
  for (const auto& [id, own] : by_id) {
    result.classes.push_back(own);
    top1 += own.top1;
    top5 += own.top5;
    if (own.images == 0) continue;
    ++with_images;
    sum += static_cast<double>(own.top1) / static_cast<double>(own.images);
  }
  result.top1 = static_cast<double>(top1) / static_cast<double>(images.rows);
  result.top5 = static_cast<double>(top5) / static_cast<double>(images.rows);
  result.mean_class_top1 = sum / static_cast<double>(with_images);
  return result;
}

ZeroShotResult zero_shot(Context& context, ConstMatrixF images, const std::vector<int64_t>& labels,
                         ConstMatrixF prompts, const std::vector<int64_t>& prompt_classes,
                         const ZeroShotOptions& options) {
  return zero_shot(context, images, labels, class_embeddings(context, prompts, prompt_classes), options);
}

}  // namespace sotalign
