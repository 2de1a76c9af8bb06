#include "sotalign/ot/klot_memory.h"

#include <fmt/format.h>

#include "sotalign/ot/embedding_klot.h"

namespace sotalign {

namespace {
std::string readable(int64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.1f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

KlotMemoryPlan plan_of(KlotMemory memory, int64_t bytes, const std::string& why) {
  return {memory, bytes, fmt::format("{}: {} {}", to_string(memory), readable(bytes), why)};
}
}  // namespace

std::string to_string(KlotMemory memory) {
  switch (memory) {
    case KlotMemory::kStored:
      return "stored";
    case KlotMemory::kFixed16:
      return "fixed16";
    case KlotMemory::kStreamed:
      return "streamed";
  }
  return "";
}

int64_t klot_memory_bytes(const Context& context, int64_t rows, int64_t cols, KlotMemory memory) {
  return EmbeddingKlot::memory_bytes(context, rows, cols, memory);
}

KlotMemoryPlan plan_klot_memory(const Context& context, int64_t rows, int64_t cols, int64_t available) {
  const auto bytes = [&](KlotMemory memory) { return klot_memory_bytes(context, rows, cols, memory); };
  const auto plan = [&](KlotMemory memory, const std::string& why) {
    return plan_of(memory, bytes(memory), why);
  };
  const std::string of = "of " + readable(available);
  if (available < 0) return plan(KlotMemory::kStored, "of an unknown amount");
  if (bytes(KlotMemory::kStored) <= available) return plan(KlotMemory::kStored, of);
  const std::string instead = of + ", stored would be " + readable(bytes(KlotMemory::kStored));
  if (bytes(KlotMemory::kFixed16) <= available) return plan(KlotMemory::kFixed16, instead);
  return plan(KlotMemory::kStreamed, instead + ", fixed16 " + readable(bytes(KlotMemory::kFixed16)));
}

KlotMemoryPlan plan_klot_memory(const Context& context, int64_t rows, int64_t cols, KlotMemory memory) {
  return plan_of(memory, klot_memory_bytes(context, rows, cols, memory), "as requested");
}

}  // namespace sotalign
