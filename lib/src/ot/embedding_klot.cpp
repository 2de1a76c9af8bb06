#include "sotalign/ot/embedding_klot.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/klot_gradient.h"
#include "ot/klot_solver.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign {

using detail::FixedPointStrips;
using detail::KlotSolver;
using detail::ProductStrips;
using detail::SinkhornSolver;
using detail::Strips;

namespace {

void check_gradient(const char* name, MatrixF gradient, ConstMatrixF x) {
  if (gradient.rows != x.rows || gradient.cols != x.cols)
    throw InvalidArgument(fmt::format("{}: expected [{}, {}], found [{}, {}]", name, x.rows, x.cols,
                                      gradient.rows, gradient.cols));
}

int64_t height_of(const Context& context, int64_t rows, int64_t cols, KlotMemory memory, int64_t strip_rows) {
  if (memory == KlotMemory::kStored) return rows;
  return detail::strip_height(
      context, rows, cols,
      memory == KlotMemory::kStreamed ? detail::StripOrigin::kProduct : detail::StripOrigin::kFixedPoint,
      strip_rows);
}

}  // namespace

class EmbeddingKlot::Implementation {
 public:
  Implementation(Context& context, int64_t rows, int64_t cols, const KlotOptions& options, KlotMemory memory,
                 int64_t strip_rows)
      : context_(&context),
        memory_(memory),
        height_(height_of(context, rows, cols, memory, strip_rows)),
        klot_(context, rows, cols, options) {
    if (memory != KlotMemory::kStored)
      for (const SolveOptions& side : {options.student, options.teacher}) detail::check_form(side);
    if (memory == KlotMemory::kStored) {
      student_ = Matrix<float>(context, rows, cols, "student affinity");
      teacher_ = Matrix<float>(context, rows, cols, "teacher affinity");
    } else if (memory == KlotMemory::kFixed16) {
      fixed_student_ = FixedPointMatrix(context, rows, cols, "student affinity in 16 bits");
      fixed_teacher_ = FixedPointMatrix(context, rows, cols, "teacher affinity in 16 bits");
    }
  }

  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double gradient_scale);

  KlotSolver& klot() { return klot_; }
  KlotMemory memory() const { return memory_; }

 private:
  Context* context_;
  KlotMemory memory_;
  int64_t height_;  // rows per strip
  KlotSolver klot_;
  Matrix<float> student_, teacher_;                 // kStored
  FixedPointMatrix fixed_student_, fixed_teacher_;  // kFixed16
};

EmbeddingKlot::EmbeddingKlot(Context& context, int64_t rows, int64_t cols, const KlotOptions& options,
                             KlotMemory memory, int64_t strip_rows)
    : implementation_(std::make_unique<Implementation>(context, rows, cols, options, memory, strip_rows)) {}
EmbeddingKlot::~EmbeddingKlot() = default;
EmbeddingKlot::EmbeddingKlot(EmbeddingKlot&&) noexcept = default;
EmbeddingKlot& EmbeddingKlot::operator=(EmbeddingKlot&&) noexcept = default;

void EmbeddingKlot::set_weights(const std::vector<double>& a, const std::vector<double>& b) {
  implementation_->klot().set_weights(a, b);
}
void EmbeddingKlot::run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
                        double gradient_scale) {
  implementation_->run(student, teacher, dx, dy, gradient_scale);
}
void EmbeddingKlot::keep_teacher() { implementation_->klot().keep_teacher(); }
KlotResult EmbeddingKlot::result() const { return implementation_->klot().result(); }
KlotMemory EmbeddingKlot::memory() const { return implementation_->memory(); }

