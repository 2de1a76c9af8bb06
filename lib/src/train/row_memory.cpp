#include "sotalign/train/row_memory.h"

#include <fmt/format.h>

#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {

std::string gib(int64_t bytes) { return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30)); }

int64_t bytes_of(const EmbeddingRows& rows) {
  return checked_product("unpaired rows", checked_product("unpaired rows", rows.rows(), rows.cols()),
                         sizeof(float));
}

}  // namespace

RowMemoryPlan plan_row_memory(const Context& context, const EmbeddingRows& images, const EmbeddingRows& texts,
                              std::optional<RowMemory> asked) {
  RowMemoryPlan plan{.bytes = bytes_of(images) + bytes_of(texts)};
  const bool by_rows = images.stored_by_rows() && texts.stored_by_rows();
  if (asked) {
    if (*asked == RowMemory::kStreamed && !by_rows)
      throw InvalidArgument(
          "unpaired_memory: expected files in C order to stream from, found one in Fortran order");
    plan.memory = *asked;
    plan.reason = fmt::format("{}, as asked: {} in float32", to_string(plan.memory), gib(plan.bytes));
    return plan;
  }
  const int64_t available =
      context.device().kind == DeviceKind::kCpu ? kMostStoredBytes : context.available_bytes() / 4;
  const auto stored = [&](const std::string& why) {
    plan.reason = "stored: " + why;
    return plan;
  };
  if (!images.in_files() && !texts.in_files()) return stored(gib(plan.bytes) + ", in memory already");
  if (context.available_bytes() < 0 && context.device().kind != DeviceKind::kCpu)
    return stored(gib(plan.bytes) + ", and the free memory is unknown");
  if (plan.bytes <= available)
    return stored(fmt::format("{} of at most {}", gib(plan.bytes), gib(available)));
  if (!by_rows) return stored(gib(plan.bytes) + ", as a file in Fortran order cannot be streamed");
  plan.memory = RowMemory::kStreamed;
  plan.reason = fmt::format("streamed: {} are more than {}", gib(plan.bytes), gib(available));
  return plan;
}

}  // namespace sotalign
