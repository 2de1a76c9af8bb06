// cusolverDnDgesvd, which requires at least as many rows as columns. Our row-major A [m, n] is A' [n, m] to
// cuSOLVER, so n >= m qualifies; as for LAPACK (kernels/cpu/svd.cpp), its left vectors by columns are our Vt
// by rows and its right vectors our U. With n < m, A itself is decomposed: A and both results are transposed.
#include "kernels/svd.h"

#include <algorithm>

#include "kernels/cuda/check.h"
#include "kernels/cuda/library_handles.h"
#include "kernels/cuda/vendor.h"

namespace sotalign::kernels::cuda {

namespace {

int work_size(const Queue& queue, const Svd& args) {
  int size = 0;
  check(cusolver().dgesvd_buffer_size(solver_of(queue), static_cast<int>(std::max(args.m, args.n)),
                                      static_cast<int>(std::min(args.m, args.n)), &size),
        "cusolverDnDgesvd_bufferSize");
  return size;
}

// y [cols, rows] = x' for a row-major x [rows, cols].
void transpose(const Queue& queue, const double* x, int64_t x_stride, int64_t rows, int64_t cols, double* y,
               int64_t y_stride) {
  const double one = 1.0, zero = 0.0;
  // Column-major, y is [rows, cols] and x is [cols, rows].
  check(cublas().dgeam(blas_of(queue), CUBLAS_OP_T, CUBLAS_OP_N, rows, cols, &one, x, x_stride, &zero, y,
                       y_stride, y, y_stride),
        "cublasDgeam_64");
}

void decompose(const Queue& queue, const Svd& args, int rows, int cols, double* a, int64_t a_stride,
               double* left, int64_t left_stride, double* right, int64_t right_stride, double* work) {
  check(cusolver().dgesvd(solver_of(queue), 'S', 'S', rows, cols, a, static_cast<int>(a_stride), args.values,
                          left, static_cast<int>(left_stride), right, static_cast<int>(right_stride), work,
                          work_size(queue, args), nullptr, args.info),
        "cusolverDnDgesvd");
}

}  // namespace

size_t svd_scratch(const Queue& queue, const Svd& args) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  size_t count = static_cast<size_t>(work_size(queue, args));
  if (args.n < args.m) count += static_cast<size_t>(args.n) * static_cast<size_t>(2 * args.m + args.n);
  return count * sizeof(double);
}

void svd(const Queue& queue, const Svd& args) {
  check(cudaSetDevice(queue.device), "cudaSetDevice");
  const int m = static_cast<int>(args.m), n = static_cast<int>(args.n);
  if (args.n >= args.m) {
    decompose(queue, args, n, m, args.a, args.a_stride, args.vt, args.vt_stride, args.u, args.u_stride,
              static_cast<double*>(args.scratch));
    return;
  }
  // cuSOLVER's workspace comes first, since scratch is aligned there; the matrices need no alignment.
  double* work = static_cast<double*>(args.scratch);
  double* a = work + work_size(queue, args);  // A column-major, that is A' [n, m]
  double* u = a + args.n * args.m;            // U column-major, U' [n, m]
  double* vt = u + args.n * args.m;           // Vt column-major, V [n, n]
  transpose(queue, args.a, args.a_stride, args.m, args.n, a, args.m);
  decompose(queue, args, m, n, a, args.m, u, args.m, vt, args.n, work);
  transpose(queue, u, args.m, args.n, args.m, args.u, args.u_stride);
  transpose(queue, vt, args.n, args.n, args.n, args.vt, args.vt_stride);
}

}  // namespace sotalign::kernels::cuda
