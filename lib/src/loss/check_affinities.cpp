#include "loss/check_affinities.h"

#include <fmt/format.h>

#include <cmath>

#include "sotalign/core/error.h"

namespace sotalign::detail {

void check_affinity_shape(const char* name, int64_t rows, int64_t cols) {
  if (rows < 1 || cols < 1)
    throw InvalidArgument(
        fmt::format("{}: expected at least one row and column, found [{}, {}]", name, rows, cols));
}

void check_affinities(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, int64_t rows,
                      int64_t cols) {
  const auto check = [&](const char* name, ConstMatrixF matrix) {
    if (matrix.rows != rows || matrix.cols != cols)
      throw InvalidArgument(
          fmt::format("{}: expected [{}, {}], found [{}, {}]", name, rows, cols, matrix.rows, matrix.cols));
  };
  check("student affinity", student);
  check("teacher affinity", teacher);
  if (gradient.data != nullptr) check("gradient", gradient);
}

float inverse(const char* name, double epsilon) {
  const float c = static_cast<float>(1.0 / epsilon);
  if (!(epsilon > 0) || !std::isnormal(c))
    throw InvalidArgument(fmt::format("{}: expected a number > 0, found {}", name, epsilon));
  return c;
}

}  // namespace sotalign::detail
