#include "report/shown_pairs.h"

#include <fmt/format.h>

#include <algorithm>

#include "run/experiment.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

constexpr int64_t kMostShown = 2000;

void require_validation(const std::string& value, const char* key, const TrainConfig& config) {
  if (!value.empty() && config.data.val_texts.empty())
    throw InvalidArgument(fmt::format("{}: expected --val-images and --val-texts, found none", flag_of(key)));
}

}  // namespace

std::string ShownPairs::describe() const {
  const auto shown = static_cast<int64_t>(rows.size());
  const char* kind = validation ? "validation" : "training";
  return shown == total ? fmt::format("all {} {} pairs", total, kind)
                        : fmt::format("{} of the {} {} pairs, evenly spaced", shown, total, kind);
}

ShownPairs choose_shown_pairs(const TrainConfig& config, const Dataset& data) {
  require_validation(config.val_captions, "val_captions", config);
  require_validation(config.val_thumbnails, "val_thumbnails", config);
  ShownPairs pairs;
  pairs.validation = data.has_validation();
  const HostMatrix& images = pairs.validation ? data.val_images : data.pair_images;
  const HostMatrix& texts = pairs.validation ? data.val_texts : data.pair_texts;
  pairs.images_name = pairs.validation ? config.data.val_images : config.data.pairs_images;
  pairs.texts_name = pairs.validation ? config.data.val_texts : config.data.pairs_texts;
  pairs.total = images.rows();
  pairs.rows = evenly_spaced(kMostShown, pairs.total);
  pairs.images = take_rows(images, pairs.rows);
  pairs.texts = take_rows(texts, pairs.rows);
  pairs.captions = Captions(config.val_captions, texts.rows(), pairs.texts_name);
  pairs.captions.read(pairs.rows);
  pairs.thumbnails = Thumbnails(config.val_thumbnails, flag_of("val_thumbnails"));
  pairs.thumbnails.check(pairs.rows);
  return pairs;
}

}  // namespace sotalign::app
