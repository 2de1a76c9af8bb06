// What products with rounded factors cost in precision: the plan, KLOT and its gradient from affinities whose
// products round like a GPU's, against float32. Emulated on the CPU, which rounds only if told to:
//
//   SOTALIGN_ROUND_PRODUCTS=1 build/release/bench/product_math IMAGES.npy TEXTS.npy [PAIRS 500] [ROWS 1000]
//
// Row i of both files is a true pair. The teacher is CCA of the first PAIRS rows with ridge 0.01; the student
// is CCA with ridge 0.1. Both project the ROWS rows after them. Every plan is solved to an error of 1e-6.
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/nn/preprocess.h"
#include "sotalign/ot/embedding_klot.h"
#include "sotalign/teacher/teacher.h"

namespace {

using namespace sotalign;

constexpr double kEpsilons[] = {0.1, 0.05, 0.02, 0.01};

Matrix<float> rows(Context& context, const HostMatrix& from, int64_t first, int64_t count) {
  const ConstMatrixF part = from.view().row_range(first, count);
  return Matrix<float>(context, part.data, count, part.cols);
}

struct Prepared {
  Matrix<float> pairs, rows;
};
Prepared prepare(Context& context, const HostMatrix& from, int64_t pairs, int64_t count) {
  Prepared side{rows(context, from, 0, pairs), rows(context, from, pairs, count)};
  const Preprocessing mean = fit_preprocessing(context, {side.pairs, side.rows});
  for (Matrix<float>* m : {&side.pairs, &side.rows}) preprocess(context, mean, *m, *m);
  return side;
}

struct Projected {
  Matrix<float> x, y;
};
Projected project(Context& context, const Prepared& x, const Prepared& y, double ridge) {
  TeacherOptions options{.kind = TeacherKind::kCca, .ridge = ridge, .correlation_power = 0.5};
  const Teacher teacher = fit_teacher(context, x.pairs, y.pairs, options);
  Projected p{Matrix<float>(context, x.rows.rows(), teacher.dim()),
              Matrix<float>(context, y.rows.rows(), teacher.dim())};
  teacher.project(context, Side::kX, x.rows, p.x);
  teacher.project(context, Side::kY, y.rows, p.y);
  return p;
}

/// sum |a - b| / sum |b|
double relative(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    size += std::abs(static_cast<double>(b[i]));
  }
  return difference / size;
}

struct Measured {
  std::vector<float> plan, dx;
  double value = 0;
};

Measured measure(Context& context, const Projected& student, const Projected& teacher, double epsilon,
                 ProductMath math) {
  const ProductMathScope scope(context, math);
  const int64_t n = student.x.rows(), m = student.y.rows();
  const SolveOptions solve{.iterations = 20000, .tolerance = 1e-6, .relaxation = 1.5};
  Matrix<float> k(context, n, m);
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, student.x, student.y, 0.0f, k);
  Sinkhorn solver(context, n, m, {.epsilon = epsilon, .solve = solve});
  solver.solve(k);
  solver.results();  // throws if it failed
  solver.plan(k, k);
  const KlotOptions options{
      .epsilon_student = epsilon, .epsilon_teacher = epsilon, .student = solve, .teacher = solve};
  EmbeddingKlot klot(context, n, m, options, KlotMemory::kStored);
  Matrix<float> dx(context, n, student.x.cols()), dy(context, m, student.y.cols());
  klot.run({student.x, student.y}, {teacher.x, teacher.y}, dx, dy);
  return {.plan = k.download(), .dx = dx.download(), .value = klot.result().value};
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) throw InvalidArgument("expected IMAGES.npy TEXTS.npy [PAIRS] [ROWS]");
  const char* rounds = std::getenv("SOTALIGN_ROUND_PRODUCTS");
  if (rounds == nullptr || std::string_view(rounds) != "1")
    throw InvalidArgument("SOTALIGN_ROUND_PRODUCTS: expected 1; otherwise the CPU does not round");
  const auto number = [&](size_t i, int64_t otherwise) {
    return arguments.size() > i ? std::stoll(arguments[i]) : otherwise;
  };
  const int64_t pairs = number(2, 500), count = number(3, 1000);
  Context context;
  const Prepared x = prepare(context, read_matrix(arguments[0]), pairs, count),
                 y = prepare(context, read_matrix(arguments[1]), pairs, count);
  const Projected teacher = project(context, x, y, 0.01), student = project(context, x, y, 0.1);
  fmt::print("{} x {} affinities of {} dimensions; errors relative to fp32\n\n", count, count,
             student.x.cols());
  fmt::print("| epsilon | math | plan, L1 | KLOT | gradient, L1 |\n|---|---|---|---|---|\n");
  for (const double epsilon : kEpsilons) {
    const Measured exact = measure(context, student, teacher, epsilon, ProductMath::kFp32);
    for (const ProductMath math : {ProductMath::kTf32, ProductMath::kBf16}) {
      const Measured rounded = measure(context, student, teacher, epsilon, math);
      fmt::print("| {} | {} | {:.1e} | {:.1e} | {:.1e} |\n", epsilon, to_string(math),
                 relative(rounded.plan, exact.plan), std::abs(rounded.value - exact.value) / exact.value,
                 relative(rounded.dx, exact.dx));
    }
  }
  return 0;
}

}  // namespace

int main(int count, char** values) {
  try {
    return run({values + 1, values + count});
  } catch (const std::exception& error) {
    fmt::print(stderr, "product_math: {}\n", error.what());
    return 2;
  }
}
