#include "sotalign/io/embedding_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "sotalign/core/error.h"
#include "sotalign/io/checksum.h"

namespace sotalign {

EmbeddingRows::EmbeddingRows(ConstMatrixF rows) : memory_(rows), rows_(rows.rows), cols_(rows.cols) {}

EmbeddingRows::EmbeddingRows(HostMatrix rows) : EmbeddingRows(rows.view()) { kept_ = std::move(rows); }

EmbeddingRows::EmbeddingRows(std::vector<MatrixRows> files) : files_(std::move(files)) {
  for (const MatrixRows& file : files_) {
    if (rows_ > 0 && file.cols() != cols_)
      throw InvalidArgument(
          fmt::format("embedding rows: expected {} columns in every file, found {}", cols_, file.cols()));
    first_.push_back(rows_);
    rows_ += file.rows();
    cols_ = file.cols();
  }
}

bool EmbeddingRows::stored_by_rows() const {
  return std::all_of(files_.begin(), files_.end(),
                     [](const MatrixRows& file) { return file.stored_by_rows(); });
}

size_t EmbeddingRows::file_of(int64_t row) const {
  return static_cast<size_t>(std::upper_bound(first_.begin(), first_.end(), row) - first_.begin()) - 1;
}

void EmbeddingRows::check_range(int64_t first, int64_t count) const {
  if (first < 0 || count < 0 || count > rows_ - first)
    throw InvalidArgument(
        fmt::format("embedding rows: expected rows below {}, found {} from {} on", rows_, count, first));
}

ConstMatrixF EmbeddingRows::read(int64_t first, int64_t count, std::vector<float>& buffer) const {
  check_range(first, count);
  if (files_.empty()) return memory_.row_range(first, count);
  if (count == 0) return {nullptr, 0, cols_};
  const size_t file = file_of(first);
  if (const int64_t inside = first - first_[file]; count <= files_[file].rows() - inside)
    return files_[file].read(inside, count, buffer);
  // The rows of several files, put together.
  if (buffer.size() < static_cast<size_t>(count * cols_)) buffer.resize(static_cast<size_t>(count * cols_));
  std::vector<float> part;
  for (int64_t done = 0; done < count;) {
    const size_t next = file_of(first + done);
    const int64_t inside = first + done - first_[next],
                  rows = std::min(count - done, files_[next].rows() - inside);
    const ConstMatrixF from = files_[next].read(inside, rows, part);
    std::copy_n(from.data, rows * cols_, buffer.data() + done * cols_);
    done += rows;
  }
  return {buffer.data(), count, cols_};
}

void EmbeddingRows::gather(const int64_t* index, int64_t count, float* out) const {
  for (int64_t i = 0; i < count; ++i) check_range(index[i], 1);
  if (files_.empty()) {
    for (int64_t i = 0; i < count; ++i) std::copy_n(memory_.row(index[i]), cols_, out + i * cols_);
    return;
  }
  if (files_.size() == 1) return files_[0].gather(index, count, out);
  std::vector<int64_t> inside, places;
  std::vector<float> rows;
  for (size_t file = 0; file < files_.size(); ++file) {
    inside.clear(), places.clear();
    for (int64_t i = 0; i < count; ++i)
      if (file_of(index[i]) == file) {
        inside.push_back(index[i] - first_[file]);
        places.push_back(i);
      }
    rows.resize(inside.size() * static_cast<size_t>(cols_));
    files_[file].gather(inside.data(), static_cast<int64_t>(inside.size()), rows.data());
    for (size_t i = 0; i < places.size(); ++i)
      std::copy_n(rows.data() + static_cast<int64_t>(i) * cols_, cols_, out + places[i] * cols_);
  }
}

void EmbeddingRows::release(int64_t first, int64_t count) const {
  check_range(first, count);
  if (files_.empty()) return;
  for (int64_t done = 0; done < count;) {
    const size_t file = file_of(first + done);
    const int64_t inside = first + done - first_[file],
                  rows = std::min(count - done, files_[file].rows() - inside);
    files_[file].release(inside, rows);
    done += rows;
  }
}

void EmbeddingRows::require_unchanged() const {
  kept_.require_unchanged();
  for (const MatrixRows& file : files_) file.require_unchanged();
}

std::string checksum(const EmbeddingRows& rows) {
  RowChecksum sum(rows.rows(), rows.cols());
  std::vector<float> buffer;
  constexpr int64_t kRowsAtOnce = 4096;
  for (int64_t first = 0; first < rows.rows(); first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, rows.rows() - first);
    sum.add(rows.read(first, count, buffer));
    rows.release(first, count);
  }
  rows.require_unchanged();
  return sum.hex();
}

}  // namespace sotalign
