// Problems of the scaling form on the host, and a fixture that runs its operations on a device.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

#include "kernels/bfloat16.h"
#include "kernels/entropic_common.h"
#include "kernels/sinkhorn_absorb.h"
#include "kernels/sinkhorn_scaling.h"
#include "sotalign/core/buffer.h"
#include "support/compare.h"
#include "support/devices.h"

namespace sotalign::testing {

using kernels::density_stride;
using kernels::DensityType;
using kernels::SinkhornState;

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr DensityType kTypes[] = {DensityType::kFloat, DensityType::kBfloat16};

// The bytes of an array, for bitwise comparison that includes NaN.
template <class T>
std::vector<unsigned char> bytes_of(const T* data, int64_t count) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(data);
  return {bytes, bytes + count * static_cast<int64_t>(sizeof(T))};
}

// Problems of one shape on the host. Memory that operations must not read is NaN; tests check afterwards the
// memory that they must not write. Successive densities are 64 bytes further apart than necessary.
struct ScalingProblems {
  int64_t batch, n, m, width, density_bytes;
  std::vector<float> affinity, inverse_epsilon;
  std::vector<double> log_a, log_b, u, v;
  std::vector<SinkhornState> states;
  std::vector<float> row_scale, column_scale, row_mass, column_mass;
  std::vector<unsigned char> density;

  ScalingProblems(int64_t rows, int64_t cols, int64_t count = 1)
      : batch(count),
        n(rows),
        m(cols),
        width(density_stride(cols, DensityType::kFloat)),
        density_bytes(64 + kernels::density_bytes(1, rows, cols, DensityType::kFloat)),
        affinity(count * rows * (cols + 3), kNan),
        inverse_epsilon(count, 1.0f),
        log_a(count * rows),
        log_b(count * cols),
        u(count * rows),
        v(count * cols),
        states(count, {.use_log_domain = 0, .absorb = 0}),
        row_scale(count * 2 * rows, kNan),
        column_scale(count * 2 * width, kNan),
        row_mass(count * rows, kNan),
        column_mass(count * cols, kNan),
        density(count * density_bytes, 0xff) {}

