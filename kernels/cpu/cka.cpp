// CKA divergence in two passes over both affinities. First pass: each task sums one chunk of rows, four rows
// at a time, into its own column sums, all in double; the chunks are then added in a fixed order. Second pass
// (gradient): each thread owns whole rows and computes in single precision, but relative to the mean of all
// entries, so a large common offset costs no digits.
#include "kernels/cka.h"

#include <algorithm>

#include "kernels/cka_statistics.h"
#include "kernels/cpu/rounded.h"
#include "kernels/entropic_common.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cka.cpp"
#include <hwy/foreach_target.h>  // must come before highway.h
#include <hwy/highway.h>

#ifndef SOTALIGN_KERNELS_CPU_CKA_TYPES_
#define SOTALIGN_KERNELS_CPU_CKA_TYPES_
namespace sotalign::kernels::cpu {

constexpr int kCkaRows = 4;

/// A group of rows of one affinity in the first pass.
struct CkaSide {
  const float* k = nullptr;
  int64_t stride = 0;
  double first = 0;           ///< subtracted from each entry
  double* columns = nullptr;  ///< column sums, accumulated
  double* rows = nullptr;     ///< row sums, overwritten
};
/// A row of one affinity in the second pass, with gradient part factor ((k_j - mean) - row - column_j).
struct CkaCentredRow {
  const float* k = nullptr;
  float mean = 0, row = 0, factor = 0;
  const float* columns = nullptr;
};

}  // namespace sotalign::kernels::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace sotalign::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <int kRows>
HWY_INLINE void AddRows(const CkaSide& student, const CkaSide& teacher, CkaProducts& products,
                        int64_t count) {
  const hn::ScalableTag<double> d;
  using V = hn::Vec<decltype(d)>;
  const hn::Rebind<float, decltype(d)> narrow;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const V first_x = hn::Set(d, student.first), first_y = hn::Set(d, teacher.first);
  V sum_x[kRows], sum_y[kRows], xx = hn::Zero(d), xy = hn::Zero(d), yy = hn::Zero(d);
  for (int r = 0; r < kRows; ++r) sum_x[r] = sum_y[r] = hn::Zero(d);
  const auto add = [&](int64_t j, const auto& load, V& column_x, V& column_y) {
    for (int r = 0; r < kRows; ++r) {
      const V x = load(student.k + r * student.stride + j, first_x),
              y = load(teacher.k + r * teacher.stride + j, first_y);
      sum_x[r] = hn::Add(sum_x[r], x), sum_y[r] = hn::Add(sum_y[r], y);
      column_x = hn::Add(column_x, x), column_y = hn::Add(column_y, y);
      xx = hn::MulAdd(x, x, xx), xy = hn::MulAdd(x, y, xy), yy = hn::MulAdd(y, y, yy);
    }
  };
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    V column_x = hn::LoadU(d, student.columns + j), column_y = hn::LoadU(d, teacher.columns + j);
    add(
        j, [&](const float* k, V first) { return hn::Sub(hn::PromoteTo(d, hn::LoadU(narrow, k)), first); },
        column_x, column_y);
    hn::StoreU(column_x, d, student.columns + j);
    hn::StoreU(column_y, d, teacher.columns + j);
  }
  if (j < count) {
    const size_t left = static_cast<size_t>(count - j);
    const auto mask = hn::FirstN(d, left);
    const auto narrow_mask = hn::FirstN(narrow, left);
    V column_x = hn::MaskedLoad(mask, d, student.columns + j),
      column_y = hn::MaskedLoad(mask, d, teacher.columns + j);
    const auto load = [&](const float* k, V first) {
      const V x = hn::PromoteTo(d, hn::MaskedLoad(narrow_mask, narrow, k));
      return hn::IfThenElseZero(mask, hn::Sub(x, first));
    };
    add(j, load, column_x, column_y);
    hn::BlendedStore(column_x, mask, d, student.columns + j);
    hn::BlendedStore(column_y, mask, d, teacher.columns + j);
  }
  for (int r = 0; r < kRows; ++r) {
    student.rows[r] = hn::GetLane(hn::SumOfLanes(d, sum_x[r]));
    teacher.rows[r] = hn::GetLane(hn::SumOfLanes(d, sum_y[r]));
  }
  products.xx += hn::GetLane(hn::SumOfLanes(d, xx));
  products.xy += hn::GetLane(hn::SumOfLanes(d, xy));
  products.yy += hn::GetLane(hn::SumOfLanes(d, yy));
}

