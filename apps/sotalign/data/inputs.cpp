#include "data/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <memory>

#include "cli/notes.h"
#include "cli/standard_streams.h"
#include "data/shards.h"
#include "sotalign/core/error.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/io/npy.h"

namespace sotalign::app {

namespace {

constexpr double kLeastSquare = std::numeric_limits<float>::min(),
                 kMostSquare = std::numeric_limits<float>::max();

double square(ConstMatrixF matrix, int64_t row) {
  const float* values = matrix.row(row);
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < matrix.cols; ++j)
    sum += static_cast<double>(values[j]) * static_cast<double>(values[j]);
  return sum;
}

bool has_length(double square) { return square >= kLeastSquare && square <= kMostSquare; }

HostMatrix read_optional(const std::string& path) {
  return path.empty() ? HostMatrix() : read_embeddings(path);
}

}  // namespace

std::string input_name(const std::string& path) { return path == "-" ? "standard input" : path; }

HostMatrix read_input(const std::string& path) {
  if (path != "-") return read_matrix(path);
  const MatrixRows file = open_rows(path);
  std::vector<float> values;
  const ConstMatrixF rows = file.read(0, file.rows(), values);
  if (rows.data != values.data()) values.assign(rows.data, rows.data + rows.size());
  file.require_unchanged();
  return HostMatrix(std::move(values), rows.rows, rows.cols);
}

HostMatrix read_embeddings(const std::string& path) {
  HostMatrix matrix = read_input(path);
  require_lengths(input_name(path), matrix.view());
  return matrix;
}

MatrixRows open_rows(const std::string& path) {
  if (path != "-") return MatrixRows::open(path);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file =
      open_standard_input("\x93NUMPY", "a .npy file");
  return MatrixRows::open(fileno(file.get()), input_name(path));
}

std::vector<MatrixRows> open_shards(const std::vector<std::string>& names, const std::string& like_path,
                                    int64_t like) {
  std::vector<MatrixRows> files;
  files.reserve(names.size());
  for (const std::string& name : names) {
    files.push_back(open_rows(name));
    require_cols(name, files.back().cols(), like_path, like);
  }
  return files;
}

EmbeddingRows open_unpaired(const std::vector<std::string>& paths, const std::string& like_path,
                            int64_t like) {
  if (paths.empty()) return {};
  const std::vector<std::string> names = shards(paths);
  std::vector<MatrixRows> files = open_shards(names, like_path, like);
  for (size_t i = 0; i < files.size(); ++i) require_lengths(input_name(names[i]), files[i]);
  return EmbeddingRows(std::move(files));
}

void require_lengths(const std::string& path, const MatrixRows& file) {
  constexpr int64_t kRowsAtOnce = 4096;
  std::vector<float> buffer;
  for (int64_t first = 0; first < file.rows(); first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, file.rows() - first);
    require_lengths(path, file.read(first, count, buffer), first);
    file.release(first, count);
  }
  file.require_unchanged();
}

void require_lengths(const std::string& path, ConstMatrixF rows, int64_t first) {
  const int64_t count = rows.rows;
  int64_t first_bad = count;
#pragma omp parallel for schedule(static) reduction(min : first_bad)
  for (int64_t i = 0; i < count; ++i)
    if (!has_length(square(rows, i))) first_bad = std::min(first_bad, i);
  if (first_bad == count) return;
  const double length = std::sqrt(square(rows, first_bad));
  if (length == 0)
    throw IoError(fmt::format("{}: row {}: expected a row that is not zero, found only zeros", path,
                              first + first_bad));
  throw IoError(
      fmt::format("{}: row {}: expected a length whose square fits float32, {:.1e} to {:.1e}, found {:.1e}",
                  path, first + first_bad, std::sqrt(kLeastSquare), std::sqrt(kMostSquare), length));
}

