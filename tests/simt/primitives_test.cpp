// Correct kernels for everything that kernels may use, run in order and in random orders.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "simt/support.h"

namespace simt::testing {
namespace simt_primitives_test {

constexpr unsigned kFull = 0xffffffffu;

/// Runs each test with several schedules.
class PrimitivesTest : public EmulatorTest, public ::testing::WithParamInterface<uint64_t> {
 protected:
  PrimitivesTest() { config.seed = GetParam(); }

  /// Runs kernel(result) on one block whose threads each write result[threadIdx].
  template <class T>
  std::vector<T> per_thread(void (*kernel)(T*), unsigned threads) {
    const Array<T> result(threads);
    launch("kernel", kernel, 1, threads, 0, stream, result.data());
    return result.download(stream);
  }
};
INSTANTIATE_TEST_SUITE_P(, PrimitivesTest, ::testing::Values(0, 1, 2, 3, 4),
                         ::testing::PrintToStringParamName());

// --- indices ---

__global__ void indices_kernel(uint3* thread, uint3* block) {
  const unsigned block_number = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread_number = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned i = block_number * blockDim.x * blockDim.y * blockDim.z + thread_number;
  thread[i] = threadIdx;
  block[i] = blockIdx;
}

TEST_P(PrimitivesTest, IndicesInThreeDimensions) {
  for (const auto& [grid, block] : {std::pair{dim3(5), dim3(3)},
                                    {dim3(2, 3), dim3(4, 5)},
                                    {dim3(2, 3, 4), dim3(3, 2, 5)},
                                    {dim3(1), dim3(1024)},
                                    {dim3(1, 1, 7), dim3(1, 1, 64)}}) {
    const unsigned threads = block.x * block.y * block.z, count = grid.x * grid.y * grid.z * threads;
    const Array<uint3> thread(count), of_block(count);
    launch("indices", indices_kernel, grid, block, 0, stream, thread.data(), of_block.data());
    const std::vector<uint3> t = thread.download(stream), b = of_block.download(stream);
    unsigned i = 0;
    for (unsigned bz = 0; bz < grid.z; ++bz)
      for (unsigned by = 0; by < grid.y; ++by)
        for (unsigned bx = 0; bx < grid.x; ++bx)
          for (unsigned tz = 0; tz < block.z; ++tz)
            for (unsigned ty = 0; ty < block.y; ++ty)
              for (unsigned tx = 0; tx < block.x; ++tx, ++i) {
                ASSERT_TRUE(t[i].x == tx && t[i].y == ty && t[i].z == tz) << i;
                ASSERT_TRUE(b[i].x == bx && b[i].y == by && b[i].z == bz) << i;
              }
    EXPECT_EQ(i, count);
  }
}

// --- barriers and shared memory ---

__global__ void reverse_static_kernel(int* x) {
  SOTALIGN_SHARED(int, values, [256]);
  values[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  x[blockIdx.x * blockDim.x + threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}
__global__ void reverse_dynamic_kernel(int* x) {
  int* values = simt::dynamic_shared<int>();
  values[threadIdx.x] = x[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  x[blockIdx.x * blockDim.x + threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

TEST_P(PrimitivesTest, SharedMemoryIsOfTheBlock) {
  for (const unsigned threads : {1u, 33u, 64u, 256u}) {
    const unsigned blocks = 5;
    std::vector<int> x(blocks * threads), expected;
    std::iota(x.begin(), x.end(), 0);
    for (unsigned b = 0; b < blocks; ++b)
      for (unsigned t = threads; t-- > 0;) expected.push_back(static_cast<int>(b * threads + t));
    const Array<int> first(stream, x), second(stream, x);
    launch("static", reverse_static_kernel, blocks, threads, 0, stream, first.data());
    launch("dynamic", reverse_dynamic_kernel, blocks, threads, threads * sizeof(int), stream, second.data());
    EXPECT_EQ(first.download(stream), expected);
    EXPECT_EQ(second.download(stream), expected);
  }
}

__global__ void two_variables_kernel(float* result) {
  SOTALIGN_SHARED(float, scalar, );
  SOTALIGN_SHARED(float4, vectors, [2][3]);
  for (int round = 0; round < 3; ++round) {
    if (threadIdx.x == 0) scalar = static_cast<float>(round);
    if (threadIdx.x < 6)
      vectors[threadIdx.x / 3][threadIdx.x % 3] = make_float4(0, 0, 0, static_cast<float>(threadIdx.x));
    __syncthreads();
    result[threadIdx.x] = scalar + vectors[threadIdx.x % 6 / 3][threadIdx.x % 3].w;
    __syncthreads();
  }
}

TEST_P(PrimitivesTest, SharedVariablesAreDistinctAndLast) {
  const std::vector<float> result = per_thread(two_variables_kernel, 64);
  for (unsigned t = 0; t < 64; ++t) EXPECT_EQ(result[t], 2.0f + static_cast<float>(t % 6)) << t;
}

__global__ void uninitialised_kernel(float* result) {
  SOTALIGN_SHARED(float, fixed, [32]);
  float* mine = result + 2 * (blockIdx.x * blockDim.x + threadIdx.x);
  mine[0] = fixed[threadIdx.x];
  mine[1] = simt::dynamic_shared<float>()[threadIdx.x];
  fixed[threadIdx.x] = 0;  // the next block must not see this
}

TEST_P(PrimitivesTest, FreshMemoryIsNan) {
  const size_t count = 3 * 64;
  const Array<float> result(count);
  for (const float value : result.download(stream)) EXPECT_TRUE(std::isnan(value));
  EXPECT_EQ(cudaMemsetAsync(result.data(), 0, count * sizeof(float), stream), cudaSuccess);
  launch("uninitialised", uninitialised_kernel, 3, 32, 32 * sizeof(float), stream, result.data());
  for (const float value : result.download(stream)) EXPECT_TRUE(std::isnan(value));
}

__global__ void alignment_kernel(int* result) {
  SOTALIGN_SHARED(char, byte, );
  SOTALIGN_SHARED(double, number, );
  byte = 0;
  const auto dynamic = reinterpret_cast<uintptr_t>(simt::dynamic_shared<float4>());
  *result = dynamic % 16 == 0 && reinterpret_cast<uintptr_t>(&number) % alignof(double) == 0;
}

TEST_P(PrimitivesTest, SharedMemoryIsAligned) { EXPECT_EQ(per_thread(alignment_kernel, 1)[0], 1); }

__global__ void predicates_kernel(int* result) {
  const int i = static_cast<int>(threadIdx.x), n = static_cast<int>(blockDim.x);
  int* mine = result + 6 * i;
  mine[0] = __syncthreads_count(i % 3 == 0);
  mine[1] = __syncthreads_or(i == n - 1);
  mine[2] = __syncthreads_or(0);
  mine[3] = __syncthreads_and(7);
  mine[4] = __syncthreads_and(i != n - 1);
  mine[5] = __syncthreads_count(2);  // values must not leak from one barrier into the next
}

TEST_P(PrimitivesTest, BarriersWithPredicates) {
  for (const int threads : {1, 31, 96}) {
    const Array<int> result(static_cast<size_t>(6 * threads));
    launch("predicates", predicates_kernel, 1, static_cast<unsigned>(threads), 0, stream, result.data());
    const std::vector<int> values = result.download(stream);
    for (int i = 0; i < threads; ++i) {
      const std::vector<int> mine(values.begin() + 6 * i, values.begin() + 6 * i + 6);
      EXPECT_EQ(mine, (std::vector<int>{(threads + 2) / 3, 1, 0, 1, 0, threads})) << i;
    }
  }
}

__global__ void many_barriers_kernel(float* x) {
  SOTALIGN_SHARED(float, values, [128]);
  values[threadIdx.x] = x[threadIdx.x];
  for (unsigned half = 64; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
  }
  __syncthreads();
  x[threadIdx.x] = values[0];
}

TEST_P(PrimitivesTest, TreeReduction) {
  std::vector<float> x(128);
  std::iota(x.begin(), x.end(), 1.0f);
  const Array<float> array(stream, x);
  launch("tree", many_barriers_kernel, 1, 128, 0, stream, array.data());
  EXPECT_EQ(array.download(stream), std::vector<float>(128, 8256.0f));
}

// --- warp operations ---

// value(lane) is each lane's input.
template <class T>
T value_of(int lane) {
  return static_cast<T>(3 * lane + 1) / static_cast<T>(2);
}

enum class Shuffle { kIndex, kXor, kUp, kDown };

template <class T>
struct ShuffleCase {
  T* result;
  Shuffle kind;
  int argument, width;
};

template <class T>
__global__ void shuffle_kernel(ShuffleCase<T> args) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const T mine = value_of<T>(static_cast<int>(threadIdx.x));
  T other{};
  if (args.kind == Shuffle::kIndex) other = __shfl_sync(kFull, mine, args.argument + lane / 8, args.width);
  if (args.kind == Shuffle::kXor) other = __shfl_xor_sync(kFull, mine, args.argument, args.width);
  if (args.kind == Shuffle::kUp)
    other = __shfl_up_sync(kFull, mine, static_cast<unsigned>(args.argument), args.width);
  if (args.kind == Shuffle::kDown)
    other = __shfl_down_sync(kFull, mine, static_cast<unsigned>(args.argument), args.width);
  args.result[threadIdx.x] = other;
}

/// The lane that is read according to the CUDA manual.
int source_lane(Shuffle kind, int lane, int argument, int width) {
  const int group = lane / width * width;
  int source = lane;
  switch (kind) {
    case Shuffle::kIndex:
      return group + (argument + lane / 8) % width;
    case Shuffle::kXor:
      source = lane ^ argument;
      break;
    case Shuffle::kUp:
      source = lane - argument;
      return source < group ? lane : source;
    case Shuffle::kDown:
      source = lane + argument;
      break;
  }
  return source >= group + width ? lane : source;
}

template <class T>
void check_shuffles(cudaStream_t stream) {
  const Array<T> result(64);
  for (const Shuffle kind : {Shuffle::kIndex, Shuffle::kXor, Shuffle::kUp, Shuffle::kDown})
    for (const int width : {1, 4, 16, 32})
      for (const int argument : {0, 1, 2, 5, 16, 31}) {
        launch("shuffle", shuffle_kernel<T>, 1, 64, 0, stream,
               ShuffleCase<T>{result.data(), kind, argument, width});
        const std::vector<T> values = result.download(stream);
        for (int i = 0; i < 64; ++i)
          ASSERT_EQ(values[static_cast<size_t>(i)],
                    value_of<T>(i / 32 * 32 + source_lane(kind, i % 32, argument, width)))
              << "kind " << static_cast<int>(kind) << " width " << width << " argument " << argument
              << " lane " << i;
      }
}

TEST_P(PrimitivesTest, Shuffles) {
  check_shuffles<int>(stream);
  check_shuffles<unsigned>(stream);
  check_shuffles<float>(stream);
  check_shuffles<double>(stream);
  check_shuffles<long long>(stream);
  check_shuffles<uint64_t>(stream);
}

__global__ void votes_kernel(unsigned* result) {
  const int i = static_cast<int>(threadIdx.x), lane = i % 32;
  unsigned* mine = result + 5 * i;
  mine[0] = __ballot_sync(kFull, i % 5 == 0 ? 4 : 0);
  mine[1] = static_cast<unsigned>(__any_sync(kFull, lane == 31));
  mine[2] = static_cast<unsigned>(__any_sync(kFull, 0));
  mine[3] = static_cast<unsigned>(__all_sync(kFull, lane < 32));
  mine[4] = static_cast<unsigned>(__all_sync(kFull, lane != 7));
}

TEST_P(PrimitivesTest, Votes) {
  const Array<unsigned> result(5 * 64);
  launch("votes", votes_kernel, 1, 64, 0, stream, result.data());
  const std::vector<unsigned> values = result.download(stream);
  for (unsigned i = 0; i < 64; ++i) {
    unsigned ballot = 0;
    for (unsigned lane = 0; lane < 32; ++lane) ballot |= unsigned{(i / 32 * 32 + lane) % 5 == 0} << lane;
    const std::vector<unsigned> mine(values.begin() + 5 * i, values.begin() + 5 * i + 5);
    EXPECT_EQ(mine, (std::vector<unsigned>{ballot, 1, 0, 1, 0})) << i;
  }
}

// In a block of 40 threads the second warp has 8; each mask names the lanes present.
__global__ void partial_warp_kernel(int* result) {
  const int i = static_cast<int>(threadIdx.x);
  const unsigned mask = i < 32 ? kFull : 0xffu;
  int sum = i;
  for (int offset = 4; offset > 0; offset /= 2) sum += __shfl_xor_sync(mask, sum, offset);
  __syncwarp(mask);
  result[i] = sum;
}

TEST_P(PrimitivesTest, PartialWarps) {
  const std::vector<int> result = per_thread(partial_warp_kernel, 40);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(result[static_cast<size_t>(i)], i / 8 * 64 + 28) << i;
}

// The halves of a warp diverge, then work together again.
__global__ void divergent_warp_kernel(int* result) {
  const int lane = static_cast<int>(threadIdx.x);
  int value = 0;
  if (lane < 16) {
    for (int k = 0; k < 3; ++k) value += __shfl_sync(0x0000ffffu, lane, k);
  } else {
    value = __popc(__ballot_sync(0xffff0000u, lane % 2));
  }
  result[lane] = __shfl_sync(kFull, value, (lane + 16) % 32);
}

TEST_P(PrimitivesTest, MasksOfPartOfAWarp) {
  const std::vector<int> result = per_thread(divergent_warp_kernel, 32);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(result[i], i < 16 ? 8 : 3) << i;
}

__global__ void syncwarp_kernel(int* result) {
  SOTALIGN_SHARED(int, values, [64]);
  const unsigned i = threadIdx.x;
  values[i] = static_cast<int>(i);
  __syncwarp();
  const int next = values[i / 32 * 32 + (i + 1) % 32];
  __syncwarp();
  values[i] = 2 * next;
  __syncwarp();
  result[i] = values[i ^ 31];
}

TEST_P(PrimitivesTest, SyncwarpOrdersTheMemoryOfAWarp) {
  const std::vector<int> result = per_thread(syncwarp_kernel, 64);
  for (unsigned i = 0; i < 64; ++i) {
    const unsigned other = i ^ 31;
    EXPECT_EQ(result[i], static_cast<int>(2 * (other / 32 * 32 + (other + 1) % 32))) << i;
  }
}

// --- atomics ---

template <class T>
struct AtomicsCase {
  T *sum, *largest, *smallest, *flag, *last;
  int* claims;
};

template <class T>
__global__ void atomics_kernel(AtomicsCase<T> args) {
  const T i = static_cast<T>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(args.sum, i);
  atomicMax(args.largest, i);
  atomicMin(args.smallest, i);
  atomicExch(args.last, i);
  if (atomicCAS(args.flag, 0, i + 1) == 0) atomicAdd(args.claims, 1);
}

template <class T>
void check_atomics(cudaStream_t stream) {
  const Array<T> values(stream, {0, 50, 50, 0, static_cast<T>(-1)});
  const Array<int> claims(stream, {0});
  T* const p = values.data();
  launch("atomics", atomics_kernel<T>, 4, 96, 0, stream,
         AtomicsCase<T>{p, p + 1, p + 2, p + 3, p + 4, claims.data()});
  const std::vector<T> result = values.download(stream);
  EXPECT_EQ(result[0], T{384 * 383 / 2});
  EXPECT_EQ(result[1], T{383});
  EXPECT_EQ(result[2], T{0});
  EXPECT_TRUE(result[3] >= 1 && result[3] <= 384) << result[3];
  EXPECT_LT(result[4], T{384});
  EXPECT_EQ(claims.download(stream)[0], 1);
}

TEST_P(PrimitivesTest, Atomics) {
  check_atomics<int>(stream);
  check_atomics<unsigned>(stream);
  check_atomics<unsigned long long>(stream);
}

template <class T>
concept HasAtomicAdd = requires(T* address, T value) {
  atomicAdd(address, value);
};
static_assert(HasAtomicAdd<int> && HasAtomicAdd<unsigned> && HasAtomicAdd<unsigned long long>);
// Floating-point sums would depend on the order.
static_assert(!HasAtomicAdd<float> && !HasAtomicAdd<double>);

// The last block to arrive sees everything that the others have written.
__global__ void last_block_kernel(int* parts, unsigned* ticket, int* total) {
  SOTALIGN_SHARED(bool, last, );
  if (threadIdx.x == 0) {
    parts[blockIdx.x] = static_cast<int>(blockIdx.x) + 1;
    __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  if (threadIdx.x == 0) {
    __threadfence();
    for (unsigned i = 0; i < gridDim.x; ++i) *total += parts[i];
  }
}

TEST_P(PrimitivesTest, LastBlockSumsUp) {
  const Array<int> parts(10), total(stream, {0});
  const Array<unsigned> ticket(stream, {0});
  launch("last_block", last_block_kernel, 10, 64, 0, stream, parts.data(), ticket.data(), total.data());
  EXPECT_EQ(total.download(stream)[0], 55);
}

// --- asynchronous copies ---

constexpr int kSeen = 5;

// Records what a thread finds in shared memory: before it waits, after its first group, with a copy that
// belongs to no group yet, at the end, and after a second copy to the same place.
__global__ void copies_kernel(const float4* from, float* seen) {
  float4* places = simt::dynamic_shared<float4>() + 2 * threadIdx.x;
  const float4* mine = from + 2 * threadIdx.x;
  seen += kSeen * threadIdx.x;
  places[0] = places[1] = make_float4(-1, -1, -1, -1);
  copy_async(&places[0], &mine[0]);
  copy_commit();
  copy_commit();  // an empty group
  copy_async(&places[1], &mine[1]);
  copy_commit();
  seen[0] = places[0].x + places[1].w;
  copy_wait(2);
  seen[1] = places[0].x + places[1].w;
  copy_wait(0);
  seen[2] = places[0].x + places[1].w;
  copy_async(&places[0], &mine[1]);
  copy_wait(0);
  seen[3] = places[0].x + places[1].w;
  copy_commit();
  copy_wait(0);
  seen[4] = places[0].x + places[1].w;
}

TEST_P(PrimitivesTest, CopiesArriveWhenWaitedFor) {
  const unsigned threads = 96;
  std::vector<float4> from;
  for (unsigned i = 0; i < 2 * threads; ++i) {
    const float x = static_cast<float>(10 * i);
    from.push_back(make_float4(x, x + 1, x + 2, x + 3));
  }
  const Array<float4> array(stream, from);
  const Array<float> result(kSeen * threads);
  launch("copies", copies_kernel, 1, threads, 2 * threads * sizeof(float4), stream, array.data(),
         result.data());
  const std::vector<float> seen = result.download(stream);
  for (unsigned t = 0; t < threads; ++t) {
    const float4 a = from[2 * t], b = from[2 * t + 1];
    EXPECT_EQ(std::vector<float>(seen.begin() + kSeen * t, seen.begin() + kSeen * (t + 1)),
              (std::vector<float>{-2, a.x - 1, a.x + b.w, a.x + b.w, b.x + b.w}))
        << t;
  }
}

// More copies in total than the emulator keeps pending, with only a few in flight at a time.
__global__ void long_copy_kernel(const float4* from, float* sum, int count) {
  float4* places = simt::dynamic_shared<float4>();
  for (int i = 0; i < 3; ++i) {
    copy_async(&places[i], &from[i]);
    copy_commit();
  }
  *sum = 0;
  for (int i = 0; i < count; ++i) {
    copy_wait(2);
    *sum += places[i % 3].y;
    if (i + 3 < count) copy_async(&places[i % 3], &from[i + 3]);
    copy_commit();
  }
}

TEST_P(PrimitivesTest, CopiesInARing) {
  const int count = 1000;
  std::vector<float4> from(count, make_float4(0, 0, 0, 0));
  for (int i = 0; i < count; ++i) from[static_cast<size_t>(i)].y = static_cast<float>(i);
  const Array<float4> array(stream, from);
  const Array<float> sum(1);
  launch("ring", long_copy_kernel, 1, 1, 3 * sizeof(float4), stream, array.data(), sum.data(), count);
  EXPECT_EQ(sum.download(stream)[0], 499500.0f);
}

// --- memory and mathematics ---

__global__ void functions_kernel(float* x) {
  __stcs(x + 0, __ldg(x + 0) + __ldcs(x + 1) + __ldcg(x + 2));
  const float4 v = *reinterpret_cast<const float4*>(x + 4);
  x[1] = v.x + v.w + make_float2(1, 2).y;
  x[2] = rsqrtf(x[7]);
  x[3] = fmaf(2, 3, max(1.0f, min(x[4], 8.0f))) + static_cast<float>(max(3, 2) * min(3, 2));
}

TEST_P(PrimitivesTest, FunctionsOfCuda) {
  const Array<float> x(stream, {1, 2, 3, 0, 4, 5, 6, 16});
  launch("functions", functions_kernel, 1, 1, 0, stream, x.data());
  EXPECT_EQ(x.download(stream), (std::vector<float>{6, 22, 0.25f, 16, 4, 5, 6, 16}));
  EXPECT_EQ(__float2int_rn(2.5f), 2);
  EXPECT_EQ(__float2int_rn(-3.5f), -4);
  EXPECT_EQ(__float2int_rz(-3.5f), -3);
  EXPECT_EQ(__float_as_int(1.0f), 0x3f800000);
  EXPECT_EQ(__uint_as_float(__float_as_uint(-2.0f)), -2.0f);
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__umulhi(0x80000000u, 6), 3u);
  EXPECT_EQ(__umul64hi(uint64_t{1} << 63, 6), 3u);
  EXPECT_EQ(max(1.0f, NAN), 1.0f);  // as in CUDA, the number wins over NaN
  EXPECT_EQ(min(std::nan(""), 1.0), 1.0);
  EXPECT_EQ(rsqrt(4.0), 0.5);
}

}  // namespace simt_primitives_test
}  // namespace simt::testing
