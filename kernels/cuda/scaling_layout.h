// Mapping of threads to a density for sinkhorn_scaling.cu, from the shape of one problem alone: results
// depend neither on the device nor on the batch size.
#pragma once

#include "kernels/cuda/density_entries.h"
#include "kernels/cuda/entropic.h"

namespace sotalign::kernels::cuda {

// Processing of rows by number of columns: `packets` per thread, `rows` per barrier, and the next `ahead`
// rows in flight. Every layout fits 128 registers per thread, that is 512 threads per multiprocessor. A
// column takes a register for its sum and one (bfloat16: half of one) per row; everything else leaves 80 to
// 96 registers for these. Within that:
//   * blocks are no larger than the columns need, so that several share a multiprocessor and one computes
//     while another waits at its barrier;
//   * several rows share a barrier, and with it one read of the column factors;
//   * 48 KiB or more are in flight per multiprocessor where rows are long enough (an H200 needs about 40),
//     but at most 96 KiB per block: every device has these, so one mapping serves all.
struct Layout {
  int threads, packets, rows, ahead;
  constexpr size_t shared_bytes() const { return size_t{16} * threads * packets * ahead; }
};
template <class T>
struct Layouts;
template <>
struct Layouts<float> {
  static constexpr Layout kAll[] = {{128, 1, 4, 4},    // 512 columns: 4 blocks of 8 KiB
                                    {128, 2, 4, 4},    // 1,024: 4 of 16 KiB
                                    {128, 4, 2, 2},    // 2,048: 4 of 16 KiB
                                    {256, 4, 2, 2},    // 4,096: 2 of 32 KiB
                                    {256, 8, 1, 1},    // 8,192: 2 of 32 KiB
                                    {512, 8, 1, 1},    // 16,384: 1 of 64 KiB
                                    {512, 12, 1, 1}};  // 24,576: 1 of 96 KiB
};
template <>
struct Layouts<uint16_t> {
  static constexpr Layout kAll[] = {{128, 1, 4, 4},   // 1,024 columns: 4 blocks of 8 KiB
                                    {128, 2, 4, 4},   // 2,048: 4 of 16 KiB
                                    {128, 4, 2, 2},   // 4,096: 4 of 16 KiB
                                    {256, 4, 2, 2},   // 8,192: 2 of 32 KiB
                                    {512, 4, 2, 2},   // 16,384: 1 of 64 KiB
                                    {512, 6, 1, 1},   // 24,576: 1 of 48 KiB
                                    {512, 8, 1, 1}};  // 32,768: 1 of 64 KiB
};
template <class T>
inline constexpr int kWide = sizeof(Layouts<T>::kAll) /
                             sizeof(Layout);  // index that stands for the two-read path

template <class T>
constexpr int layout_of(int64_t cols) {
  int index = 0;
  while (index < kWide<T> && cols > int64_t{kPacketEntries<T>} * Layouts<T>::kAll[index].threads *
                                        Layouts<T>::kAll[index].packets)
    ++index;
  return index;
}

// A multiprocessor holds 512 / threads blocks. The chunks are one wave of blocks on the 132 multiprocessors
// of an H100 or H200, or two waves if a block fills a multiprocessor, so that no block ends long after the
// others.
template <class T>
constexpr int64_t scaling_chunks(const EntropicBatch& p) {
  const int layout = layout_of<T>(p.cols);
  if (layout == kWide<T>) return tiles_of(p).chunks;
  const int64_t wave = 132 * 512 / Layouts<T>::kAll[layout].threads;
  return chunk_count(p.rows, wave > 264 ? wave : 264);
}

}  // namespace sotalign::kernels::cuda
