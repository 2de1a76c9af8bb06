// Which form a solve takes, and the line that says so.
#include <fmt/format.h>

#include "kernels/sinkhorn_scaling.h"
#include "ot/sinkhorn_ragged.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign {

namespace {

/// Making a density costs about as much as two log-domain iterations, and each further one saves half.
constexpr int64_t kWorthDensity = 6;

std::string describe(const kernels::ScalingMapping& m) {
  if (m.reads == 2)
    return fmt::format("two reads an iteration, as registers do not hold so many columns; {} chunks of rows",
                       m.chunks);
  if (m.threads == 0)
    return fmt::format(
        "one read an iteration, in groups of {} rows, two of which fit a second-level cache; "
        "{} chunks of rows, one a thread at a time",
        m.rows_at_once, m.chunks);
  return fmt::format(
      "one read an iteration by {} blocks of {} threads with {} columns each in registers; {} "
      "rows to a barrier, {} KiB on their way meanwhile",
      m.chunks, m.threads, m.columns, m.rows_at_once, m.ahead_bytes / 1024);
}

}  // namespace

bool Sinkhorn::scaling_form() const {
  const SinkhornOptions& o = options_[0];
  return o.form == SinkhornForm::kScaling ||
         (o.form == SinkhornForm::kAuto && o.iterations - descent_ >= kWorthDensity);
}

int64_t Sinkhorn::density_bytes(int64_t rows, int64_t cols) {
  return kernels::density_bytes(1, rows, cols, kernels::DensityType::kFloat);
}

int64_t Sinkhorn::density_bytes(Group group) const {
  return ragged() ? ragged_->density_bytes : group.count * density_bytes(rows_, cols_);
}

std::string Sinkhorn::describe() const {
  const bool chosen = options_[0].form != SinkhornForm::kAuto;
  if (!scaling_form())
    return fmt::format("log domain ({}): one read and one exponential per entry an iteration",
                       chosen ? "chosen" : "so few iterations do not repay a density");
  const bool ladder = options_[0].storage == SinkhornStorage::kLadder;
  const kernels::SinkhornScaling scaling{
      .problems = problems(all(), {}, 0),
      .type = ladder ? kernels::DensityType::kBfloat16 : kernels::DensityType::kFloat};
  return fmt::format(
      "scaling form ({}), {} density in {:.1f} MiB: {}",
      chosen ? "chosen" : fmt::format("up to {} iterations repay a density", options_[0].iterations),
      ladder ? "bfloat16, then float" : "float", static_cast<double>(density_bytes(all())) / (1 << 20),
      sotalign::describe(sinkhorn_scaling_mapping(context_->queue(), scaling)));
}

}  // namespace sotalign
