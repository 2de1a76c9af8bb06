// Shared by the kernels of the scaling form: an iteration's scratch memory, its arithmetic on the rows that
// a thread has in registers, and the new factors. Both solvers add in the same order, so their results are
// the same to the bit.
#pragma once

#include "kernels/cuda/density_entries.h"
#include "kernels/cuda/entropic.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/scaling_layout.h"
#include "kernels/sinkhorn_scaling.h"

namespace sotalign::kernels::cuda {

/// What the shares of finish_share() report.
struct Tally {
  unsigned blocks;  ///< finished blocks
  int32_t rows_bad, columns_bad, drifted;
};
struct ScalingScratch {
  Tally* tallies;        ///< [batch, tallies]
  float* row_sums;       ///< [batch, rows]
  double* block_errors;  ///< [batch, row blocks]
  float* chunk_columns;  ///< [all chunks, width]
};
/// Sizes from the common shape, or from the largest one.
struct ScalingSizes {
  int64_t chunks, row_blocks;
  int64_t width;   ///< of factors and column sums
  int64_t stride;  ///< of the density's rows, in entries
};
template <class T>
ScalingSizes scaling_sizes(const EntropicBatch& p, DensityType type) {
  return {scaling_chunks<T>(p), blocks_for(p.rows, kSumThreads), density_stride(p.cols, DensityType::kFloat),
          density_stride(p.cols, type)};
}
inline ScalingScratch carve_scaling(Carver& carver, const EntropicBatch& p, const ScalingSizes& n,
                                    int64_t tallies) {
  ScalingScratch s{};
  s.tallies = carver.take<Tally>(p.batch * tallies);
  s.row_sums = carver.take<float>(p.batch * p.rows);
  s.block_errors = carver.take<double>(p.batch * n.row_blocks);
  s.chunk_columns = carver.take<float>(total_partials(p, n.chunks, n.width));
  return s;
}

/// The sizes of one problem.
__device__ __forceinline__ int64_t width_of(const EntropicBatch& p, const ScalingSizes& n, int64_t b) {
  return p.layouts == nullptr ? n.width : density_stride(p.layouts[b].cols, DensityType::kFloat);
}
__device__ __forceinline__ int64_t stride_of(const SinkhornScaling& args, const ScalingSizes& n, int64_t b) {
  const EntropicBatch& p = args.problems;
  return p.layouts == nullptr ? n.stride : density_stride(p.layouts[b].cols, args.type);
}
template <class T>
__device__ __forceinline__ const T* density_of(const SinkhornScaling& args, int64_t b) {
  return reinterpret_cast<const T*>(static_cast<const char*>(args.density) +
                                    density_offset(args.problems, b, args.density_stride_bytes));
}
__device__ __forceinline__ bool wants_scaling(const SinkhornState& state, DensityType type) {
  return state.active && !state.use_log_domain && (state.coarse == 0) == (type == DensityType::kFloat);
}

/// The updated factor; `sum` is the row sum, or the column sum over the column's mass. exp2 and log2 take the
/// power with few registers, and an error in it amounts to a slightly different relaxation.
template <class Real>
__device__ __forceinline__ float updated(float factor, Real sum, double relaxation) {
  if (relaxation == 1.0) return static_cast<float>(1 / sum);
  return factor * exp2_approx(-static_cast<float>(relaxation) * log2f(factor * static_cast<float>(sum)));
}
/// a_i s_i of a row. Whoever computes s_i does it from the same sum, so it is the same to the bit.
__device__ __forceinline__ float weight_of(float mass, float factor, float sum, double relaxation) {
  return mass > 0 ? mass * updated(factor, sum, relaxation) : 0.0f;
}

/// Rows that kThreads threads hold in registers, a thread the packets t, t + kThreads, ... of each row.
template <class T, int kThreads, int kPackets, int kRows>
struct RowGroup {
  static constexpr int kWarps = kThreads / kWarpSize, kEntries = kPacketEntries<T>;
  static constexpr int kSums = kRows * kWarps;
  /// Partial sums per thread and row, to shorten chains of dependent adds.
  static constexpr int kParts = 4 / kRows;
  static_assert(kSums <= kWarpSize && kParts >= 1);

  Packet e[kRows][kPackets];

  /// The row whose sum, factor and mass a lane handles; kRows or more: none.
  static __device__ __forceinline__ int row_of_lane(int lane) { return lane / kWarps; }

