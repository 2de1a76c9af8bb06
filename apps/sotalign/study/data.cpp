#include "study/data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <set>
#include <string_view>

#include "data/principal_halves.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/eval/sliced_wasserstein.h"

namespace sotalign::app {

namespace {

using RowList = std::vector<int64_t>;

RowList part(const RowList& rows, int64_t begin, int64_t end) {
  return {rows.begin() + begin, rows.begin() + end};
}

/// The rows of `chosen`, in the order of `order`.
RowList in_order(const RowList& order, const RowList& chosen) {
  const std::set<int64_t> wanted(chosen.begin(), chosen.end());
  RowList result;
  std::copy_if(order.begin(), order.end(), std::back_inserter(result),
               [&](int64_t row) { return wanted.contains(row); });
  return result;
}

RowList joined(RowList rows, const RowList& more) {
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

struct Unpaired {
  RowList images, texts;
};

/// @param images, texts the same rows, each list in its own random order
Unpaired choose(const UnpairedRows& asked, const HostMatrix& x, const RowList& images, const RowList& texts) {
  using Kind = UnpairedRows::Kind;
  const auto both = [&](const RowList& rows) {
    return Unpaired{in_order(images, rows), in_order(texts, rows)};
  };
  const auto half = static_cast<int64_t>(images.size() / 2);
  switch (asked.kind) {
    case Kind::kFirst:
      return both(part(images, 0, asked.count));
    case Kind::kSame:
      return both(part(images, 0, half));
    case Kind::kDisjoint:
      return {part(images, 0, half), in_order(texts, part(images, half, 2 * half))};
    case Kind::kUpper:
      return both(principal_halves(x, images).upper);
    case Kind::kBiased: {
      const auto [upper, lower] = principal_halves(x, images);
      const int64_t own = std::llround((1 + asked.bias) / 2 * static_cast<double>(half));
      return {in_order(images, joined(part(upper, 0, own), part(lower, own, half))),
              in_order(texts, joined(part(lower, 0, own), part(upper, own, half)))};
    }
    case Kind::kAll:
    case Kind::kOther:  // rows of other files
      break;
  }
  return {images, texts};
}

}  // namespace

StudyData::StudyData(const StudyFiles& files)
    : images_(read_embeddings(files.images)), texts_(read_embeddings(files.texts)) {
  require_pairs(files.images, images_.rows(), files.texts, texts_.rows());
  require_rows_that_differ(files.images, images_);
  require_rows_that_differ(files.texts, texts_);
  const auto read_other = [](const std::string& path, const std::string& like_path, const HostMatrix& like) {
    HostMatrix x = read_embeddings(path);
    if (x.cols() != like.cols())
      throw InvalidArgument(
          fmt::format("{}: expected {} columns as in {}, found {}", path, like.cols(), like_path, x.cols()));
    return x;
  };
  if (files.other_images.empty() && files.other_texts.empty()) return;
  require(files.other_images, "other_images");
  require(files.other_texts, "other_texts");
  other_images_ = read_other(files.other_images, files.images, images_);
  other_texts_ = read_other(files.other_texts, files.texts, texts_);
}

std::string StudyData::fingerprint() const {
  uint64_t hash = 0;
  for (const HostMatrix* x : {&images_, &texts_, &other_images_, &other_texts_}) {
    const auto bytes = static_cast<size_t>(x->rows() * x->cols()) * sizeof(float);
    hash = hash * 0x9E3779B97F4A7C15 + stream_id({reinterpret_cast<const char*>(x->data()), bytes});
  }
  return fmt::format("{:016x}", hash);
}

StudyData::Rows StudyData::rows(const StudySizes& sizes, const StudyRun& run) const {
  const Split split =
      split_rows(sizes.rows, {.pairs = 2, .test = sizes.test, .validation = sizes.validation}, run.seed);
  const RowList order = joined(split.pairs, split.unpaired_images);
  const RowList pairs = part(order, 0, run.pairs);
  const RowList images = part(order, run.pairs, static_cast<int64_t>(order.size()));
  const RowList texts = in_order(split.unpaired_texts, images);
  const RowList& measured = run.role == StudyRole::kFinal ? split.test : split.validation;

  Rows result;
  result.data.pair_images = take_rows(images_, pairs);
  result.data.pair_texts = take_rows(texts_, pairs);
  if (run.method->validates) {
    result.data.val_images = take_rows(images_, split.validation);
    result.data.val_texts = take_rows(texts_, split.validation);
  }
  result.measured = {.images = take_rows(images_, measured), .texts = take_rows(texts_, measured)};
  if (run.unpaired.kind == UnpairedRows::Kind::kOther) {
    const RowList rows = evenly_spaced(static_cast<int64_t>(images.size() / 2), other_images_.rows());
    result.data.images = take_rows(other_images_, rows);
    result.data.texts =
        take_rows(other_texts_, evenly_spaced(static_cast<int64_t>(images.size() / 2), other_texts_.rows()));
  } else {
    const Unpaired unpaired = choose(run.unpaired, images_, images, texts);
    result.data.images = take_rows(images_, unpaired.images);
    result.data.texts = take_rows(texts_, unpaired.texts);
  }
  return result;
}

Dataset StudyData::first_rows(int64_t pairs, int64_t unpaired) const {
  const auto rows = [](int64_t begin, int64_t count) {
    RowList list(static_cast<size_t>(count));
    std::iota(list.begin(), list.end(), begin);
    return list;
  };
  return {.pair_images = take_rows(images_, rows(0, pairs)),
          .pair_texts = take_rows(texts_, rows(0, pairs)),
          .images = take_rows(images_, rows(pairs, unpaired)),
          .texts = take_rows(texts_, rows(pairs, unpaired)),
          .val_images = {},
          .val_texts = {}};
}

StudyShift StudyData::shift(Context& context, const Rows& rows) {
  const auto distance = [&](const EmbeddingRows& x, const HostMatrix& y) {
    std::vector<float> buffer;
    const ConstMatrixF host = x.read(0, x.rows(), buffer);
    const Matrix<float> uploaded(context, host.data, host.rows, host.cols, "embeddings");
    return spherical_sliced_wasserstein(context, uploaded, upload(context, y)).distance;
  };
  return {.images = distance(rows.data.images, rows.measured.images),
          .texts = distance(rows.data.texts, rows.measured.texts)};
}

}  // namespace sotalign::app
