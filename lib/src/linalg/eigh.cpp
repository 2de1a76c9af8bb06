#include "sotalign/linalg/eigh.h"

#include <fmt/format.h>

#include "kernels/eigh.h"
#include "linalg/decomposition.h"
#include "sotalign/core/error.h"

namespace sotalign {

SymmetricEigen eigh(Context& context, Matrix<double> a) {
  const int64_t n = a.rows();
  if (n == 0 || a.cols() != n || n > detail::kLargestDecomposition)
    throw InvalidArgument(fmt::format("eigh: expected a square matrix of 1 to {} rows, found [{}, {}]",
                                      detail::kLargestDecomposition, n, a.cols()));
  Buffer<double> values(context, n, "eigenvalues");
  Buffer<int32_t> info(context, 1, "LAPACK info");
  kernels::Eigh args{.a = a.data(), .a_stride = n, .n = n, .values = values.data(), .info = info.data()};
  Workspace workspace(context);
  args.scratch = workspace.take<unsigned char>(static_cast<int64_t>(eigh_scratch(context.queue(), args)));
  kernels::eigh(context.queue(), args);
  detail::check_lapack(info, values, fmt::format("eigh of a [{}, {}] matrix", n, n));
  detail::orient_vectors(context, a, {});
  return {std::move(a), std::move(values)};
}

}  // namespace sotalign
