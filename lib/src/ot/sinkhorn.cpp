#include "sotalign/ot/sinkhorn.h"

#include "ot/sinkhorn_solver.h"

namespace sotalign {

using detail::SinkhornSolver;

std::string to_string(SinkhornStatus status) {
  switch (status) {
    case SinkhornStatus::kFixed:
      return "fixed";
    case SinkhornStatus::kConverged:
      return "converged";
    case SinkhornStatus::kStalled:
      return "stalled";
    case SinkhornStatus::kIterationLimit:
      return "iteration_limit";
  }
  return "";
}

Sinkhorn::Sinkhorn(Context& context, int64_t rows, int64_t cols, const std::vector<SinkhornOptions>& options)
    : Sinkhorn(std::make_unique<SinkhornSolver>(context, rows, cols, options)) {}
Sinkhorn::Sinkhorn(Context& context, const std::vector<SinkhornShape>& shapes,
                   const std::vector<SinkhornOptions>& options)
    : Sinkhorn(std::make_unique<SinkhornSolver>(context, shapes, options)) {}
Sinkhorn::Sinkhorn(std::unique_ptr<SinkhornSolver> solver) : solver_(std::move(solver)) {}
Sinkhorn::~Sinkhorn() = default;
Sinkhorn::Sinkhorn(Sinkhorn&&) noexcept = default;
Sinkhorn& Sinkhorn::operator=(Sinkhorn&&) noexcept = default;

void Sinkhorn::set_weights(int64_t problem, const std::vector<double>& a, const std::vector<double>& b) {
  solver_->set_weights(problem, a, b);
}
void Sinkhorn::set_start(int64_t problem, const std::vector<double>& v) { solver_->set_start(problem, v); }

void Sinkhorn::solve(ConstMatrixF affinity) { solver_->solve(affinity); }
void Sinkhorn::solve(const std::vector<ConstMatrixF>& affinities) { solver_->solve(affinities); }
void Sinkhorn::solve(const Embeddings& embeddings, int64_t strip_rows) {
  solver_->solve(embeddings, strip_rows);
}

std::vector<SinkhornResult> Sinkhorn::results() const { return solver_->results(); }
std::vector<double> Sinkhorn::row_potentials(int64_t problem) const {
  return solver_->row_potentials(problem);
}
std::vector<double> Sinkhorn::column_potentials(int64_t problem) const {
  return solver_->column_potentials(problem);
}

void Sinkhorn::plan(ConstMatrixF affinity, MatrixF plan) { solver_->plan(affinity, plan); }
void Sinkhorn::plan(const std::vector<ConstMatrixF>& affinities, const std::vector<MatrixF>& plans) {
  solver_->plan(affinities, plans);
}
void Sinkhorn::plan(int64_t problem, ConstMatrixF affinity, MatrixF plan) {
  solver_->plan(problem, affinity, plan);
}
void Sinkhorn::plan(const Embeddings& embeddings, int64_t first_row, MatrixF plan) {
  solver_->plan(embeddings, first_row, plan);
}
void Sinkhorn::plan_rows(ConstMatrixF strip, int64_t first_row, MatrixF plan) {
  solver_->plan_rows(strip, first_row, plan);
}

int64_t Sinkhorn::memory_bytes(const Context& context, int64_t rows, int64_t cols, int64_t strip_rows) {
  const int64_t height = detail::strip_height(context, rows, cols, detail::StripOrigin::kProduct, strip_rows);
  return SinkhornSolver::scratch_bytes(context, rows, cols, height) +
         SinkhornSolver::vector_bytes(rows, cols) + height * cols * static_cast<int64_t>(sizeof(float));
}

std::string Sinkhorn::describe() const { return solver_->describe(); }
int64_t Sinkhorn::batch() const { return solver_->batch(); }
int64_t Sinkhorn::rows() const { return solver_->rows(); }
int64_t Sinkhorn::cols() const { return solver_->cols(); }
SinkhornShape Sinkhorn::shape(int64_t problem) const { return solver_->shape(problem); }

}  // namespace sotalign
