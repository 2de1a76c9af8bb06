#include "data/shared_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "data/inputs.h"
#include "data/row_tiles.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

RawRows::RawRows(const std::string& image_path, const std::string& text_path)
    : image_name(input_name(image_path)),
      text_name(input_name(text_path)),
      images(open_rows(image_path)),
      texts(open_rows(text_path)) {}

void RawRows::check_values() const {
  require_lengths(image_name, images);
  require_lengths(text_name, texts);
}

SharedRows bring_to_one_space(Context& context, const std::string& model_path, Projection projection,
                              const RawRows& raw, const HubnessOptions& asked) {
  require_model_for_hubness(model_path, asked);
  std::optional<Model> model;
  SharedRows rows;
  if (!model_path.empty()) {
    model.emplace(load_model(context, model_path));
    require_projection(*model, projection);
    rows.hubness = correction_of(context, *model, model_path, projection, asked);
  } else if (raw.images.cols() != raw.texts.cols()) {
    raw.check_values();
    throw InvalidArgument(fmt::format("{}: without --model, expected {} columns as in {}, found {}",
                                      raw.text_name, raw.images.cols(), raw.image_name, raw.texts.cols()));
  }
  const auto tiles = [&](Side side, const std::string& name, const MatrixRows& file) {
    return RowTiles(context, name, file,
                    {.model = model ? &*model : nullptr, .side = side, .projection = projection});
  };
  RowTiles images = tiles(Side::kX, raw.image_name, raw.images),
           texts = tiles(Side::kY, raw.text_name, raw.texts);
  rows.images = all_rows(context, images, "projected images");
  rows.texts = all_rows(context, texts, "projected texts");
  return rows;
}

}  // namespace sotalign::app
