// InfoNCE divergence in one pass; each thread owns whole rows of both affinities. The loop computes a softmax
// entry as weight exp(c k - offset). `offset` is the log-sum-exp L of the row or column, rounded to float;
// `weight` is exp(offset - L) / (2 rows) or exp(offset - L) / (2 cols), which includes the mean over rows or
// columns. The value is summed row by row in double.
#include "kernels/infonce.h"

#include <algorithm>
#include <cmath>

#include "kernels/cpu/rounded.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/infonce.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#include "kernels/cpu/exp_inl.h"

#ifndef SOTALIGN_KERNELS_CPU_INFONCE_TYPES_
#define SOTALIGN_KERNELS_CPU_INFONCE_TYPES_
namespace sotalign::kernels::cpu {

/// A log-sum-exp as the row loop uses it (see above).
struct Normaliser {
  float offset = 0, weight = 0;
};
/// One affinity: its current row, and the normalisers of the columns.
struct InfoNceSide {
  const float* k = nullptr;
  float c = 0;
  Normaliser row;
  const float *offsets = nullptr, *weights = nullptr;
};
struct InfoNceRow {
  InfoNceSide student, teacher;
  double row_difference = 0;  ///< log-sum-exp of the student minus that of the teacher
  const double* column_differences = nullptr;
  float* gradient = nullptr;  ///< or null
  float gradient_scale = 0;
};

}  // namespace sotalign::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {

/// Weighted softmax entries along the row and along the columns.
struct Softmaxes {
  V row, column;
};
HWY_INLINE Softmaxes SoftmaxEntries(D d, const InfoNceSide& side, const float* k, const float* offsets,
                                    const float* weights) {
  const V c = hn::Set(d, side.c), entries = hn::LoadU(d, k);
  return {PlanEntry(d, hn::MulSub(c, entries, hn::Set(d, side.row.offset)), hn::Set(d, side.row.weight)),
          PlanEntry(d, hn::MulSub(c, entries, hn::LoadU(d, offsets)), hn::LoadU(d, weights))};
}

double InfoNceRowSum(const InfoNceRow& row, int64_t count) {
  const D d;
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, decltype(wide)> narrow;  // as many floats as doubles fit into a vector
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d)),
                wide_lanes = static_cast<int64_t>(hn::Lanes(wide));
  const InfoNceSide &student = row.student, &teacher = row.teacher;
  const V gradient_scale = hn::Set(d, row.gradient_scale);
  const auto c = hn::Set(wide, static_cast<double>(student.c)),
             teacher_c = hn::Set(wide, static_cast<double>(teacher.c)),
             row_difference = hn::Set(wide, row.row_difference);
  constexpr size_t kMaxLanes = hn::MaxLanes(D());
  auto sum = hn::Zero(wide);

  const auto entries = [&](const float* k, const float* offsets, const float* weights, const float* teacher_k,
                           const float* teacher_offsets, const float* teacher_weights,
                           const double* differences, const auto& keep) {
    const Softmaxes p = SoftmaxEntries(d, student, k, offsets, weights);
    const Softmaxes q = SoftmaxEntries(d, teacher, teacher_k, teacher_offsets, teacher_weights);
    float along_row[kMaxLanes], along_column[kMaxLanes];
    hn::StoreU(keep(q.row), d, along_row);
    hn::StoreU(keep(q.column), d, along_column);
    // The logarithms reach hundreds and nearly cancel, so their difference is computed in double.
    for (int64_t i = 0; i < lanes; i += wide_lanes) {
      const auto log_ratio =
          hn::NegMulAdd(c, hn::PromoteTo(wide, hn::LoadU(narrow, k + i)),
                        hn::Mul(teacher_c, hn::PromoteTo(wide, hn::LoadU(narrow, teacher_k + i))));
      sum = hn::MulAdd(hn::PromoteTo(wide, hn::LoadU(narrow, along_row + i)),
                       hn::Add(log_ratio, row_difference), sum);
      sum = hn::MulAdd(hn::PromoteTo(wide, hn::LoadU(narrow, along_column + i)),
                       hn::Add(log_ratio, hn::LoadU(wide, differences + i)), sum);
    }
    return hn::Mul(gradient_scale, hn::Add(hn::Sub(p.row, q.row), hn::Sub(p.column, q.column)));
  };
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const V g =
        entries(student.k + j, student.offsets + j, student.weights + j, teacher.k + j, teacher.offsets + j,
                teacher.weights + j, row.column_differences + j, [](V q) { return q; });
    if (row.gradient != nullptr) hn::StoreU(g, d, row.gradient + j);
  }
  if (j < count) {
    // The remainder, padded to a whole vector with entries that contribute nothing.
    const int64_t left = count - j;
    const auto mask = hn::FirstN(d, static_cast<size_t>(left));
    float k[kMaxLanes] = {}, offsets[kMaxLanes] = {}, weights[kMaxLanes] = {}, g[kMaxLanes];
    float teacher_k[kMaxLanes] = {}, teacher_offsets[kMaxLanes] = {}, teacher_weights[kMaxLanes] = {};
    double differences[kMaxLanes] = {};
    std::copy_n(student.k + j, left, k);
    std::copy_n(teacher.k + j, left, teacher_k);
    std::copy_n(student.offsets + j, left, offsets);
    std::copy_n(student.weights + j, left, weights);
    std::copy_n(teacher.offsets + j, left, teacher_offsets);
    std::copy_n(teacher.weights + j, left, teacher_weights);
    std::copy_n(row.column_differences + j, left, differences);
    const V last = entries(k, offsets, weights, teacher_k, teacher_offsets, teacher_weights, differences,
                           [&](V q) { return hn::IfThenElseZero(mask, q); });
    hn::StoreU(last, d, g);
    if (row.gradient != nullptr) std::copy_n(g, left, row.gradient + j);
  }
  return hn::GetLane(hn::SumOfLanes(wide, sum));
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(InfoNceRowSum);

