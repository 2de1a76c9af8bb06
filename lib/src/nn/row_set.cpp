#include "sotalign/nn/row_set.h"

#include <algorithm>

#include "nn/preprocess_rows.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "sotalign/io/checksum.h"
#include "sotalign/linalg/row_products.h"

namespace sotalign {

const char* to_string(RowMemory memory) { return memory == RowMemory::kStored ? "stored" : "streamed"; }

struct RowSet::Rows {
  ConstMatrixF stored = {};  // `memory`, or the caller's rows
  Matrix<float> memory;
  bool streamed = false;
  EmbeddingRows raw;
  Buffer<float> mean;               // of streamed rows
  std::vector<double> column_mean;  // of streamed rows, preprocessed; empty until it is asked for
  std::string checksum;
  Context* context = nullptr;
};

namespace {

/// Copies rows without padding.
void upload(Context& context, ConstMatrixF host, float* to) {
  if (host.contiguous()) {
    context.copy_to_device(to, host.data, static_cast<size_t>(host.size()) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < host.rows; ++i)
    context.copy_to_device(to + i * host.cols, host.row(i), static_cast<size_t>(host.cols) * sizeof(float));
}

}  // namespace

RowSet::RowSet(ConstMatrixF preprocessed) : set_(std::make_shared<Rows>()) { set_->stored = preprocessed; }

RowSet::RowSet(const Matrix<float>& preprocessed) : RowSet(preprocessed.view()) {}

RowSet::RowSet(Context& context, const EmbeddingRows& rows, RowMemory memory, ColumnMeanSum& mean,
               const char* purpose)
    : set_(std::make_shared<Rows>()) {
  Rows& set = *set_;
  const int64_t count = rows.rows(), cols = rows.cols(),
                piece = std::min(ColumnMeanSum::piece_rows(count), count);
  set.context = &context;
  set.streamed = memory == RowMemory::kStreamed;
  if (set.streamed)
    set.raw = rows;
  else
    set.memory = Matrix<float>(context, count, cols, purpose);
  RowChecksum checksum(count, cols);
  std::vector<float> buffer;
  Matrix<float> streamed_piece(context, set.streamed ? piece : 0, cols, purpose);
  for (int64_t first = 0; first < count; first += piece) {
    const ConstMatrixF host = rows.read(first, std::min(piece, count - first), buffer);
    checksum.add(host);
    const MatrixF to = set.streamed ? streamed_piece.view().row_range(0, host.rows)
                                    : set.memory.view().row_range(first, host.rows);
    upload(context, host, to.data);
    if (set.streamed) mean.add_piece(to, first / piece, count);
    rows.release(first, host.rows);
  }
  rows.require_unchanged();
  if (!set.streamed && count > 0) mean.add(set.memory);
  set.stored = set.memory;
  set.checksum = checksum.hex();
}

void RowSet::preprocess(const Preprocessing& preprocessing) {
  if (empty()) return;
  if (streamed())
    set_->mean = Buffer<float>(*set_->context, preprocessing.mean, "mean");
  else
    sotalign::preprocess(*set_->context, preprocessing, set_->memory, set_->memory);
}

int64_t RowSet::rows() const {
  if (!set_) return 0;
  return set_->streamed ? set_->raw.rows() : set_->stored.rows;
}
int64_t RowSet::cols() const {
  if (!set_) return 0;
  return set_->streamed ? set_->raw.cols() : set_->stored.cols;
}
bool RowSet::streamed() const { return set_ && set_->streamed; }
std::string RowSet::checksum() const { return set_ ? set_->checksum : ""; }

ConstMatrixF RowSet::stored() const {
  if (streamed()) throw InvalidArgument("rows: expected stored rows, found streamed ones");
  return set_ ? set_->stored : ConstMatrixF();
}

const EmbeddingRows& RowSet::raw() const { return set_->raw; }

void RowSet::preprocess_rows(Context& context, ConstMatrixF raw, MatrixF out) const {
  detail::preprocess_rows(context, set_->mean.data(), raw, out);
}

void RowSet::gather(Context& context, const std::vector<int64_t>& index, MatrixF out) const {
  if (index.empty()) return;
  Workspace scratch(context);
  const auto count = static_cast<int64_t>(index.size());
  if (!streamed()) {
    int64_t* on_device = scratch.take<int64_t>(count);
    context.copy_to_device(on_device, index.data(), index.size() * sizeof(int64_t));
    gather_rows(context, stored(), on_device, out);
    return;
  }
  std::vector<float> host(index.size() * static_cast<size_t>(cols()));
  raw().gather(index.data(), count, host.data());
  const MatrixF raw_rows = scratch.take_matrix<float>(count, cols());
  upload(context, {host.data(), count, cols()}, raw_rows.data);
  preprocess_rows(context, raw_rows, out);
}

void RowSet::for_each(Context& context, int64_t rows_at_once,
                      const std::function<void(int64_t first, ConstMatrixF rows)>& use) const {
  std::vector<float> buffer;
  Matrix<float> piece(context, streamed() ? std::min(rows_at_once, rows()) : 0, cols(), "rows of a file");
  for (int64_t first = 0; first < rows(); first += rows_at_once) {
    const int64_t count = std::min(rows_at_once, rows() - first);
    if (!streamed()) {
      use(first, stored().row_range(first, count));
      continue;
    }
    const MatrixF to = piece.view().row_range(0, count);
    upload(context, raw().read(first, count, buffer), to.data);
    raw().release(first, count);
    preprocess_rows(context, to, to);
    use(first, to);
  }
  if (streamed()) raw().require_unchanged();
}

std::vector<double> RowSet::column_mean(Context& context) const {
  if (!streamed()) return sotalign::column_mean(context, {stored()});
  if (!set_->column_mean.empty()) return set_->column_mean;
  ColumnMeanSum sum(context, cols());
  const int64_t piece = ColumnMeanSum::piece_rows(rows());
  for_each(context, piece, [&](int64_t first, ConstMatrixF x) { sum.add_piece(x, first / piece, rows()); });
  return set_->column_mean = sum.mean();
}

Preprocessing prepare_rows(Context& context, MatrixF pairs, const EmbeddingRows& raw, RowMemory memory,
                           RowSet& unpaired, const char* purpose) {
  ColumnMeanSum sum(context, pairs.cols);
  sum.add(pairs);
  unpaired = RowSet(context, raw, memory, sum, purpose);
  const std::vector<double> mean = sum.mean();
  Preprocessing preprocessing{std::vector<float>(mean.begin(), mean.end())};
  unpaired.preprocess(preprocessing);
  preprocess(context, preprocessing, pairs, pairs);
  return preprocessing;
}

}  // namespace sotalign