  /// First half of the row sums, up to a barrier: writes those of each warp to `sums` [kSums].
  /// factors(k) gives the column factors of packet k.
  template <class FactorsOfPacket>
  __device__ __forceinline__ void add_rows(int lane, int warp, const FactorsOfPacket& factors,
                                           float* sums) const {
    float parts[kRows][kParts] = {};
#pragma unroll
    for (int k = 0; k < kPackets; ++k) {
      const Factors<T> t_k = factors(k);
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int i = 0; i < kEntries; ++i)
          parts[r][i % kParts] = fmaf(entry_of<T>(e[r][k], i), t_k.values[i], parts[r][i % kParts]);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int i = 1; i < kParts; ++i) parts[r][0] += parts[r][i];
      const float sum = warp_sum(parts[r][0]);
      if (lane == 0) sums[r * kWarps + warp] = sum;
    }
  }
  /// Second half, after the barrier: the sum of the lane's row.
  static __device__ __forceinline__ float row_sum(int lane, const float* sums) {
    float sum = lane < kSums ? sums[lane] : 0.0f;
#pragma unroll
    for (int offset = kWarps / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(kFullMask, sum, offset);
    return sum;
  }
  /// Adds the rows to the thread's column sums. `weight` belongs to the lane's row.
  __device__ __forceinline__ void add_columns(float weight, float (&columns)[kPackets][kEntries]) {
    // Otherwise the compiler would keep the unpacked entries, twice as many registers as there are.
    if constexpr (kEntries > 4) {
#pragma unroll
      for (int r = 0; r < kRows; ++r)
#pragma unroll
        for (int k = 0; k < kPackets; ++k)
#pragma unroll
          for (uint32_t& word : e[r][k].words) make_opaque(word);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float w = __shfl_sync(kFullMask, weight, r * kWarps);
#pragma unroll
      for (int k = 0; k < kPackets; ++k)
#pragma unroll
        for (int i = 0; i < kEntries; ++i) columns[k][i] = fmaf(w, entry_of<T>(e[r][k], i), columns[k][i]);
    }
  }
};

/// Writes a thread's column sums of one chunk to `partial` [width].
template <int kThreads, int kPackets, int kEntries>
__device__ __forceinline__ void write_columns(const float (&columns)[kPackets][kEntries], float4* partial,
                                              int t, int packets) {
#pragma unroll
  for (int k = 0; k < kPackets; ++k)
#pragma unroll
    for (int i = 0; i < kEntries; i += 4)
      if (k < packets)
        partial[(t + k * kThreads) * (kEntries / 4) + i / 4] =
            make_float4(columns[k][i], columns[k][i + 1], columns[k][i + 2], columns[k][i + 3]);
}

/// Shares of a problem's new factors: row_blocks of rows, then those of columns.
constexpr int64_t finish_shares(const EntropicBatch& p, const ScalingSizes& n) {
  return n.row_blocks + (p.cols + kWarpSize - 1) / kWarpSize;
}
/// Computes the new factors of one share, by kSumThreads threads. A share of rows has one row per thread; it
/// writes its part of the marginal error. A share of columns has 32; it adds the chunks' column sums
/// (entropic.h). `old_copy` is the current copy of the factors, from 0 in the batch; `shared` must not be
/// in use. Has one barrier, which every thread of the block must reach, those without a share too
/// (share < 0).
__device__ __forceinline__ void finish_share(const SinkhornScaling& args, const ScalingScratch& s,
                                             const ScalingSizes& n, int64_t b, int64_t share,
                                             int64_t old_copy, double relaxation, Tally& tally,
                                             double (&shared)[kGroups][kWarpSize]) {
  const EntropicBatch& p = args.problems;
  const int64_t new_copy = old_copy ^ 1;
  const int t = static_cast<int>(threadIdx.x) % kSumThreads, lane = t % kWarpSize, group = t / kWarpSize;
  const auto update = [&](float mass, float factor, auto sum, int32_t& bad) {
    if (!(mass > 0)) return factor;
    const float next = updated(factor, sum, relaxation);
    if (!trustworthy(static_cast<double>(sum))) atomicMax(&bad, 1);
    if (drifted(next)) atomicMax(&tally.drifted, 1);
    return next;
  };
  const bool of_rows = share >= 0 && share < n.row_blocks;
  const int64_t width = width_of(p, n, b), cols = cols_of(p, b),
                j = (share - n.row_blocks) * kWarpSize + lane;
  const bool of_columns = share >= n.row_blocks && j < cols;
  double value = 0;
  if (of_rows) {
    const int64_t i = share * kSumThreads + t;
    if (i < rows_of(p, b)) {
      const float mass = args.row_mass[b * p.rows + i], sum = s.row_sums[b * p.rows + i],
                  factor = args.row_scale[old_copy * p.rows + i];
      args.row_scale[new_copy * p.rows + i] = update(mass, factor, sum, tally.rows_bad);
      value = static_cast<double>(mass) * fabs(static_cast<double>(factor) * static_cast<double>(sum) - 1.0);
    }
    value = warp_sum(value);
  } else if (of_columns) {
    const float* partial = s.chunk_columns + partials_of(p, b, n.chunks, width) + j;
    const int64_t chunks = chunks_of(p, b, n.chunks);
#pragma unroll 8  // so many loads are in flight before the first is added
    for (int64_t chunk = group; chunk < chunks; chunk += kGroups)
      value += static_cast<double>(partial[chunk * width]);
  }
  shared[group][lane] = value;
  __syncthreads();
  if (of_rows && group == 0) {
    const double error = warp_sum(lane < kGroups ? shared[lane][0] : 0.0);
    if (lane == 0) s.block_errors[b * n.row_blocks + share] = error;
  } else if (of_columns && group == 0) {
    double sum = shared[0][lane];
    for (int g = 1; g < kGroups; ++g) sum += shared[g][lane];
    const float mass = args.column_mass[b * p.cols + j], factor = args.column_scale[old_copy * n.width + j];
    args.column_scale[new_copy * n.width + j] =
        update(mass, factor, sum / static_cast<double>(mass), tally.columns_bad);
  }
}

}  // namespace sotalign::kernels::cuda