void CkaAddRows(const CkaSide& student, const CkaSide& teacher, int64_t rows, CkaProducts& products,
                int64_t count) {
  if (rows == kCkaRows) return AddRows<kCkaRows>(student, teacher, products, count);
  CkaSide x = student, y = teacher;
  for (int64_t r = 0; r < rows; ++r) {
    AddRows<1>(x, y, products, count);
    x.k += x.stride, y.k += y.stride, ++x.rows, ++y.rows;
  }
}

// The gradient may overwrite either row, hence no HWY_RESTRICT.
void CkaGradientRow(const CkaCentredRow& student, const CkaCentredRow& teacher, float* gradient,
                    int64_t count) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto centred = [&](const CkaCentredRow& side, V k, V column) {
    return hn::Sub(hn::Sub(hn::Sub(k, hn::Set(d, side.mean)), hn::Set(d, side.row)), column);
  };
  const auto entries = [&](V k, V column, V teacher_k, V teacher_column) {
    return hn::MulAdd(hn::Set(d, student.factor), centred(student, k, column),
                      hn::Mul(hn::Set(d, teacher.factor), centred(teacher, teacher_k, teacher_column)));
  };
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes)
    hn::StoreU(entries(hn::LoadU(d, student.k + j), hn::LoadU(d, student.columns + j),
                       hn::LoadU(d, teacher.k + j), hn::LoadU(d, teacher.columns + j)),
               d, gradient + j);
  if (j < count) {
    const auto mask = hn::FirstN(d, static_cast<size_t>(count - j));
    const auto load = [&](const float* x) { return hn::MaskedLoad(mask, d, x + j); };
    hn::BlendedStore(entries(load(student.k), load(student.columns), load(teacher.k), load(teacher.columns)),
                     mask, d, gradient + j);
  }
}

}  // namespace sotalign::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sotalign::kernels::cpu {

HWY_EXPORT(CkaAddRows);
HWY_EXPORT(CkaGradientRow);

namespace {

/// Depends on the shape alone, so results do not depend on the number of threads.
int64_t chunks_of(int64_t rows) { return std::clamp<int64_t>(rows / 64, 1, 64); }

/// Sums over entries minus the first entry, later means, of one affinity.
struct Sums {
  double* rows;     // [rows]
  double* columns;  // [cols]
  double* chunks;   // [chunks, cols]
  float* centred;   // [cols], column means minus the overall mean
};
struct Scratch {
  Sums student, teacher;
  CkaProducts* products;  // [chunks]
};
Scratch carve(Carver& carver, const Cka& args) {
  const int64_t chunks = chunks_of(args.rows);
  Scratch s{};
  for (Sums* sums : {&s.student, &s.teacher}) {
    sums->rows = carver.take<double>(args.rows);
    sums->columns = carver.take<double>(args.cols);
    sums->chunks = carver.take<double>(chunks * args.cols);
    sums->centred = carver.take<float>(args.cols);
  }
  s.products = carver.take<CkaProducts>(chunks);
  return s;
}

struct Totals {
  CkaProducts products;
  double x = 0, y = 0;
};
/// Turns sums into means and adds up the products of the means.
Totals to_means(double* x, double* y, int64_t count, int64_t summed) {
  Totals totals;
  for (int64_t i = 0; i < count; ++i) {
    totals.x += x[i], totals.y += y[i];
    x[i] /= static_cast<double>(summed), y[i] /= static_cast<double>(summed);
    totals.products.xx += x[i] * x[i];
    totals.products.xy += x[i] * y[i];
    totals.products.yy += y[i] * y[i];
  }
  return totals;
}

}  // namespace

