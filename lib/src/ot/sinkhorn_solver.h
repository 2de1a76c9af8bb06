// The internals of Sinkhorn, shared with KLOT and pseudo-labels: the buffers of a batch of problems, and the
// solve of a group of them from strips of rows.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/entropic_batch.h"
#include "ot/convergence_watch.h"
#include "ot/sinkhorn_ragged.h"
#include "ot/strips.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign::detail {

class SinkhornSolver {
 public:
  /// Where iterations of the scaling form run, where there is a choice. The results are the same to the bit.
  enum class Placement { kChoose, kLaunches, kOnChip };

  /// Consecutive problems of the batch, solved together.
  struct Group {
    int64_t first, count;
  };

  SinkhornSolver(Context& context, int64_t rows, int64_t cols, const std::vector<SinkhornOptions>& options);
  SinkhornSolver(Context& context, const std::vector<SinkhornShape>& shapes,
                 const std::vector<SinkhornOptions>& options);

  // Implement the functions of Sinkhorn of the same names.
  void set_weights(int64_t problem, const std::vector<double>& a, const std::vector<double>& b);
  void set_start(int64_t problem, const std::vector<double>& v);
  void solve(ConstMatrixF affinity);
  void solve(const std::vector<ConstMatrixF>& affinities);
  void solve(const Embeddings& embeddings, int64_t strip_rows);
  std::vector<SinkhornResult> results() const;
  std::vector<double> row_potentials(int64_t problem) const;
  std::vector<double> column_potentials(int64_t problem) const;
  void plan(ConstMatrixF affinity, MatrixF plan);
  void plan(const std::vector<ConstMatrixF>& affinities, const std::vector<MatrixF>& plans);
  void plan(int64_t problem, ConstMatrixF affinity, MatrixF plan);
  void plan(const Embeddings& embeddings, int64_t first_row, MatrixF plan);
  void plan_rows(ConstMatrixF strip, int64_t first_row, MatrixF plan);
  std::string describe() const;
  int64_t batch() const { return static_cast<int64_t>(options_.size()); }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  SinkhornShape shape(int64_t problem) const;

  /// For tests and checks.
  void place(Placement placement) { placement_ = placement; }
  /// Solves a group whose options differ at most in epsilon.
  void solve(const Strips& strips, Group group);
  /// The longest group that begins with problem `first` and whose options differ at most in epsilon.
  Group group_from(int64_t first) const;
  /// `names` are the names of the affinities in error messages.
  std::vector<SinkhornResult> results(const std::vector<std::string>& names) const;

  /// The group as an argument of kernels. `strip` is the strip of its first problem's affinity that begins at
  /// row `strip_begin`; strip_height 0: all rows. The caller sets the place of further affinities:
  /// problem_stride or second_affinity.
  kernels::EntropicBatch problems(Group group, ConstMatrixF strip = {}, int64_t strip_begin = 0,
                                  int64_t strip_height = 0) const;
  /// Device pointers to the potentials of a problem, [rows] and [cols]; those of later problems follow.
  double* u(int64_t problem) { return u_.data() + problem * rows_; }
  double* v(int64_t problem) { return v_.data() + problem * cols_; }

  /// Bytes of the vectors of one problem.
  static int64_t vector_bytes(int64_t rows, int64_t cols);
  /// Workspace bytes of a solve in the log domain.
  static int64_t scratch_bytes(const Context& context, int64_t rows, int64_t cols, int64_t strip_rows);
  /// Workspace bytes of a solve of `count` problems in the scaling form.
  static int64_t scaling_bytes(const Context& context, int64_t rows, int64_t cols, int64_t count);
  static int64_t density_bytes(int64_t rows, int64_t cols);

 private:
  class Solve;  // in sinkhorn_solve.cpp

  SinkhornSolver(Context& context, SinkhornShape largest, const std::vector<SinkhornShape>& shapes,
                 const std::vector<SinkhornOptions>& options);
  const SinkhornOptions& options(int64_t problem) const { return options_[static_cast<size_t>(problem)]; }
  bool ragged() const { return ragged_ != nullptr; }
  Group all() const { return {0, batch()}; }

  void check_problem(int64_t problem) const;
  void check(const char* name, const std::vector<ConstMatrixF>& matrices) const;
  void check_uniform() const;
  void check(ConstMatrixF affinity) const;
  void check(const Embeddings& embeddings) const;
  void check_plan_rows(int64_t first_row, MatrixF plan) const;
  void write_plan_rows(ConstMatrixF strip, int64_t first_row, MatrixF plan);

  std::vector<double> download(const Buffer<double>& values, int64_t first, int64_t count) const;
  kernels::SinkhornState* states(int64_t problem = 0) const;
  kernels::EntropicBatch one_problem(int64_t problem, ConstMatrixF affinity) const;
  /// Bytes of the densities of a group.
  int64_t density_bytes(Group group) const;
  bool scaling_form(int64_t problem) const;
  /// Whether the group's iterations in the scaling form run in one launch.
  bool on_chip(Group group) const;
  /// The iterations after epsilon scaling.
  int64_t iterations(int64_t problem) const;
  std::string describe(Group group) const;
  void plan(int64_t first, const kernels::EntropicBatch& problems, ConstMatrixF affinity, MatrixF plan);

  Context* context_;
  int64_t rows_, cols_;
  std::vector<SinkhornOptions> options_;
  Buffer<float> inverse_epsilon_;  // [batch]
  Buffer<float> stages_;           // [most stages, batch], 1 / epsilon of the stages of epsilon scaling
  Buffer<double> log_a_, log_b_;   // [batch, rows], [batch, cols]
  Buffer<double> u_, v_;           // [batch, rows], [batch, cols]
  Buffer<double> start_;           // [batch, cols], v at the start of the next solve
  // kernels::SinkhornState [batch]: the current ones, and those at the start of a solve.
  Buffer<unsigned char> states_, fresh_states_;
  std::unique_ptr<Ragged> ragged_;  // null: all problems are [rows, cols]
  ConvergenceWatch watch_;
  Placement placement_ = Placement::kChoose;
};

}  // namespace sotalign::detail
