// Batched entropic optimal transport by Sinkhorn's algorithm, robust at any epsilon.
//
// For an affinity K [n, m] (cost -K), weights a, b and epsilon, the plan is
//   P_ij = exp(K_ij / epsilon + u_i + v_j),  sum_j P_ij = a_i,  sum_i P_ij = b_j,  total mass 1,
// and one iteration sets u_i = log a_i - LSE_j(K_ij / epsilon + v_j), then v likewise. By default it starts
// from u = v = 0.
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

/// kYes replaces each potential, after the last iteration, by the mean of itself and one further update. The
/// column update comes last, so v is already a fixed point of its update and only u changes.
enum class Symmetrize { kNo, kYes };

/// The settings of Sinkhorn.
struct SinkhornOptions {
  double epsilon = 0.05;  ///< > 0, in the units of K
  Symmetrize symmetrize = Symmetrize::kNo;
  SolveOptions solve = {};
  bool operator==(const SinkhornOptions&) const = default;
};

/// Why a solve ended.
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
  /// Errors of the plan that the returned potentials define: L1 errors of its row sums and of its column
  /// sums, and their total.
  double row_error = 0, column_error = 0, marginal_error = 0;
  SinkhornStatus status = SinkhornStatus::kFixed;
};

/// CUDA solves problems that fit into the device's shared memory in one launch, which keeps the density
/// there: the scaling form, problems of one shape, all of the batch side by side. The results are those of
/// separate launches to the bit. The first solve in a process compares both on the device, and goes back to
/// separate launches, with one line on standard error, if they differ.
struct OnChipSupport {
  int64_t most_rows = 0;  ///< a single problem [rows, rows] fits up to this many
  std::string why_not;    ///< why nothing is solved on the chip; empty if something is
};
/// What the context's device solves in one launch. Makes the comparison.
OnChipSupport sinkhorn_on_chip_support(const Context& context);

/// The shape of one problem of a ragged batch.
struct SinkhornShape {
  int64_t rows = 0, cols = 0;  ///< >= 1
  bool operator==(const SinkhornShape&) const = default;
};

/// A solver for a batch of problems that share the shape [rows, cols], or have a shape each (a ragged batch).
/// It owns weights and potentials. Solves after the first allocate nothing and, for stored affinities, copy
/// nothing to the host. The context must outlive it.
///
/// A ragged batch needs no padding: its matrices take memory and work for sum_b rows_b cols_b entries. All of
/// its vectors are as long as the longest one. On the CPU, batching does not change a single bit of a
/// problem's result. On CUDA, the widest problem decides how threads map to columns: results agree with those
/// of single solves within rounding, and repeat on every run; much narrower problems leave threads idle.
class Sinkhorn {
 public:
  /// One entry of `options` per problem. Consecutive problems whose options differ at most in epsilon are
  /// solved as one batch, others in turn. Throws InvalidArgument for an empty shape and for options that are
  /// missing or out of range.
  Sinkhorn(Context& context, int64_t rows, int64_t cols, const std::vector<SinkhornOptions>& options);
  Sinkhorn(Context& context, int64_t rows, int64_t cols, const SinkhornOptions& options)
      : Sinkhorn(context, rows, cols, std::vector<SinkhornOptions>{options}) {}

  /// A ragged batch: one shape and one entry of `options` per problem. Options may differ in epsilon only.
  /// Affinities are then passed one per problem. Throws InvalidArgument for empty shapes, for options that
  /// are out of range or differ in more than epsilon, and if there are not as many options as shapes.
  Sinkhorn(Context& context, const std::vector<SinkhornShape>& shapes,
           const std::vector<SinkhornOptions>& options);
  Sinkhorn(Context& context, const std::vector<SinkhornShape>& shapes, const SinkhornOptions& options)
      : Sinkhorn(context, shapes, std::vector<SinkhornOptions>(shapes.size(), options)) {}
  ~Sinkhorn();
  Sinkhorn(Sinkhorn&&) noexcept;
  Sinkhorn& operator=(Sinkhorn&&) noexcept;

