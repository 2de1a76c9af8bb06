#include "sotalign/linalg/svd.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/svd.h"
#include "linalg/decomposition.h"
#include "sotalign/core/error.h"

namespace sotalign {

ThinSvd svd(Context& context, Matrix<double> a) {
  const int64_t m = a.rows(), n = a.cols(), k = std::min(m, n);
  if (k == 0 || k > detail::kLargestDecomposition || std::max(m, n) > detail::kLargestSize)
    throw InvalidArgument(
        fmt::format("svd: expected 1 to {} for the smaller and at most {} for the larger dimension, found "
                    "[{}, {}]",
                    detail::kLargestDecomposition, detail::kLargestSize, m, n));
  ThinSvd result{Matrix<double>(context, m, k, "left singular vectors"),
                 Buffer<double>(context, k, "singular values"),
                 Matrix<double>(context, k, n, "right singular vectors")};
  Buffer<int32_t> info(context, 1, "LAPACK info");
  kernels::Svd args{.a = a.data(),
                    .a_stride = n,
                    .m = m,
                    .n = n,
                    .u = result.u.data(),
                    .u_stride = k,
                    .values = result.values.data(),
                    .vt = result.vt.data(),
                    .vt_stride = n,
                    .info = info.data()};
  Workspace workspace(context);
  args.scratch = workspace.take<unsigned char>(static_cast<int64_t>(svd_scratch(context.queue(), args)));
  kernels::svd(context.queue(), args);
  detail::check_lapack(info, result.values, fmt::format("svd of a [{}, {}] matrix", m, n));
  detail::orient_vectors(context, result.vt, result.u);
  return result;
}

}  // namespace sotalign