void require_rows_that_differ(const std::string& path, const HostMatrix& matrix) {
  const float* first = matrix.data();
  const int64_t cols = matrix.cols();
  for (int64_t i = 1; i < matrix.rows(); ++i)
    if (!std::equal(first, first + cols, matrix.view().row(i))) return;
  if (matrix.rows() > 1)
    throw InvalidArgument(
        fmt::format("{}: expected rows that differ, found {} equal ones, which centring turns into zeros",
                    input_name(path), matrix.rows()));
}

void require_directions(const std::string& path, ConstMatrixF embedded, int64_t first) {
  for (int64_t i = 0; i < embedded.rows; ++i)
    if (!(square(embedded, i) > 0.5))  // unit rows, or zero
      throw InvalidArgument(fmt::format(
          "{}: row {}: expected a row that the model maps to a nonzero vector, found one that it maps to "
          "zero, like the mean of its training rows",
          input_name(path), first + i));
}

void require_finite_rows(const std::string& path, ConstMatrixF embedded, int64_t first) {
  for (int64_t i = 0; i < embedded.rows; ++i)
    if (!std::all_of(embedded.row(i), embedded.row(i) + embedded.cols,
                     [](float value) { return std::isfinite(value); }))
      throw NumericalError(fmt::format("{}: row {}: the model maps it to values that are not finite",
                                       input_name(path), first + i));
}

void require_cols(const std::string& path, const HostMatrix& matrix, const std::string& like_path,
                  const HostMatrix& like) {
  if (matrix.rows() > 0) require_cols(path, matrix.cols(), like_path, like.cols());
}

void require_cols(const std::string& path, int64_t cols, const std::string& like_path, int64_t like) {
  if (cols != like)
    throw InvalidArgument(fmt::format("{}: expected {} columns as in {}, found {}", input_name(path), like,
                                      input_name(like_path), cols));
}

void require_pairs(const std::string& image_path, int64_t images, const std::string& text_path,
                   int64_t texts) {
  if (images != texts)
    throw InvalidArgument(fmt::format("pairs: expected as many rows in {} as in {}, found {} and {}",
                                      input_name(image_path), input_name(text_path), images, texts));
}

std::vector<int64_t> read_ids(const std::string& path, int64_t rows, const std::string& rows_path) {
  std::vector<int64_t> ids = read_npy_integers(path);
  if (static_cast<int64_t>(ids.size()) != rows)
    throw InvalidArgument(fmt::format("{}: expected {} ids, one for each row of {}, found {}", path, rows,
                                      input_name(rows_path), ids.size()));
  return ids;
}

TrainingData Dataset::view() const {
  return {.pair_images = pair_images.view(),
          .pair_texts = pair_texts.view(),
          .images = images,
          .texts = texts,
          .validation_images = val_images.view(),
          .validation_texts = val_texts.view()};
}

void Dataset::require_unchanged() const {
  for (const HostMatrix* matrix : {&pair_images, &pair_texts, &val_images, &val_texts})
    matrix->require_unchanged();
  for (const EmbeddingRows* rows : {&images, &texts}) rows->require_unchanged();
}

std::string Dataset::describe() const {
  return fmt::format("{} pairs of {} and {} dimensions, unpaired {} images, {} texts", pair_images.rows(),
                     pair_images.cols(), pair_texts.cols(), images.rows(), texts.rows());
}

Dataset read_dataset(const DataPaths& paths) {
  require({{paths.pairs_images, "pairs_images"}, {paths.pairs_texts, "pairs_texts"}});
  require_both({paths.val_images, "val_images"}, {paths.val_texts, "val_texts"});
  Dataset data{.pair_images = read_embeddings(paths.pairs_images),
               .pair_texts = read_embeddings(paths.pairs_texts),
               .images = {},
               .texts = {},
               .val_images = read_optional(paths.val_images),
               .val_texts = read_optional(paths.val_texts)};
  require_pairs(paths.pairs_images, data.pair_images.rows(), paths.pairs_texts, data.pair_texts.rows());
  require_rows_that_differ(paths.pairs_images, data.pair_images);
  require_rows_that_differ(paths.pairs_texts, data.pair_texts);
  require_pairs(paths.val_images, data.val_images.rows(), paths.val_texts, data.val_texts.rows());
  require_cols(paths.val_images, data.val_images, paths.pairs_images, data.pair_images);
  require_cols(paths.val_texts, data.val_texts, paths.pairs_texts, data.pair_texts);
  data.images = open_unpaired(paths.images, paths.pairs_images, data.pair_images.cols());
  data.texts = open_unpaired(paths.texts, paths.pairs_texts, data.pair_texts.cols());
  return data;
}

