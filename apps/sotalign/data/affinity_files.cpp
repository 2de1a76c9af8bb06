#include "data/affinity_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/inputs.h"

namespace sotalign::app {

AffinityPair read_affinity_pair(const std::string& student_path, const std::string& teacher_path) {
  AffinityPair sides{.student_name = input_name(student_path),
                     .teacher_name = input_name(teacher_path),
                     .student = read_input(student_path),
                     .teacher = read_input(teacher_path)};
  const HostMatrix &student = sides.student, &teacher = sides.teacher;
  if (teacher.rows() != student.rows() || teacher.cols() != student.cols())
    throw InvalidArgument(fmt::format("{}: expected shape [{}, {}] as in {}, found [{}, {}]",
                                      sides.teacher_name, student.rows(), student.cols(), sides.student_name,
                                      teacher.rows(), teacher.cols()));
  return sides;
}

void check_affinity(const std::string& path, const HostMatrix& affinity, double epsilon,
                    const std::vector<double>& a, const std::vector<double>& b) {
  constexpr double kLargest = 0x1p24;
  const auto counts = [](const std::vector<double>& weights, int64_t i) {
    return weights.empty() || weights[static_cast<size_t>(i)] > 0;
  };
  const auto check = [&](const char* of, int64_t index, float top) {
    const double size = std::abs(static_cast<double>(top)) / epsilon;
    if (size > kLargest && std::isfinite(top))
      throw InvalidArgument(
          fmt::format("{}: expected |K| / epsilon up to {:.2g}, as single precision cannot resolve larger "
                      "ones, found {:.2g} (K {:.2g}, epsilon {}) in {} {}",
                      path, kLargest, size, top, epsilon, of, index));
  };
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  std::vector<float> columns(static_cast<size_t>(affinity.cols()), kNone);
  for (int64_t i = 0; i < affinity.rows(); ++i) {
    if (!counts(a, i)) continue;
    float top = kNone;
    const float* row = affinity.view().row(i);
    for (int64_t j = 0; j < affinity.cols(); ++j) {
      columns[static_cast<size_t>(j)] = std::max(columns[static_cast<size_t>(j)], row[j]);
      if (counts(b, j)) top = std::max(top, row[j]);
    }
    check("row", i, top);
  }
  for (int64_t j = 0; j < affinity.cols(); ++j)
    if (counts(b, j)) check("column", j, columns[static_cast<size_t>(j)]);
}

}  // namespace sotalign::app
