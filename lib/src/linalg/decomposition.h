// Shared by eigh and svd: size limits, the check of LAPACK's result, and the choice of signs.
#pragma once

#include <limits>
#include <string>

#include "sotalign/core/buffer.h"

namespace sotalign::detail {

/// LAPACK counts its scratch memory in 32 bits: up to about 4 k^2 elements, where k is the smaller dimension.
inline constexpr int64_t kLargestDecomposition = 20000;
inline constexpr int64_t kLargestSize = std::numeric_limits<int32_t>::max();

/// Throws unless info [1] is 0 and all `values` are finite: OutOfMemory if LAPACK had no scratch memory,
/// otherwise NumericalError. LAPACK may report success for an infinite matrix entry, but the values are then
/// not finite. Messages name `what`.
void check_lapack(const Buffer<int32_t>& info, const Buffer<double>& values, const std::string& what);

/// Makes the component of largest magnitude in each row of `rows` positive. Where it flips a row, it also
/// flips the matching column of `columns`, which may be empty.
void orient_vectors(Context& context, MatrixD rows, MatrixD columns);

}  // namespace sotalign::detail