Matrix<float> upload(Context& context, const HostMatrix& matrix, const char* purpose) {
  Matrix<float> result(context, matrix.data(), matrix.rows(), matrix.cols(), purpose);
  matrix.require_unchanged();
  return result;
}

void note_missing_checksums(const std::string& path) {
  note(fmt::format("{} was written by sotalign 0.1 and has no checksums: damage may go unnoticed", path));
}

Model load_model(Context& context, const std::string& path) {
  Model model = Model::load(context, path);
  if (!model.verified()) note_missing_checksums(path);
  return model;
}

void require_projection(const Model& model, Projection projection) {
  if (!model.has(projection))
    throw InvalidArgument(fmt::format("--projection: the model has no {}", projection == Projection::kHeads
                                                                               ? "heads, only a teacher"
                                                                               : "teacher"));
}

void require_model_cols(const Model& model, Side side, const std::string& path, int64_t cols) {
  if (cols != model.input_dim(side))
    throw InvalidArgument(fmt::format("{}: expected {} columns, as the model has for {}, found {}",
                                      input_name(path), model.input_dim(side),
                                      side == Side::kX ? "images" : "texts", cols));
}

Matrix<float> embed(Context& context, const Model& model, Side side, Projection projection,
                    const std::string& path, const HostMatrix& x) {
  require_projection(model, projection);
  require_model_cols(model, side, path, x.cols());
  constexpr int64_t kPiece = 65536;
  const bool on_cpu = context.device().kind == DeviceKind::kCpu;
  const int64_t dim = model.dim(projection), piece = std::min(kPiece, x.rows());
  Matrix<float> embedded(context, x.rows(), dim, "projected embeddings"), rows;
  std::vector<float> copy;
  if (!on_cpu) {
    rows = Matrix<float>(context, piece, x.cols(), "embeddings");
    copy.resize(static_cast<size_t>(piece * dim));
  }
  for (int64_t first = 0; first < x.rows(); first += kPiece) {
    const int64_t count = std::min(kPiece, x.rows() - first);
    ConstMatrixF in = x.view().row_range(first, count);
    const MatrixF out = embedded.view().row_range(first, count);
    if (!on_cpu) {
      context.copy_to_device(rows.data(), in.data, static_cast<size_t>(in.size()) * sizeof(float));
      in = rows.view().row_range(0, count);
    }
    model.embed(side, projection, in, out);
    ConstMatrixF on_host = out;
    if (!on_cpu) {
      context.copy_to_host(copy.data(), out.data, static_cast<size_t>(out.size()) * sizeof(float));
      on_host = {copy.data(), count, dim};
    }
    require_finite_rows(path, on_host, first);
  }
  x.require_unchanged();
  return embedded;
}

RetrievalResult measure(Context& context, const Model& model, Projection projection,
                        const std::string& image_path, const HostMatrix& images, const std::string& text_path,
                        const HostMatrix& texts, const HubnessCorrection* hubness) {
  const Matrix<float> x = embed(context, model, Side::kX, projection, image_path, images),
                      y = embed(context, model, Side::kY, projection, text_path, texts);
  RetrievalOptions options;
  if (hubness != nullptr) {
    options.image_corrections = hubness->corrections(context, Side::kX, x);
    options.text_corrections = hubness->corrections(context, Side::kY, y);
  }
  return retrieval(context, x, y, options);
}

}  // namespace sotalign::app
