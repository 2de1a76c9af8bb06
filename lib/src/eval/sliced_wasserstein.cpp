#include "sotalign/eval/sliced_wasserstein.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "core/first_exception.h"
#include "eval/sorted_circular_transport.h"
#include "eval/unit_rows.h"
#include "kernels/cpu/blas_threads.h"
#include "kernels/gemm.h"
#include "kernels/sort_angles.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"

namespace sotalign {

namespace {

constexpr int64_t kMostPlanes = 32;                     // per batch of projections
constexpr int64_t kMostCoordinates = int64_t{1} << 26;  // in memory at a time: 256 MiB
constexpr int64_t kCpuTile = 512, kCudaTile = 1 << 16;  // rows per matrix product

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

/// Orthonormal bases of planes first ... first + count - 1: [2 count, d], two rows per plane.
std::vector<float> random_frames(uint64_t seed, int64_t first, int64_t count, int64_t d) {
  const RandomStream random(seed, stream_id("eval.planes"));
  const auto uniform = [&](int64_t index) {  // in (0, 1)
    return (static_cast<double>(random.bits32(static_cast<uint64_t>(index))) + 0.5) * 0x1p-32;
  };
  std::vector<float> frames;
  frames.reserve(static_cast<size_t>(2 * count * d));
  std::vector<double> a(static_cast<size_t>(d)), b(a.size());
  for (int64_t plane = first; plane < first + count; ++plane) {
    for (int64_t j = 0; j < d; ++j) {  // Box-Muller transform
      const double radius = std::sqrt(-2 * std::log(uniform(2 * (plane * d + j)))),
                   angle = 2 * std::numbers::pi * uniform(2 * (plane * d + j) + 1);
      a[static_cast<size_t>(j)] = radius * std::cos(angle);
      b[static_cast<size_t>(j)] = radius * std::sin(angle);
    }
    const auto scale = [](std::vector<double>& vector, double factor) {
      for (double& entry : vector) entry *= factor;
    };
    scale(a, 1 / std::sqrt(dot(a, a)));
    for (int pass = 0; pass < 2; ++pass) {  // again, as b may be nearly parallel to a
      const double along = dot(a, b);
      for (size_t j = 0; j < a.size(); ++j) b[j] -= along * a[j];
      scale(b, 1 / std::sqrt(dot(b, b)));
    }
    frames.insert(frames.end(), a.begin(), a.end());
    frames.insert(frames.end(), b.begin(), b.end());
  }
  return frames;
}

/// One of the two sets: unit rows on the device, and their sorted angles in the current planes.
class ProjectedSet {
 public:
  ProjectedSet(Context& context, ConstMatrixF x, int64_t most_planes, const char* name)
      : context_(context),
        unit_(unit_rows_with_direction(context, x, "spherical_sliced_wasserstein", name)),
        coordinates_(context, 2 * most_planes, x.rows, "coordinates"),
        turns_(context, most_planes, x.rows, "angles"),
        host_(on_cpu() ? 0 : static_cast<size_t>(most_planes * x.rows)) {}

  /// @param frames [2 planes, d]
  void project(ConstMatrixF frames) {
    const int64_t n = unit_.rows(), tile = on_cpu() ? kCpuTile : kCudaTile, tiles = (n + tile - 1) / tile;
    // On the CPU each product runs on one thread, so that its rounding does not depend on the number of
    // threads.
    kernels::Queue queue = context_.queue();
    if (on_cpu()) queue.threads = 1;
    const auto multiply = [&](int64_t t) {
      kernels::gemm(queue, kernels::Gemm<float>{.transpose_b = kernels::Transpose::kYes,
                                                .m = frames.rows,
                                                .n = std::min(tile, n - t * tile),
                                                .k = frames.cols,
                                                .a = frames.data,
                                                .a_stride = frames.stride,
                                                .b = unit_.data() + t * tile * unit_.cols(),
                                                .b_stride = unit_.cols(),
                                                .c = coordinates_.data() + t * tile,
                                                .c_stride = n});
    };
    if (on_cpu()) {
      kernels::cpu::prepare_blas_calls(1, context_.threads());
#pragma omp parallel for num_threads(context_.threads()) schedule(static)
      for (int64_t t = 0; t < tiles; ++t) multiply(t);
    } else {
      for (int64_t t = 0; t < tiles; ++t) multiply(t);
    }
    kernels::SortAngles args{.points = coordinates_.data(),
                             .points_stride = n,
                             .planes = frames.rows / 2,
                             .count = n,
                             .turns = turns_.data()};
    Workspace workspace(context_);
    args.scratch =
        workspace.take<char>(static_cast<int64_t>(kernels::sort_angles_scratch(context_.queue(), args)));
    kernels::sort_angles(context_.queue(), args);
    if (!on_cpu())
      context_.copy_to_host(host_.data(), turns_.data(),
                            static_cast<size_t>(args.planes * n) * sizeof(double));
  }