  ScalingProblems one(int64_t b) const {
    ScalingProblems single(n, m);
    const auto take = [&](const auto& from, auto& to) {
      std::copy_n(from.begin() + b * static_cast<int64_t>(to.size()), to.size(), to.begin());
    };
    take(affinity, single.affinity), take(inverse_epsilon, single.inverse_epsilon);
    take(log_a, single.log_a), take(log_b, single.log_b), take(u, single.u), take(v, single.v);
    take(states, single.states), take(density, single.density);
    take(row_scale, single.row_scale), take(column_scale, single.column_scale);
    take(row_mass, single.row_mass), take(column_mass, single.column_mass);
    return single;
  }
  float* s(int64_t b, int copy) { return row_scale.data() + (2 * b + copy) * n; }
  float* t(int64_t b, int copy) { return column_scale.data() + (2 * b + copy) * width; }
  float entry(int64_t b, int64_t i, int64_t j, DensityType type) const {
    const unsigned char* at = density.data() + b * density_bytes +
                              (i * density_stride(m, type) + j) * kernels::density_entry_bytes(type);
    if (type == DensityType::kBfloat16) {
      uint16_t bits = 0;
      std::memcpy(&bits, at, sizeof bits);
      return kernels::from_bfloat16(bits);
    }
    float value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  void set_entry(int64_t b, int64_t i, int64_t j, DensityType type, float value) {
    unsigned char* at = density.data() + b * density_bytes +
                        (i * density_stride(m, type) + j) * kernels::density_entry_bytes(type);
    const uint16_t bits = kernels::to_bfloat16(value);
    if (type == DensityType::kBfloat16)
      std::memcpy(at, &bits, sizeof bits);
    else
      std::memcpy(at, &value, sizeof value);
  }
};
inline auto fields(const SinkhornState& s) {
  return std::tuple(s.active, s.use_log_domain, s.stalled, s.looks_without_gain, s.iterations, s.row_error,
                    s.column_error, s.best_error, s.absorb, s.coarse, s.current);
}
// Bitwise.
inline void expect_same(const ScalingProblems& a, const ScalingProblems& b) {
  const auto equal = [](const auto& x, const auto& y) {
    return bytes_of(x.data(), static_cast<int64_t>(x.size())) ==
           bytes_of(y.data(), static_cast<int64_t>(y.size()));
  };
  EXPECT_TRUE(equal(a.u, b.u) && equal(a.v, b.v)) << "potentials";
  EXPECT_TRUE(equal(a.row_scale, b.row_scale) && equal(a.column_scale, b.column_scale)) << "factors";
  EXPECT_TRUE(equal(a.row_mass, b.row_mass) && equal(a.column_mass, b.column_mass)) << "masses";
  EXPECT_TRUE(equal(a.density, b.density)) << "density";
  for (int64_t problem = 0; problem < a.batch; ++problem)
    EXPECT_EQ(fields(a.states[problem]), fields(b.states[problem]));
  EXPECT_TRUE(equal(a.affinity, b.affinity)) << "affinity";
}

// Weights that vary; one row and one column have none, unless they are too few.
inline double weight_of_row(int64_t i, int64_t n) { return n > 2 && i == n / 2 ? 0.0 : 1.0 + double(i % 3); }
inline double weight_of_column(int64_t j, int64_t m) {
  return m > 2 && j == m / 2 ? 0.0 : 1.0 + double(j % 5);
}

// A random problem in the middle of its iterations: random entries, masses and factors.
inline void set_scaling(ScalingProblems& p, int64_t b, DensityType type, uint64_t seed) {
  const int64_t n = p.n, m = p.m;
  double sum_a = 0, sum_b = 0;
  for (int64_t i = 0; i < n; ++i) sum_a += weight_of_row(i, n);
  for (int64_t j = 0; j < m; ++j) sum_b += weight_of_column(j, m);
  const auto e = random_uniform(n * m, seed, 0.0f, 2.0f / static_cast<float>(m)),
             s = random_uniform(n, seed + 1, 0.5f, 2.0f), t = random_uniform(m, seed + 2, 0.5f, 2.0f);
  for (int64_t i = 0; i < n; ++i) {
    p.row_mass[b * n + i] = static_cast<float>(weight_of_row(i, n) / sum_a);
    for (int64_t j = 0; j < density_stride(m, type); ++j)
      p.set_entry(b, i, j, type, j < m ? e[i * m + j] : 0.0f);
  }
  for (int64_t j = 0; j < m; ++j)
    p.column_mass[b * m + j] = static_cast<float>(weight_of_column(j, m) / sum_b);
  p.states[b].current = static_cast<int32_t>(seed % 2);
  p.states[b].coarse = type == DensityType::kBfloat16;
  const int current = p.states[b].current;
  std::copy(s.begin(), s.end(), p.s(b, current));
  std::copy(t.begin(), t.end(), p.t(b, current));
  for (const int copy : {0, 1}) std::fill(p.t(b, copy) + m, p.t(b, copy) + p.width, 0.0f);
}

class ScalingFormTest : public DeviceTest {
 protected:
  struct OnDevice {
    Buffer<float> affinity, inverse_epsilon, row_scale, column_scale, row_mass, column_mass;
    Buffer<double> log_a, log_b, u, v;
    Buffer<SinkhornState> states;
    Buffer<unsigned char> density;
    kernels::EntropicBatch batch;
    OnDevice(Context& context, const ScalingProblems& p)
        : affinity(context, p.affinity),
          inverse_epsilon(context, p.inverse_epsilon),
          row_scale(context, p.row_scale),
          column_scale(context, p.column_scale),
          row_mass(context, p.row_mass),
          column_mass(context, p.column_mass),
          log_a(context, p.log_a),
          log_b(context, p.log_b),
          u(context, p.u),
          v(context, p.v),
          states(context, p.states),
          density(context, p.density),
          batch{.affinity = affinity.data(),
                .batch = p.batch,
                .rows = p.n,
                .cols = p.m,
                .row_stride = p.m + 3,
                .problem_stride = p.n * (p.m + 3),
                .inverse_epsilon = inverse_epsilon.data(),
                .log_a = log_a.data(),
                .log_b = log_b.data()} {}
    void download(ScalingProblems& p) const {
      p.affinity = affinity.download();
      p.row_scale = row_scale.download(), p.column_scale = column_scale.download();
      p.row_mass = row_mass.download(), p.column_mass = column_mass.download();
      p.u = u.download(), p.v = v.download();
      p.states = states.download();
      p.density = density.download();
    }
  };