namespace {

struct Scratch {
  float *offsets, *weights, *teacher_offsets, *teacher_weights;  // [cols]
  double* differences;                                           // [cols]
  double* row_values;                                            // [rows]
};
Scratch carve(Carver& carver, const InfoNce& args) {
  Scratch s{};
  for (float** column : {&s.offsets, &s.weights, &s.teacher_offsets, &s.teacher_weights})
    *column = carver.take<float>(args.cols);
  s.differences = carver.take<double>(args.cols);
  s.row_values = carver.take<double>(args.rows);
  return s;
}

Normaliser normaliser(double log_sum, int64_t count) {
  const Rounded offset = rounded(log_sum);
  return {offset.value, static_cast<float>(std::exp(-offset.rest) / (2.0 * static_cast<double>(count)))};
}

}  // namespace

size_t infonce_scratch(const Queue&, const InfoNce& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void infonce(const Queue& queue, const InfoNce& args) {
  const SoftmaxOperand &student = args.student, &teacher = args.teacher;
  const int64_t rows = args.rows, cols = args.cols;
  const auto row_sum = HWY_DYNAMIC_DISPATCH(InfoNceRowSum);
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args);
  for (int64_t j = 0; j < cols; ++j) {
    const Normaliser p = normaliser(student.column[j], cols), q = normaliser(teacher.column[j], cols);
    s.offsets[j] = p.offset, s.weights[j] = p.weight;
    s.teacher_offsets[j] = q.offset, s.teacher_weights[j] = q.weight;
    s.differences[j] = student.column[j] - teacher.column[j];
  }
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < rows; ++i)
    s.row_values[i] =
        row_sum({.student = {.k = student.k + i * student.stride,
                             .c = student.c,
                             .row = normaliser(student.row[i], rows),
                             .offsets = s.offsets,
                             .weights = s.weights},
                 .teacher = {.k = teacher.k + i * teacher.stride,
                             .c = teacher.c,
                             .row = normaliser(teacher.row[i], rows),
                             .offsets = s.teacher_offsets,
                             .weights = s.teacher_weights},
                 .row_difference = student.row[i] - teacher.row[i],
                 .column_differences = s.differences,
                 .gradient = args.gradient == nullptr ? nullptr : args.gradient + i * args.gradient_stride,
                 .gradient_scale = args.gradient_scale * student.c},
                cols);
  double value = 0;
  for (int64_t i = 0; i < rows; ++i) value += s.row_values[i];
  *args.value = value;
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
