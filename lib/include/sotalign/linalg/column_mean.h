// The mean row of one or more matrices.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// The mean over all rows of all `parts`, weighted equally: [cols], on the host. Throws InvalidArgument if
/// there are no rows, if the numbers of columns differ, or if an entry is not finite; the message then names
/// the first such column.
std::vector<double> column_mean(Context& context, const std::vector<ConstMatrixF>& parts);

/// column_mean() for matrices that do not fit into memory: they are added one by one, whole or piece by
/// piece, and give the same bits.
///
///   ColumnMeanSum sum(context, cols);
///   sum.add(pairs);
///   const int64_t piece = ColumnMeanSum::piece_rows(rows);
///   for (int64_t first = 0; first < rows; first += piece)
///     sum.add_piece(read(first, std::min(piece, rows - first)), first / piece, rows);
///   const std::vector<double> mean = sum.mean();
class ColumnMeanSum {
 public:
  /// The context must outlive it.
  ColumnMeanSum(Context& context, int64_t cols);

  /// Adds a whole matrix [any, cols], in the memory of the context. Throws InvalidArgument for another number
  /// of columns.
  void add(ConstMatrixF rows);
  /// Rows of each piece of a matrix of `rows` rows, except the last, which has the rest.
  static int64_t piece_rows(int64_t rows);
  /// Adds piece `number`, counted from 0, of a matrix of `rows` rows. The pieces of a matrix follow each
  /// other in order. Throws InvalidArgument for a piece of another shape.
  void add_piece(ConstMatrixF piece, int64_t number, int64_t rows);

  /// The mean of all rows so far. Throws as column_mean() does.
  std::vector<double> mean();

 private:
  void check_cols(ConstMatrixF rows) const;

  Context* context_;
  int64_t cols_, rows_ = 0;
  Buffer<double> sums_;
};

}  // namespace sotalign
