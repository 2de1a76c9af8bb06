// Vectorised inner loops of the Sinkhorn and KLOT operations, one matrix row per call. Highway picks the
// instruction set (SSE2 ... AVX-512, NEON) at run time. Blocking, threading and the meaning of the numbers
// are in the files of the operations.
//
// Below, x_j = c k_j + offset + v_j, evaluated as fma(c, k_j, offset) + v_j: the large product and offset
// nearly cancel inside the fused multiply-add, so x is rounded at its own, small magnitude.
#pragma once

#include <cstdint>

namespace sotalign::kernels::cpu {

/// max_j (c k_j + v_j); -inf if every v_j is.
float max_row(const float* k, const float* v, float c, int64_t count);

/// e_j = exp(x_j) with x_j clamped to [-86, 88], so v_j = -inf gives 4e-38 rather than 0. Returns sum_j e_j,
/// in float within blocks of 2048 columns and in double across them. e may be null.
double exp_row(const float* k, const float* v, float c, float offset, float* e, int64_t count);

/// log sum_j exp(c k_j + v_j); some v_j may be -inf, but not all.
double log_sum_exp_row(const float* k, const float* v, float c, int64_t count);

/// p_j = scale exp(x_j), exactly 0 where x_j < -86. p may overwrite k. Returns sum_j p_j.
double plan_row(const float* k, const float* v, float c, float offset, float scale, float* p, int64_t count);

/// sum_j += sum_r weight_r e_rj for `rows` (at most 4) rows of e.
void add_weighted_rows(const float* e, int64_t stride, const float* weights, int rows, float* sum,
                       int64_t count);

/// m_j = max(m_j, c k_j + offset)
void max_into_columns(const float* k, float c, float offset, float* m, int64_t count);

/// sum_j += weight exp(c k_j + offset - m_j), m_j finite.
void add_exp_to_columns(const float* k, const float* m, float c, float offset, float weight, float* sum,
                        int64_t count);

/// One row of the KLOT gradient; see klot_gradient.h.
struct KlotRow {
  const float* k = nullptr;  ///< student
  const float* v = nullptr;
  float c = 0, offset = 0, scale = 0;
  const float* teacher_k = nullptr;
  const float* teacher_v = nullptr;
  float teacher_c = 0, teacher_offset = 0, teacher_scale = 0;
  double u_difference = 0;               ///< u*_i - u_i
  const double* v_difference = nullptr;  ///< v*_j - v_j
  float* gradient = nullptr;             ///< or null
  float gradient_scale = 0;
};
/// gradient_j = gradient_scale (P_j - P*_j), with P_j = scale exp(x_j).
/// Returns sum_j P*_j (log P*_j - log P_j).
double klot_row(const KlotRow& row, int64_t count);

}  // namespace sotalign::kernels::cpu
