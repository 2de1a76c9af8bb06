#include "core/cuda_architectures.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace sotalign::detail {

namespace {

std::optional<CudaArchitecture> parse_one(std::string_view text) {
  CudaArchitecture result;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result.number);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (text.starts_with('a') || text.starts_with('f')) {
    result.reach = text.starts_with('a') ? CudaArchitecture::Reach::kExact : CudaArchitecture::Reach::kFamily;
    text.remove_prefix(1);
  }
  if (!text.empty() && text != "-real" && text != "-virtual") return std::nullopt;
  result.machine_code = text != "-virtual";
  result.ptx = text != "-real";
  return result;
}

}  // namespace

std::vector<CudaArchitecture> parse_cuda_architectures(std::string_view text) {
  std::vector<CudaArchitecture> list;
  while (!text.empty()) {
    const size_t length = std::min(text.find(' '), text.size());
    if (const auto architecture = parse_one(text.substr(0, length))) list.push_back(*architecture);
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const CudaArchitecture& x, const CudaArchitecture& y) { return x.number < y.number; });
  return list;
}

bool can_run(const std::vector<CudaArchitecture>& architectures, int major, int minor) {
  const int device = 10 * major + minor;
  return std::any_of(architectures.begin(), architectures.end(), [&](const CudaArchitecture& compiled) {
    if (device < compiled.number) return false;
    const bool same_major = device / 10 == compiled.number / 10;
    switch (compiled.reach) {
      case CudaArchitecture::Reach::kExact:
        return device == compiled.number;
      case CudaArchitecture::Reach::kFamily:
        return same_major;
      case CudaArchitecture::Reach::kLater:
        break;
    }
    return compiled.ptx || (compiled.machine_code && same_major);
  });
}

}  // namespace sotalign::detail
