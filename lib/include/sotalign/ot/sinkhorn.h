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

/// kYes: after the last iteration, replaces u by the mean of itself and one further row update. (v stays: the
/// column update came last, so updating it again changes nothing.)
enum class Symmetrize { kNo, kYes };

/// The settings of Sinkhorn.
struct SinkhornOptions {
  double epsilon = 0.05;  ///< > 0, in the units of K
  Symmetrize symmetrize = Symmetrize::kNo;
  SolveOptions solve = {};
  bool operator==(const SinkhornOptions&) const = default;
};

enum class SinkhornStatus {
  kFixed,           ///< no tolerance: the solve ran all iterations
  kConverged,       ///< the reported marginal error meets the tolerance
  kStalled,         ///< it does not, and the error stopped falling: a limit of precision or of the problem
  kIterationLimit,  ///< it does not, and the iterations ran out
};
std::string to_string(SinkhornStatus status);

/// How a solve ended.
struct SinkhornResult {
  int64_t iterations = 0;
  /// L1 errors of the row sums and of the column sums of the plan that the returned potentials define, and
  /// the sum of both.
  double row_error = 0, column_error = 0, marginal_error = 0;
  SinkhornStatus status = SinkhornStatus::kFixed;
};

/// The shape of one problem in a ragged batch.
struct SinkhornShape {
  int64_t rows = 0, cols = 0;  ///< >= 1
  bool operator==(const SinkhornShape&) const = default;
};

/// A solver for a batch of problems that all have the shape [rows, cols], or for a ragged batch, in which
/// each problem has its own shape. It owns potentials and weights; solves after the first allocate nothing
/// and copy nothing to the host. The context outlives it.
///
/// A ragged batch needs no padding: its matrices take sum_b rows_b cols_b entries of memory and work, and its
/// vectors take those of the longest problem each. On the CPU, batching does not change a single bit of a
/// problem's result. On CUDA the widest problem decides how threads map to columns: results agree with those
/// of single solves within rounding, repeat to the bit, and much narrower problems leave threads idle.
class Sinkhorn {
 public:
  /// One entry of `options` for each problem. Neighbours that differ in epsilon at most are solved as one
  /// batch, others in turn. Throws InvalidArgument for options that are out of range.
  Sinkhorn(Context& context, int64_t rows, int64_t cols, const std::vector<SinkhornOptions>& options);
  Sinkhorn(Context& context, int64_t rows, int64_t cols, const SinkhornOptions& options)
      : Sinkhorn(context, rows, cols, std::vector<SinkhornOptions>{options}) {}

  /// A ragged batch: one shape and one entry of `options` for each problem. The entries may differ in epsilon
  /// only. solve() and plan() then take one affinity for each problem.
  Sinkhorn(Context& context, const std::vector<SinkhornShape>& shapes,
           const std::vector<SinkhornOptions>& options);
  Sinkhorn(Context& context, const std::vector<SinkhornShape>& shapes, const SinkhornOptions& options)
      : Sinkhorn(context, shapes, std::vector<SinkhornOptions>(shapes.size(), options)) {}
  ~Sinkhorn();
  Sinkhorn(Sinkhorn&&) noexcept;
  Sinkhorn& operator=(Sinkhorn&&) noexcept;

  /// Sets the weights of one problem, [rows] and [cols]: finite, >= 0, not all zero. The solver scales them
  /// to sum 1. An empty vector stands for uniform weights, the default. A row or column of weight 0 gets
  /// zeros in the plan and the potential -inf. Keeps the start except in columns whose weight becomes zero or
  /// nonzero.
  void set_weights(int64_t problem, const std::vector<double>& a, const std::vector<double>& b);

  /// Sets the column potentials [cols] from which further solves of one problem start: numbers or -inf. The
  /// row update comes first and computes u from them. Columns of weight 0 ignore theirs. Any start is safe: a
  /// bad one costs iterations only.
  void set_start(int64_t problem, const std::vector<double>& v);

  /// Solves all problems. affinity: [batch * rows, cols], finite, with any stride. Queues its work and
  /// returns.
  void solve(ConstMatrixF affinity);

  /// The same for a ragged batch: affinities[b] is [rows_b, cols_b], in any memory and with any stride.
  /// Uploads the table of pointers and strides, and synchronizes, only when it changed since the last solve.
  void solve(const std::vector<ConstMatrixF>& affinities);

  /// The same for K = x y', for a solver of one problem. Computes one strip of rows at a time: the product
  /// costs its time in every iteration, but K is never stored. Synchronizes in every iteration, so that it
  /// computes no strip after convergence. strip_rows: the height of a strip; 0 chooses one that suits the
  /// device.
  void solve(const Embeddings& embeddings, int64_t strip_rows = 0);

  /// Results and potentials of the last solve; these functions wait for it. results() throws NumericalError
  /// if |K| / epsilon exceeds what single precision resolves (2^24), or is not finite, in a whole row or
  /// column of positive weight.
  std::vector<SinkhornResult> results() const;
  std::vector<double> row_potentials(int64_t problem) const;
  std::vector<double> column_potentials(int64_t problem) const;

  /// Writes the plans of the last solve, [batch * rows, cols], with the stride of the affinity. They may
  /// overwrite it.
  void plan(ConstMatrixF affinity, MatrixF plan);
  /// The same for a ragged batch. Each plan may overwrite its affinity; their strides may differ. Uploads the
  /// tables of pointers and strides, and synchronizes, only when they changed since the last call.
  void plan(const std::vector<ConstMatrixF>& affinities, const std::vector<MatrixF>& plans);
  /// Writes the plan of one problem, [rows, cols], with the stride of its affinity.
  void plan(int64_t problem, ConstMatrixF affinity, MatrixF plan);
  /// Writes rows [first_row, first_row + plan.rows) of the plan.
  void plan(const Embeddings& embeddings, int64_t first_row, MatrixF plan);

  /// Bytes of the context's memory for a solver of one problem and solve(embeddings), without the embeddings.
  static int64_t memory_bytes(const Context& context, int64_t rows, int64_t cols, int64_t strip_rows = 0);

  /// One line about solves of stored affinities: which form and why, the memory of the density, and how an
  /// iteration maps to the machine.
  std::string describe() const;

  int64_t batch() const;
  int64_t rows() const;  ///< of each problem; in a ragged batch, the most of any
  int64_t cols() const;
  SinkhornShape shape(int64_t problem) const;

  /// Wraps an internal solver. For use within the library.
  explicit Sinkhorn(std::unique_ptr<detail::SinkhornSolver> solver);

 private:
  std::unique_ptr<detail::SinkhornSolver> solver_;
};

}  // namespace sotalign
