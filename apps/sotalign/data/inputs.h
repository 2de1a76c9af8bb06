// Embeddings from files, checked against each other before anything is computed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/options.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/io/array.h"
#include "sotalign/train/model.h"

namespace sotalign::app {

/// A matrix of embeddings. Beyond what read_matrix() refuses, no row may be zero or so short or long that
/// float32 cannot hold the square of its length: it has no direction, and comes from an encoder or a copy
/// that failed.
HostMatrix read_embeddings(const std::string& path);

/// A matrix without a file is empty.
struct Dataset {
  HostMatrix pair_images, pair_texts, images, texts, val_images, val_texts;

  TrainingData view() const;
  /// Throws IoError if a mapped file among them was written to since it was read.
  void require_unchanged() const;
  bool has_validation() const { return val_images.rows() > 0; }
  /// "500 pairs of 768 and 384 dimensions, unpaired 3700 images, 3700 texts"
  std::string describe() const;
};

/// Pairs, and what else has a path. Throws InvalidArgument that names both files when they do not fit.
Dataset read_dataset(const DataPaths& paths);

/// Throws InvalidArgument that names both files unless the matrix is empty or has as many columns.
void require_cols(const std::string& path, const HostMatrix& matrix, const std::string& like_path,
                  const HostMatrix& like);
/// Throws InvalidArgument that names both files unless they have equally many rows.
void require_pairs(const std::string& image_path, const HostMatrix& images, const std::string& text_path,
                   const HostMatrix& texts);

/// Throws InvalidArgument that names the file if there are several rows and all are equal.
void require_rows_that_differ(const std::string& path, const HostMatrix& matrix);
/// Throws InvalidArgument that names file and row unless every row, as embed() makes them, has a direction.
void require_directions(const std::string& path, const HostMatrix& embedded);

/// What `action` returns. Of an InvalidArgument that it throws, "a: " or "b: " in front, the library's names
/// for the two sides of the pairs, become the files; other messages stay.
template <class Action>
auto naming_pairs(const std::string& image_path, const std::string& text_path, Action&& action) {
  try {
    return action();
  } catch (const InvalidArgument& error) {
    const std::string message = error.what();
    for (const auto& [name, path] : {std::pair{"a: ", image_path}, std::pair{"b: ", text_path}})
      if (message.starts_with(name)) throw InvalidArgument(path + message.substr(1));
    throw;
  }
}

/// What `action` returns. The message of an InvalidArgument that it throws gets `files` in front, in place of
/// the library's `name`.
template <class Action>
auto naming_files(const std::string& files, const std::string& name, Action&& action) {
  try {
    return action();
  } catch (const InvalidArgument& error) {
    const std::string message = error.what();
    throw InvalidArgument(files + ": " + (message.starts_with(name) ? message.substr(name.size()) : message));
  }
}

/// Integers, one for each of `rows`, which come from `rows_path`: labels, ids of groups.
std::vector<int64_t> read_ids(const std::string& path, const HostMatrix& rows, const std::string& rows_path);

/// Throws IoError if the matrix is a mapped file that was written to before it was copied.
Matrix<float> upload(Context& context, const HostMatrix& matrix, const char* purpose = "embeddings");

/// See note().
void note_missing_checksums(const std::string& path);

/// Model::load(), with a note for a file without checksums.
Model load_model(Context& context, const std::string& path);

/// Unit rows of raw embeddings on the host, in pieces: only these are on the device at a time.
/// Throws InvalidArgument that names the file when the model is for another dimension, NumericalError that
/// names file and row when the model maps a row to numbers that are not finite, and IoError as upload() does.
HostMatrix embed(Context& context, const Model& model, Side side, Projection projection,
                 const std::string& path, const HostMatrix& x);

/// The rows as the model in the file at `model_path` embeds them; without a path they stay as they are.
/// Throws InvalidArgument that names the files when they do not fit each other or the model.
void bring_to_one_space(Context& context, const std::string& model_path, Projection projection,
                        const std::string& image_path, HostMatrix& images, const std::string& text_path,
                        HostMatrix& texts);

/// Retrieval on pairs of raw rows as the model embeds them; paths as in embed().
RetrievalResult measure(Context& context, const Model& model, Projection projection,
                        const std::string& image_path, const HostMatrix& images, const std::string& text_path,
                        const HostMatrix& texts);

}  // namespace sotalign::app
