// Element-wise maps over a matrix, shared by bias_activation, center_rows, cka, fixed_point and scale_matrix.
//
// A block covers a tile of the matrix. `lanes` of its threads, a power of two, lie along the columns, so a
// narrow matrix still fills the block with rows. Each thread maps kVector adjacent columns of kRowsPerThread
// rows and issues all loads before its first store: input and output may be the same memory, so the compiler
// cannot hoist the loads, and one load at a time would leave memory idle. Data of a column is loaded once for
// all rows.
#pragma once

#include "kernels/cuda/launch.h"

namespace sotalign::kernels::cuda {

inline constexpr int kElementThreads = 256;
inline constexpr int kRowsPerThread = 4;
inline constexpr int kVectorBytes = 16;  ///< the widest load and store of a thread

/// Adjacent entries of a row. More than 16 bytes take several loads.
template <class T, int kCount>
struct alignas(kCount * sizeof(T) < kVectorBytes ? kCount * sizeof(T) : kVectorBytes) Vector {
  T values[kCount];
};

/// True if all rows of a matrix are aligned for loads of a Vector.
template <class T>
bool rows_are_aligned(const T* data, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % kVectorBytes == 0 &&
         stride * static_cast<int64_t>(sizeof(T)) % kVectorBytes == 0;
}

/// The first `count` entries at `data`, padded with zeros.
template <int kCount, class T>
__device__ __forceinline__ Vector<T, kCount> load_entries(const T* data, int64_t count) {
  Vector<T, kCount> vector;
#pragma unroll
  for (int e = 0; e < kCount; ++e) vector.values[e] = e < count ? data[e] : T{0};
  return vector;
}

/// The same as one vector load if `count` allows it; `data` must then be aligned.
template <int kCount, class T>
__device__ __forceinline__ Vector<T, kCount> load_vector(const T* data, int64_t count) {
  if (count >= kCount) return *reinterpret_cast<const Vector<T, kCount>*>(data);
  return load_entries<kCount>(data, count);
}

template <int kCount, class T>
__device__ __forceinline__ void store_vector(T* data, int64_t count, const Vector<T, kCount>& vector) {
  if (count >= kCount) {
    *reinterpret_cast<Vector<T, kCount>*>(data) = vector;
    return;
  }
#pragma unroll
  for (int e = 0; e < kCount; ++e)
    if (e < count) data[e] = vector.values[e];
}

/// A Map has
///   kVector               number of adjacent columns it maps at once
///   column(j, count)      loads data of the columns j ... j + count - 1
///   load(i, j, count)     loads data of row i in these columns
///   store(i, j, count, loaded, column)
/// count < kVector only at the end of a row.
template <class Map>
__global__ void __launch_bounds__(kElementThreads)
    elementwise_kernel(Map map, int64_t rows, int64_t cols, unsigned column_tiles, unsigned lanes) {
  const unsigned row_tile = blockIdx.x / column_tiles, column_tile = blockIdx.x % column_tiles;
  const unsigned lane = threadIdx.x % lanes, rows_at_once = kElementThreads / lanes;
  const int64_t j = (int64_t{column_tile} * lanes + lane) * Map::kVector;
  const int64_t first = int64_t{row_tile} * rows_at_once * kRowsPerThread + threadIdx.x / lanes;
  if (j >= cols) return;
  const auto column = map.column(j, cols - j);
  decltype(map.load(first, j, cols)) loaded[kRowsPerThread];
#pragma unroll
  for (int r = 0; r < kRowsPerThread; ++r) {
    const int64_t i = first + r * rows_at_once;
    if (i < rows) loaded[r] = map.load(i, j, cols - j);
  }
#pragma unroll
  for (int r = 0; r < kRowsPerThread; ++r) {
    const int64_t i = first + r * rows_at_once;
    if (i < rows) map.store(i, j, cols - j, loaded[r], column);
  }
}

template <class Map>
void launch_elementwise(const Queue& queue, const char* name, const Map& map, int64_t rows, int64_t cols) {
  const int64_t vectors = (cols + Map::kVector - 1) / Map::kVector;
  unsigned lanes = 1;
  while (lanes < kElementThreads && lanes < vectors) lanes *= 2;
  const unsigned column_tiles = blocks_for(vectors, lanes);
  const unsigned row_tiles = blocks_for(rows, int64_t{kElementThreads} / lanes * kRowsPerThread);
  launch(queue, name, elementwise_kernel<Map>, column_tiles * row_tiles, kElementThreads, 0, map, rows, cols,
         column_tiles, lanes);
}

}  // namespace sotalign::kernels::cuda