size_t cka_scratch(const Queue&, const Cka& args) {
  Carver carver;
  carve(carver, args);
  return carver.used();
}

void cka(const Queue& queue, const Cka& args) {
  const int64_t rows = args.rows, cols = args.cols, chunks = chunks_of(rows);
  const auto add_rows = HWY_DYNAMIC_DISPATCH(CkaAddRows);
  const auto gradient_row = HWY_DYNAMIC_DISPATCH(CkaGradientRow);
  Carver carver(args.scratch);
  const Scratch s = carve(carver, args);
  CkaSums sums;
  sums.first_x = *args.student, sums.first_y = *args.teacher;
#pragma omp parallel num_threads(queue.threads)
  {
#pragma omp for schedule(dynamic)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      CkaProducts products;
      double *x = s.student.chunks + chunk * cols, *y = s.teacher.chunks + chunk * cols;
      std::fill_n(x, cols, 0.0);
      std::fill_n(y, cols, 0.0);
      const int64_t end = chunk_begin(rows, chunks, chunk + 1);
      for (int64_t i = chunk_begin(rows, chunks, chunk); i < end; i += kCkaRows)
        add_rows({args.student + i * args.student_stride, args.student_stride, sums.first_x, x,
                  s.student.rows + i},
                 {args.teacher + i * args.teacher_stride, args.teacher_stride, sums.first_y, y,
                  s.teacher.rows + i},
                 std::min<int64_t>(kCkaRows, end - i), products, cols);
      s.products[chunk] = products;
    }
#pragma omp for schedule(static)
    for (int64_t j = 0; j < cols; ++j) {
      double x = 0, y = 0;
      for (int64_t chunk = 0; chunk < chunks; ++chunk)
        x += s.student.chunks[chunk * cols + j], y += s.teacher.chunks[chunk * cols + j];
      s.student.columns[j] = x, s.teacher.columns[j] = y;
    }
  }
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    sums.entries.xx += s.products[chunk].xx;
    sums.entries.xy += s.products[chunk].xy;
    sums.entries.yy += s.products[chunk].yy;
  }
  const Totals of_rows = to_means(s.student.rows, s.teacher.rows, rows, cols);
  sums.row_means = of_rows.products;
  sums.x = of_rows.x, sums.y = of_rows.y;
  sums.column_means = to_means(s.student.columns, s.teacher.columns, cols, rows).products;
  const CkaCoefficients c = conclude(sums, args);
  if (args.gradient == nullptr) return;

  // x - mean(x) = k - (k_00 + mean(x)). The sum in brackets is split: its float value is subtracted from the
  // entry, the rounding error from the row.
  const Rounded student = rounded(c.first_x + c.student_mean), teacher = rounded(c.first_y + c.teacher_mean);
  for (int64_t j = 0; j < cols; ++j) {
    s.student.centred[j] = static_cast<float>(s.student.columns[j] - c.student_mean);
    s.teacher.centred[j] = static_cast<float>(s.teacher.columns[j] - c.teacher_mean);
  }
#pragma omp parallel for num_threads(queue.threads) schedule(static)
  for (int64_t i = 0; i < rows; ++i)
    gradient_row({args.student + i * args.student_stride, student.value,
                  static_cast<float>(s.student.rows[i] - c.student_mean + student.rest),
                  static_cast<float>(c.student_factor), s.student.centred},
                 {args.teacher + i * args.teacher_stride, teacher.value,
                  static_cast<float>(s.teacher.rows[i] - c.teacher_mean + teacher.rest),
                  static_cast<float>(c.teacher_factor), s.teacher.centred},
                 args.gradient + i * args.gradient_stride, cols);
}

}  // namespace sotalign::kernels::cpu
#endif  // HWY_ONCE