  // Runs op with exactly the scratch memory it asks for, filled with garbage, and checks that it writes no
  // further.
  template <class Args, class Size, class Op>
  void run(Args args, Size size, Op op) {
    const size_t bytes = size(context.queue(), args);
    std::vector<unsigned char> garbage(bytes + 256, 0x42);
    Buffer<unsigned char> scratch(context, garbage);
    args.scratch = scratch.data();
    op(context.queue(), args);
    garbage = scratch.download();
    EXPECT_EQ(std::count(garbage.begin() + static_cast<int64_t>(bytes), garbage.end(), 0x42), 256);
  }
  static kernels::SinkhornScaling scaling_of(OnDevice& d, const ScalingProblems& p, DensityType type) {
    return {.problems = d.batch,
            .states = d.states.data(),
            .type = type,
            .density = d.density.data(),
            .density_stride_bytes = p.density_bytes,
            .row_mass = d.row_mass.data(),
            .column_mass = d.column_mass.data(),
            .row_scale = d.row_scale.data(),
            .column_scale = d.column_scale.data()};
  }
  void scale(ScalingProblems& p, DensityType type, double tolerance = -1.0, double relaxation = 1.0) {
    OnDevice d(context, p);
    kernels::SinkhornScaling args = scaling_of(d, p, type);
    args.tolerance = tolerance;
    args.relaxation = relaxation;
    run(args, kernels::sinkhorn_scaling_scratch, kernels::sinkhorn_scaling);
    d.download(p);
  }
  // The same where the last `missing` bytes of the scratch memory do not exist.
  void scale_without_end(ScalingProblems& p, DensityType type, int64_t missing) {
    OnDevice d(context, p);
    kernels::SinkhornScaling args = scaling_of(d, p, type);
    const int64_t bytes = static_cast<int64_t>(kernels::sinkhorn_scaling_scratch(context.queue(), args));
    Buffer<unsigned char> scratch(context, std::vector<unsigned char>(size_t(bytes - missing), 0x42));
    args.scratch = scratch.data();
    kernels::sinkhorn_scaling(context.queue(), args);
    d.download(p);
  }
  enum class Refine { kNo, kYes };
  void absorb(ScalingProblems& p, Refine refine = Refine::kNo) {
    OnDevice d(context, p);
    run(kernels::SinkhornAbsorb{.problems = d.batch,
                                .states = d.states.data(),
                                .u = d.u.data(),
                                .v = d.v.data(),
                                .density = d.density.data(),
                                .density_stride_bytes = p.density_bytes,
                                .row_scale = d.row_scale.data(),
                                .column_scale = d.column_scale.data(),
                                .row_mass = d.row_mass.data(),
                                .column_mass = d.column_mass.data(),
                                .refine = refine == Refine::kYes},
        kernels::sinkhorn_absorb_scratch, kernels::sinkhorn_absorb);
    d.download(p);
  }
  enum class Which { kWanted, kAll };
  void fold(ScalingProblems& p, Which which, Refine refine = Refine::kNo) {
    OnDevice d(context, p);
    sinkhorn_fold(context.queue(), kernels::SinkhornFold{.problems = d.batch,
                                                         .states = d.states.data(),
                                                         .all = which == Which::kAll,
                                                         .refine = refine == Refine::kYes,
                                                         .row_scale = d.row_scale.data(),
                                                         .column_scale = d.column_scale.data(),
                                                         .u = d.u.data(),
                                                         .v = d.v.data()});
    d.download(p);
  }
};

}  // namespace sotalign::testing
