#include "sotalign/ot/klot.h"

#include "ot/klot_solver.h"

namespace sotalign {

Klot::Klot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options)
    : solver_(std::make_unique<detail::KlotSolver>(context, rows, cols, options)) {}
Klot::~Klot() = default;
Klot::Klot(Klot&&) noexcept = default;
Klot& Klot::operator=(Klot&&) noexcept = default;

void Klot::set_weights(const std::vector<double>& a, const std::vector<double>& b) {
  solver_->set_weights(a, b);
}

void Klot::run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale) {
  solver_->run(student, teacher, gradient, gradient_scale);
}

void Klot::run(const FixedPointMatrix& student, const FixedPointMatrix& teacher, MatrixF gradient,
               double gradient_scale) {
  solver_->run(student, teacher, gradient, gradient_scale);
}

KlotResult Klot::result() const { return solver_->result(); }
Sinkhorn& Klot::solver() { return solver_->solver(); }

}  // namespace sotalign
