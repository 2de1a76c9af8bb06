// The preprocessed rows of one side of the unpaired data: in the memory of a context, or still in their
// files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"
#include "sotalign/io/embedding_rows.h"
#include "sotalign/linalg/column_mean.h"
#include "sotalign/nn/preprocess.h"

namespace SOTALIGN_API sotalign {

/// Where unpaired rows are kept while a model is trained.
enum class RowMemory {
  kStored,    ///< all rows in the memory of the context, preprocessed
  kStreamed,  ///< where they came from: rows are read and preprocessed again for each use
};
/// "stored" or "streamed".
const char* to_string(RowMemory memory);

/// Preprocessed rows [rows, cols] (see preprocess()). Copies share them. Both memories give the same bits.
class RowSet {
 public:
  /// No rows.
  RowSet() = default;
  /// Rows that are preprocessed already, in the memory of a context, which stay the caller's.
  RowSet(ConstMatrixF preprocessed);          // NOLINT(google-explicit-constructor): all rows are a set
  RowSet(const Matrix<float>& preprocessed);  // NOLINT(google-explicit-constructor)
  /// Raw rows. Reads each of them once, adds them to `mean`, and takes their checksum. Throws as
  /// EmbeddingRows::read() does. Call preprocess() next. The context must outlive the set; so must rows in
  /// host memory, if the set streams them.
  /// @param purpose names the rows if memory runs out
  RowSet(Context& context, const EmbeddingRows& rows, RowMemory memory, ColumnMeanSum& mean,
         const char* purpose);

  /// Preprocesses all rows, now or whenever they are read.
  void preprocess(const Preprocessing& preprocessing);

  int64_t rows() const;
  int64_t cols() const;
  bool empty() const { return rows() == 0; }
  bool streamed() const;
  /// checksum() of the raw rows; empty for a set that was made from preprocessed ones.
  std::string checksum() const;
  /// All rows. Throws InvalidArgument if they are streamed.
  ConstMatrixF stored() const;
  /// The rows as they were given. Precondition: streamed().
  const EmbeddingRows& raw() const;

  /// Preprocesses rows of raw() that are in the memory of the context. Queued, does not synchronize.
  /// Precondition: streamed().
  void preprocess_rows(Context& context, ConstMatrixF raw, MatrixF out) const;
  /// Row i of `out` is row index[i]. Synchronizes.
  /// @param out [index.size(), cols], in the memory of the context
  void gather(Context& context, const std::vector<int64_t>& index, MatrixF out) const;
  /// Calls `use` for rows [first, first + rows_at_once), and so on to the end; views are valid during a call.
  void for_each(Context& context, int64_t rows_at_once,
                const std::function<void(int64_t first, ConstMatrixF rows)>& use) const;
  /// column_mean() of all rows. Streamed rows are read once, for the first call.
  std::vector<double> column_mean(Context& context) const;

 private:
  struct Rows;
  std::shared_ptr<Rows> set_;  // null: no rows
};

/// Fits the preprocessing of one side to all of its training rows, paired or not, and preprocesses both.
/// @param pairs [p, cols], raw, in the memory of the context; preprocessed in place
/// @param raw the unpaired rows; may be empty
/// @param unpaired output: `raw`, preprocessed
/// @param purpose names the unpaired rows if memory runs out
Preprocessing prepare_rows(Context& context, MatrixF pairs, const EmbeddingRows& raw, RowMemory memory,
                           RowSet& unpaired, const char* purpose);

}  // namespace sotalign