  /// Sets the weights of one problem, [rows] and [cols]: finite, >= 0, not all zero; they are scaled to sum
  /// to 1. An empty vector means uniform weights, the default. A row or column of weight 0 gets zeros in the
  /// plan and potential -inf. Keeps the start except in columns whose weight becomes zero or nonzero. Throws
  /// InvalidArgument for other weights.
  void set_weights(int64_t problem, const std::vector<double>& a, const std::vector<double>& b);

  /// Sets the column potentials [cols], finite or -inf, from which the following solves start. The row update
  /// comes first, so u follows from v. Any start is safe. Entries of columns of weight 0 are ignored: no
  /// start gives them mass. Throws InvalidArgument for other values, and unless a column of positive weight
  /// has a finite one.
  void set_start(int64_t problem, const std::vector<double>& v);

  /// Solves all problems. `affinity` is [batch * rows, cols], finite, with any stride. Queues its work and
  /// returns; with a tolerance, the host stays within a few iterations of the device, so that next to nothing
  /// is queued after convergence. Throws InvalidArgument if the shape does not match.
  void solve(ConstMatrixF affinity);

  /// The same for a ragged batch: affinities[b] is [rows_b, cols_b], at any address and with any stride.
  /// Uploads the pointer table, and synchronizes, only when it changed.
  void solve(const std::vector<ConstMatrixF>& affinities);

  /// The same for K = x y', with only one strip of rows in memory at a time: each iteration computes the
  /// product once. Synchronizes in every iteration, so that no strip is computed after convergence.
  /// strip_rows: rows per strip; 0 picks a height that suits the device. Throws InvalidArgument unless the
  /// solver has one problem and uses neither the scaling form nor a ladder.
  void solve(const Embeddings& embeddings, int64_t strip_rows = 0);

  /// Wait for the last solve and return its results or potentials. results() throws NumericalError if, in a
  /// whole row or column of positive weight, |K| / epsilon is not finite or exceeds 2^24, the limit of what
  /// single precision resolves.
  std::vector<SinkhornResult> results() const;
  std::vector<double> row_potentials(int64_t problem) const;
  std::vector<double> column_potentials(int64_t problem) const;

  /// Writes the plans of the last solve, [batch * rows, cols]. `plan` may overwrite `affinity` and must have
  /// its stride.
  void plan(ConstMatrixF affinity, MatrixF plan);
  /// The same for a ragged batch. Each plan may overwrite its affinity; their strides may differ. Uploads the
  /// pointer tables, and synchronizes, only when they changed.
  void plan(const std::vector<ConstMatrixF>& affinities, const std::vector<MatrixF>& plans);
  /// Writes the plan of one problem, [rows, cols], with the stride of its affinity.
  void plan(int64_t problem, ConstMatrixF affinity, MatrixF plan);
  /// Writes rows [first_row, first_row + plan.rows) of the plan.
  void plan(const Embeddings& embeddings, int64_t first_row, MatrixF plan);
  /// Writes rows [first_row, first_row + strip.rows) of the plan, for a solver with one problem. `strip`
  /// holds these rows of the affinity; `plan` may overwrite it and must have its shape and stride. So a
  /// product with the plan needs memory for a few rows of it.
  void plan_rows(ConstMatrixF strip, int64_t first_row, MatrixF plan);

  /// Bytes that a solver and solve(embeddings) allocate from the context, not counting the embeddings.
  static int64_t memory_bytes(const Context& context, int64_t rows, int64_t cols, int64_t strip_rows = 0);

  /// One line: the form that the next solve of stored affinities takes and why, its memory, and how an
  /// iteration maps to the machine.
  std::string describe() const;

  int64_t batch() const;
  int64_t rows() const;  ///< of each problem; in a ragged batch, the most of any
  int64_t cols() const;
  SinkhornShape shape(int64_t problem) const;

  /// For the library itself, which keeps a pointer to the solver that it passes.
  explicit Sinkhorn(std::unique_ptr<detail::SinkhornSolver> solver);

 private:
  std::unique_ptr<detail::SinkhornSolver> solver_;
};

}  // namespace sotalign
