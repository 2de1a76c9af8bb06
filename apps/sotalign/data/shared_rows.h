// The rows that eval and zeroshot compare: both sides of a data set in one space.
#pragma once

#include <optional>
#include <string>

#include "data/hubness.h"
#include "sotalign/core/buffer.h"
#include "sotalign/io/matrix_rows.h"

namespace sotalign::app {

/// Images and texts as files, to be read tile by tile; `name` stands for a path in messages.
struct RawRows {
  /// Opens both, "-" is standard input. Checks no values. Throws IoError.
  RawRows(const std::string& image_path, const std::string& text_path);

  /// Reads all rows and throws IoError for those that read_embeddings() rejects. For files that do not match
  /// each other: a damaged one may be why.
  void check_values() const;

  std::string image_name, text_name;
  MatrixRows images, texts;
};

/// Unit rows in the space of a model, or the raw rows without one; in the memory of the context.
struct SharedRows {
  Matrix<float> images, texts;
  std::optional<HubnessCorrection> hubness;  ///< correction_of() the model
};

/// Projects both sides with the model in `model_path`, reading one tile at a time; without a path, rows stay
/// as they are. Throws what RowTiles throws, and InvalidArgument, naming the files, if they do not match each
/// other or the model.
SharedRows bring_to_one_space(Context& context, const std::string& model_path, Projection projection,
                              const RawRows& raw, const HubnessOptions& asked);

}  // namespace sotalign::app
