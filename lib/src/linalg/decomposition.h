// What eigh and svd have in common: limits, LAPACK's verdict and the choice of signs.
#pragma once

#include <limits>
#include <string>

#include "sotalign/core/buffer.h"

namespace sotalign::detail {

/// LAPACK counts its scratch memory, up to about 4 k^2 for a smaller dimension k, in 32 bits.
inline constexpr int64_t kLargestDecomposition = 20000;
inline constexpr int64_t kLargestSize = std::numeric_limits<int32_t>::max();

/// Returns if info [1] is 0 and `values` are finite, which they are not after an infinite entry that LAPACK
/// let pass. Otherwise throws NumericalError, or OutOfMemory where that was the reason. `what` begins the
/// message.
void check_lapack(const Buffer<int32_t>& info, const Buffer<double>& values, const std::string& what);

/// Makes the component of largest magnitude in each row of `rows` positive; columns of `columns`, which may
/// be empty, follow.
void orient_vectors(Context& context, MatrixD rows, MatrixD columns);

}  // namespace sotalign::detail