  /// The angles of all rows in one of the current planes, in turns, ascending.
  std::span<const double> sorted_turns(int64_t plane) const {
    const double* first = on_cpu() ? turns_.data() : host_.data();
    return {first + plane * unit_.rows(), static_cast<size_t>(unit_.rows())};
  }

 private:
  bool on_cpu() const { return context_.device().kind == DeviceKind::kCpu; }

  Context& context_;
  Matrix<float> unit_, coordinates_;
  Matrix<double> turns_;
  std::vector<double> host_;  // a copy; on the CPU, where the angles are on the host already, it is empty
};

}  // namespace

SlicedWasserstein spherical_sliced_wasserstein(Context& context, ConstMatrixF x, ConstMatrixF y,
                                               const SlicedWassersteinOptions& options) {
  if (x.cols != y.cols)
    throw InvalidArgument(fmt::format(
        "spherical_sliced_wasserstein: x and y need equally many columns, found {} and {}", x.cols, y.cols));
  if (x.rows < 1 || y.rows < 1 || x.cols < 2)
    throw InvalidArgument(
        fmt::format("spherical_sliced_wasserstein: expected rows of at least 2 columns, found [{}, {}] and "
                    "[{}, {}]",
                    x.rows, x.cols, y.rows, y.cols));
  if (std::max({x.rows, y.rows, x.cols}) > std::numeric_limits<int32_t>::max())
    throw InvalidArgument(
        fmt::format("spherical_sliced_wasserstein: expected fewer than 2^31 rows and columns, found [{}, {}] "
                    "and [{}, {}]",
                    x.rows, x.cols, y.rows, y.cols));
  if (options.projections < 2)
    throw InvalidArgument(fmt::format(
        "spherical_sliced_wasserstein: projections, expected at least 2, found {}", options.projections));

  const int64_t planes = std::clamp(kMostCoordinates / (2 * (x.rows + y.rows)), int64_t{1},
                                    std::min(kMostPlanes, options.projections));
  ProjectedSet first_set(context, x, planes, "x"), second_set(context, y, planes, "y");
  Matrix<float> frames(context, 2 * planes, x.cols, "planes");
  std::vector<double> squares(static_cast<size_t>(options.projections));
  for (int64_t first = 0; first < options.projections; first += planes) {
    const int64_t count = std::min(planes, options.projections - first);
    const std::vector<float> host_frames = random_frames(options.seed, first, count, x.cols);
    context.copy_to_device(frames.data(), host_frames.data(), host_frames.size() * sizeof(float));
    const ConstMatrixF in_use = frames.view().row_range(0, 2 * count);
    first_set.project(in_use);
    second_set.project(in_use);
    detail::FirstException failure;
#pragma omp parallel for num_threads(context.threads()) schedule(dynamic, 1)
    for (int64_t plane = 0; plane < count; ++plane)
      failure.guard([&] {
        squares[static_cast<size_t>(first + plane)] = detail::squared_circular_wasserstein_sorted(
            first_set.sorted_turns(plane), second_set.sorted_turns(plane));
      });
    failure.rethrow();
  }

  const double count = static_cast<double>(options.projections);
  double mean = 0, deviation = 0;
  for (const double square : squares) mean += square / count;
  for (const double square : squares) deviation += (square - mean) * (square - mean) / (count - 1);
  SlicedWasserstein result{.distance = std::sqrt(mean), .projections = options.projections};
  // The standard error of SSW^2, divided by its derivative 2 SSW (delta method).
  if (mean > 0) result.standard_error = std::sqrt(deviation / count) / (2 * result.distance);
  return result;
}

}  // namespace sotalign
