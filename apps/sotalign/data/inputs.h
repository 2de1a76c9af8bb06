// Reads embeddings from files and checks them against each other before anything is computed.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/options.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/io/array.h"
#include "sotalign/io/embedding_rows.h"
#include "sotalign/io/matrix_rows.h"
#include "sotalign/train/model.h"

namespace sotalign::app {

/// read_matrix(), but "-" is a .npy file on standard input.
HostMatrix read_input(const std::string& path);

/// Reads a matrix of embeddings. Rejects what read_input() rejects, and rows that are zero or whose squared
/// length does not fit float32: they have no usable direction and come from a failed encoder or copy.
HostMatrix read_embeddings(const std::string& path);

/// Opens a matrix of embeddings to be read some rows at a time; "-" is a .npy file on standard input. Checks
/// no values. From a pipe, the file is first copied to a temporary file without a name. Throws IoError.
MatrixRows open_rows(const std::string& path);

/// open_rows() of all files. Throws InvalidArgument, naming both files, for one that does not have `like`
/// columns.
std::vector<MatrixRows> open_shards(const std::vector<std::string>& names, const std::string& like_path,
                                    int64_t like);

/// Opens the unpaired rows in shards() of these paths and checks all values as read_embeddings() does,
/// without keeping them. Throws as open_shards() does. No paths, no rows.
EmbeddingRows open_unpaired(const std::vector<std::string>& paths, const std::string& like_path,
                            int64_t like);

/// Throws IoError, naming the file and the row, for rows that read_embeddings() rejects. `first` is the
/// number of the first of the rows.
void require_lengths(const std::string& path, ConstMatrixF rows, int64_t first = 0);
/// The same for all rows of a file, some at a time. Throws IoError as well if it was written to meanwhile.
void require_lengths(const std::string& path, const MatrixRows& file);

/// "standard input" for "-", else the path.
std::string input_name(const std::string& path);

/// Matrices without a file are empty.
struct Dataset {
  HostMatrix pair_images, pair_texts;
  EmbeddingRows images, texts;  ///< unpaired; opened, but not in memory
  HostMatrix val_images, val_texts;

  TrainingData view() const;
  /// Throws IoError if one of the mapped files has been written to since it was opened.
  void require_unchanged() const;
  bool has_validation() const { return val_images.rows() > 0; }
  /// "500 pairs of 768 and 384 dimensions, unpaired 3700 images, 3700 texts"
  std::string describe() const;
};

/// Reads the pairs and whatever else has a path; checks the unpaired rows without keeping them. Throws
/// InvalidArgument, naming both files, for a mismatch.
Dataset read_dataset(const DataPaths& paths);

/// Throws InvalidArgument, naming both files, unless the matrix is empty or has as many columns as `like`.
void require_cols(const std::string& path, const HostMatrix& matrix, const std::string& like_path,
                  const HostMatrix& like);
/// Throws InvalidArgument, naming both files, unless both have as many columns.
void require_cols(const std::string& path, int64_t cols, const std::string& like_path, int64_t like);
/// Throws InvalidArgument, naming both files, unless they have the same number of rows.
void require_pairs(const std::string& image_path, int64_t images, const std::string& text_path,
                   int64_t texts);

/// Throws InvalidArgument, naming the file, if there are several rows and all are equal.
void require_rows_that_differ(const std::string& path, const HostMatrix& matrix);
/// Throws InvalidArgument, naming file and row, if embed() mapped a row to zero. `first` is the number of the
/// first of the rows.
void require_directions(const std::string& path, ConstMatrixF embedded, int64_t first = 0);
/// Throws NumericalError, naming file and row, if embed() mapped a row to values that are not finite.
void require_finite_rows(const std::string& path, ConstMatrixF embedded, int64_t first = 0);

/// Returns what `action` returns. If it throws an InvalidArgument that begins with "a: " or "b: ", the
/// library's names for the two sides of the pairs, rethrows it with the file's name instead.
template <class Action>
auto naming_pairs(const std::string& image_path, const std::string& text_path, Action&& action) {
  try {
    return action();
  } catch (const InvalidArgument& error) {
    const std::string message = error.what();
    for (const auto& [name, path] : {std::pair{"a: ", image_path}, std::pair{"b: ", text_path}})
      if (message.starts_with(name)) throw InvalidArgument(input_name(path) + message.substr(1));
    throw;
  }
}

/// Returns what `action` returns. If it throws an InvalidArgument, rethrows it with `files` in front, instead
/// of the library's `name`.
template <class Action>
auto naming_files(const std::string& files, const std::string& name, Action&& action) {
  try {
    return action();
  } catch (const InvalidArgument& error) {
    const std::string message = error.what();
    throw InvalidArgument(files + ": " + (message.starts_with(name) ? message.substr(name.size()) : message));
  }
}

/// Reads labels or group ids: one integer for each of the `rows` rows of `rows_path`.
std::vector<int64_t> read_ids(const std::string& path, int64_t rows, const std::string& rows_path);

/// Copies the matrix to the device. Throws IoError if it is a mapped file that was written to meanwhile.
Matrix<float> upload(Context& context, const HostMatrix& matrix, const char* purpose = "embeddings");

/// Adds a note() that the file has no checksums.
void note_missing_checksums(const std::string& path);

/// Throws InvalidArgument, naming --projection, unless the model has it.
void require_projection(const Model& model, Projection projection);
/// Throws InvalidArgument, naming the file, unless the model takes rows of so many columns.
void require_model_cols(const Model& model, Side side, const std::string& path, int64_t cols);

/// Model::load(), with a note for a file without checksums.
Model load_model(Context& context, const std::string& path);

/// Projects raw embeddings to unit rows in the memory of the context, which holds a piece of the raw rows at
/// a time. Throws InvalidArgument, naming the file, if the model has another input dimension; NumericalError,
/// naming file and row, if the model maps a row to values that are not finite; and IoError as upload() does.
Matrix<float> embed(Context& context, const Model& model, Side side, Projection projection,
                    const std::string& path, const HostMatrix& x);

/// Measures retrieval on pairs of raw rows, projected by the model, with the corrections of `hubness` if it
/// is not null; paths as in embed().
RetrievalResult measure(Context& context, const Model& model, Projection projection,
                        const std::string& image_path, const HostMatrix& images, const std::string& text_path,
                        const HostMatrix& texts, const HubnessCorrection* hubness = nullptr);

}  // namespace sotalign::app