void EmbeddingKlot::Implementation::run(const Embeddings& student, const Embeddings& teacher, MatrixF dx,
                                        MatrixF dy, double gradient_scale) {
  detail::check_embeddings("student", student, klot_.rows(), klot_.cols());
  detail::check_embeddings("teacher", teacher, klot_.rows(), klot_.cols());
  check_gradient("dx", dx, student.x);
  check_gradient("dy", dy, student.y);
  Context& context = *context_;
  const int64_t rows = klot_.rows(), cols = klot_.cols();
  Workspace workspace(context);
  const bool stored = memory_ == KlotMemory::kStored;
  float* student_strip = stored ? student_.data() : workspace.take<float>(height_ * cols);
  float* teacher_strip = stored ? teacher_.data() : workspace.take<float>(height_ * cols);
  const ProductStrips student_product(context, student, height_, student_strip),
      teacher_product(context, teacher, height_, teacher_strip);
  // The gradient overwrites the student's strip.
  const auto gradient_strip = [&](int64_t begin) {
    return MatrixF(student_strip, std::min(height_, rows - begin), cols);
  };
  const auto add_gradients = [&](MatrixF g, int64_t begin) {
    gemm(context, Op::kNone, Op::kNone, 1.0f, g, student.y, 0.0f, dx.row_range(begin, g.rows));
    gemm(context, Op::kTranspose, Op::kNone, 1.0f, g, student.x.row_range(begin, g.rows),
         begin == 0 ? 0.0f : 1.0f, dy);
  };
  const auto run_strips = [&](const Strips& k, const Strips& k_teacher) {
    klot_.run_strips(k, k_teacher, gradient_scale, gradient_strip, add_gradients);
  };
  switch (memory_) {
    case KlotMemory::kStored:
      student_product.strip(0);
      if (!klot_.has_teacher()) teacher_product.strip(0);
      klot_.run(student_, teacher_, student_, gradient_scale);
      add_gradients(student_, 0);
      break;
    case KlotMemory::kFixed16:
      student_product.for_each(
          [&](ConstMatrixF strip, int64_t begin) { fixed_student_.encode(context, strip, begin); });
      if (!klot_.has_teacher())
        teacher_product.for_each(
            [&](ConstMatrixF strip, int64_t begin) { fixed_teacher_.encode(context, strip, begin); });
      run_strips(FixedPointStrips(context, fixed_student_, height_, student_strip),
                 FixedPointStrips(context, fixed_teacher_, height_, teacher_strip));
      break;
    case KlotMemory::kStreamed:
      run_strips(student_product, teacher_product);
      break;
  }
}

int64_t EmbeddingKlot::kept_bytes(int64_t rows, int64_t cols, KlotMemory memory) {
  const int64_t vectors = 2 * SinkhornSolver::vector_bytes(rows, cols);
  switch (memory) {
    case KlotMemory::kStored:
      return vectors + 2 * rows * cols * static_cast<int64_t>(sizeof(float));
    case KlotMemory::kFixed16:
      return vectors +
             2 * rows *
                 (cols * static_cast<int64_t>(sizeof(int16_t)) + 2 * static_cast<int64_t>(sizeof(float)));
    case KlotMemory::kStreamed:
      break;
  }
  return vectors;
}

int64_t EmbeddingKlot::memory_bytes(const Context& context, int64_t rows, int64_t cols, KlotMemory memory,
                                    int64_t strip_rows) {
  const bool stored = memory == KlotMemory::kStored;
  const int64_t height = height_of(context, rows, cols, memory, strip_rows);
  const kernels::EntropicBatch p{.rows = rows, .cols = cols, .strip_height = height};
  const int64_t gradient_scratch =
      static_cast<int64_t>(klot_gradient_scratch(context.queue(), {.student = p, .teacher = p}));
  int64_t scratch = std::max(SinkhornSolver::scratch_bytes(context, rows, cols, height), gradient_scratch);
  if (stored)
    scratch = std::max(scratch, SinkhornSolver::scaling_bytes(
                                    context, rows, cols, KlotSolver::solved_at_once(context, rows, cols)));
  const int64_t strips = stored ? 0 : 2 * height * cols * static_cast<int64_t>(sizeof(float));
  return kept_bytes(rows, cols, memory) + strips + scratch;
}

}  // namespace sotalign
