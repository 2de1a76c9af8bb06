// Whether a solve runs on the chip (kernels/sinkhorn_on_chip.h): it must fit, and the device must have shown
// that it gets the same results that way.
#include "kernels/sinkhorn_on_chip.h"

#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <mutex>

#include "ot/sinkhorn_solver.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"

namespace sotalign {

namespace detail {

namespace {

kernels::OnChipMapping mapping_of(const Context& context, const kernels::EntropicBatch& problems) {
  return sinkhorn_on_chip_mapping(context.queue(), {.problems = problems});
}

/// The same small problems by both ways, on a context of their own. Returns what is wrong, or nothing.
std::string compare_placements(Device device) {
  constexpr int64_t kRows = 150, kCols = 96;
  const std::vector<SinkhornOptions> options = {
      {.epsilon = 0.1, .solve = {.iterations = 50, .tolerance = 1e-6, .relaxation = 1.2}},
      {.epsilon = 0.02, .solve = {.iterations = 50, .tolerance = 1e-6, .relaxation = 1.2}}};
  try {
    Context context(device);
    std::vector<float> values(static_cast<size_t>(2 * kRows * kCols));
    const RandomStream random(1, 0);
    for (size_t i = 0; i < values.size(); ++i) values[i] = random.uniform(i);
    const Matrix<float> affinity(context, values.data(), 2 * kRows, kCols);
    std::vector<std::vector<double>> potentials;
    for (const auto placement : {SinkhornSolver::Placement::kLaunches, SinkhornSolver::Placement::kOnChip}) {
      SinkhornSolver solver(context, kRows, kCols, options);
      solver.place(placement);
      solver.solve(affinity);
      for (const int64_t problem : {0, 1}) {
        potentials.push_back(solver.row_potentials(problem));
        potentials.push_back(solver.column_potentials(problem));
      }
    }
    for (size_t i = 0; i < potentials.size() / 2; ++i)
      if (potentials[i] != potentials[i + potentials.size() / 2]) return "its results differ";
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// The first call for a device compares, and says so if the results differ.
const std::string& fault_of(Device device) {
  static std::mutex mutex;
  static std::map<int, std::string> faults;
  const std::lock_guard lock(mutex);
  const auto [found, added] = faults.try_emplace(device.index);
  if (added) {
    found->second = compare_placements(device);
    if (!found->second.empty())
      std::fputs(fmt::format("sotalign: {} does not solve small problems on the chip: {}\n",
                             to_string(device), found->second)
                     .c_str(),
                 stderr);
  }
  return found->second;
}

}  // namespace

bool SinkhornSolver::on_chip(Group group) const {
  if (placement_ == Placement::kLaunches || mapping_of(*context_, problems(group)).blocks == 0) return false;
  return placement_ == Placement::kOnChip || fault_of(context_->device()).empty();
}

}  // namespace detail

OnChipSupport sinkhorn_on_chip_support(const Context& context) {
  if (context.device().kind == DeviceKind::kCpu)
    return {.most_rows = 0, .why_not = "the CPU backend launches nothing"};
  if (context.queue().plain) return {.most_rows = 0, .why_not = "SOTALIGN_PLAIN is 1"};
  const auto fits = [&](int64_t size) {
    return detail::mapping_of(context, {.rows = size, .cols = size}).blocks > 0;
  };
  if (!fits(1)) return {.most_rows = 0, .why_not = "the device has no cooperative launches"};
  const std::string& fault = detail::fault_of(context.device());
  if (!fault.empty()) return {.most_rows = 0, .why_not = fault};
  int64_t most = 1, too_many = int64_t{1} << 15;
  while (too_many - most > 1) {
    const int64_t middle = (most + too_many) / 2;
    (fits(middle) ? most : too_many) = middle;
  }
  return {.most_rows = most, .why_not = ""};
}

}  // namespace sotalign
