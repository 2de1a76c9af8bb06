// Entropic optimal transport by Sinkhorn's algorithm, batched, robust at any epsilon.
//
// For an affinity K [n, m] (cost -K), weights a, b and epsilon, the plan is
//   P_ij = exp(K_ij / epsilon + u_i + v_j),  sum_j P_ij = a_i,  sum_i P_ij = b_j,  total mass 1,
// and one iteration is u_i = log a_i - LSE_j(K_ij / epsilon + v_j), then the same for v. Start: u = v = 0.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/ot/embeddings.h"
#include "sotalign/ot/solve_options.h"

namespace sotalign::detail {
class SinkhornSolver;
}

namespace SOTALIGN_API sotalign {

/// After the last iteration, replace each potential by the mean of itself and of one further update from the
/// other. As the column update came last, v is a fixed point of that and only u changes.
enum class Symmetrize { kNo, kYes };

/// The settings of Sinkhorn.
struct SinkhornOptions {
  double epsilon = 0.05;  ///< > 0, in the units of K
  Symmetrize symmetrize = Symmetrize::kNo;
  SolveOptions solve = {};
  bool operator==(const SinkhornOptions&) const = default;
};

enum class SinkhornStatus {
  kFixed,           ///< no tolerance was given: all iterations were done
  kConverged,       ///< the tolerance was met by the marginal error that is reported
  kStalled,         ///< it was not, and the error no longer fell: a limit of precision, or of the problem
  kIterationLimit,  ///< it was not within the iterations
};
std::string to_string(SinkhornStatus status);

/// How a solve ended.
struct SinkhornResult {
  int64_t iterations = 0;
  /// Of the plan that the returned potentials define: L1 errors of the row and of the column sums, and their
  /// sum.
  double row_error = 0, column_error = 0, marginal_error = 0;
  SinkhornStatus status = SinkhornStatus::kFixed;
};

/// What a problem of a batch of several shapes is.
struct SinkhornShape {
  int64_t rows = 0, cols = 0;  ///< >= 1
  bool operator==(const SinkhornShape&) const = default;
};

/// A solver for `batch` problems of shape [rows, cols], or of a shape each. It owns potentials, weights and
/// scratch memory, so that solving again allocates nothing and nothing is copied to the host. The context
/// outlives it.
///
/// Shapes of their own need no padding: memory for matrices and the work on them are what the problems have,
/// sum_b rows_b cols_b. Vectors take what the longest ones take. On the CPU a problem's results are to the
/// bit those that it has alone; on CUDA threads are mapped as the widest problem needs it, so that results
/// agree within rounding (and are the same on every run), and much narrower problems leave threads idle.
class Sinkhorn {
 public:
  /// One entry of `options` for each problem. Neighbours that differ in epsilon at most are solved as one
  /// batch, others in turn. Throws InvalidArgument for options that are out of range.
  Sinkhorn(Context& context, int64_t rows, int64_t cols, const std::vector<SinkhornOptions>& options);
  Sinkhorn(Context& context, int64_t rows, int64_t cols, const SinkhornOptions& options)
      : Sinkhorn(context, rows, cols, std::vector<SinkhornOptions>{options}) {}

  /// A shape for each problem, and one entry of `options` for each, which differ in epsilon at most.
  /// Affinities are then given one by one.
  Sinkhorn(Context& context, const std::vector<SinkhornShape>& shapes,
           const std::vector<SinkhornOptions>& options);
  Sinkhorn(Context& context, const std::vector<SinkhornShape>& shapes, const SinkhornOptions& options)
      : Sinkhorn(context, shapes, std::vector<SinkhornOptions>(shapes.size(), options)) {}
  ~Sinkhorn();
  Sinkhorn(Sinkhorn&&) noexcept;
  Sinkhorn& operator=(Sinkhorn&&) noexcept;

  /// Weights of one problem, [rows] and [cols], >= 0, finite, not all zero; scaled here to sum to one. A row
  /// of weight 0 has a plan row of zeros and potential -inf, and so has a column. An empty vector stands for
  /// uniform weights (the default). A start stays what it was, but for columns that lose or gain their mass.
  void set_weights(int64_t problem, const std::vector<double>& a, const std::vector<double>& b);

  /// Column potentials [cols] from which the next solves start, numbers or -inf. Those of columns of weight 0
  /// are ignored: no start gives them mass. The row update comes first, so u follows from v. Any start is
  /// safe.
  void set_start(int64_t problem, const std::vector<double>& v);

  /// Solves all problems. affinity: [batch * rows, cols] with any stride, finite. Queued, not waited for.
  void solve(ConstMatrixF affinity);

  /// The same for problems of several shapes: affinities[b] is [rows_b, cols_b], anywhere and of any stride.
  /// Where they lie is copied to the device if it is not where they lay for the solve before: that waits.
  void solve(const std::vector<ConstMatrixF>& affinities);

  /// The same for K = x y', of which only a strip of rows is in memory at a time: each iteration costs the
  /// product once. For a solver of one problem. Waits in every iteration, as strips that are not needed are
  /// not to be made. strip_rows: of each strip; 0: as suits the device.
  void solve(const Embeddings& embeddings, int64_t strip_rows = 0);

  /// Of the last solve. These wait for it. results() throws NumericalError where |K| / epsilon is more than
  /// single precision can tell apart (2^24), or not finite, in a whole row or column of positive weight.
  std::vector<SinkhornResult> results() const;
  std::vector<double> row_potentials(int64_t problem) const;
  std::vector<double> column_potentials(int64_t problem) const;

  /// Writes the plans of the last solve, [batch * rows, cols] like the affinity, which they may overwrite.
  void plan(ConstMatrixF affinity, MatrixF plan);
  /// The same for problems of several shapes. Each plan may overwrite its affinity; strides may differ. What
  /// has moved since the call before is copied to the device, which waits.
  void plan(const std::vector<ConstMatrixF>& affinities, const std::vector<MatrixF>& plans);
  /// The plan of one problem, [rows, cols] like its affinity.
  void plan(int64_t problem, ConstMatrixF affinity, MatrixF plan);
  /// Rows [first_row, first_row + plan.rows) of the plan.
  void plan(const Embeddings& embeddings, int64_t first_row, MatrixF plan);

  /// What a solver and solve(embeddings) take of the context's memory besides the embeddings.
  static int64_t memory_bytes(const Context& context, int64_t rows, int64_t cols, int64_t strip_rows = 0);

  /// One line: the form of the next solve of stored affinities and why, its memory, and how an iteration is
  /// mapped to the machine.
  std::string describe() const;

  int64_t batch() const;
  int64_t rows() const;  ///< of each problem; with shapes of their own, of the one with the most
  int64_t cols() const;
  SinkhornShape shape(int64_t problem) const;

  /// For the library itself, whose other parts hold on to the solver that they pass.
  explicit Sinkhorn(std::unique_ptr<detail::SinkhornSolver> solver);

 private:
  std::unique_ptr<detail::SinkhornSolver> solver_;
};

}  // namespace sotalign
