#include "linalg/decomposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/orient_vectors.h"
#include "sotalign/core/error.h"

namespace sotalign::detail {

void check_lapack(const Buffer<int32_t>& info, const Buffer<double>& values, const std::string& what) {
  constexpr int32_t kWorkMemory = -1010, kTransposeMemory = -1011;  // LAPACKE's own codes
  const int32_t code = info.download()[0];
  if (code == kWorkMemory || code == kTransposeMemory)
    throw OutOfMemory(fmt::format("out of memory: {}: no scratch memory for LAPACK (info {})", what, code));
  if (code > 0) throw NumericalError(fmt::format("{}: LAPACK did not converge (info {})", what, code));
  const std::vector<double> host = values.download();
  if (code < 0 || !std::all_of(host.begin(), host.end(), [](double value) { return std::isfinite(value); }))
    throw NumericalError(fmt::format("{}: the matrix has entries that are not finite (info {})", what, code));
}

void orient_vectors(Context& context, MatrixD rows, MatrixD columns) {
  Workspace scratch(context);
  kernels::orient_vectors(context.queue(), {.rows = rows.data,
                                            .rows_stride = rows.stride,
                                            .count = rows.rows,
                                            .row_size = rows.cols,
                                            .columns = columns.data,
                                            .columns_stride = columns.stride,
                                            .column_size = columns.rows,
                                            .signs = scratch.take<double>(rows.rows)});
}

}  // namespace sotalign::detail
