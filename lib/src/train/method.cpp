#include "sotalign/train/method.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sotalign/core/error.h"

namespace sotalign {

namespace {

struct Entry {
  Method method;
  const char *name, *title;
  bool needs_unpaired;
};
constexpr Entry kMethods[] = {
    {Method::kSotalign, "sotalign", "SOTAlign", true},
    {Method::kSail, "sail", "SAIL", false},
    {Method::kSailSemi, "sail_semi", "SAIL semi", true},
    {Method::kStructure, "structure", "STRUCTURE", false},
    {Method::kStructureSemi, "structure_semi", "STRUCTURE semi", true},
    {Method::kNnclr, "nnclr", "NNCLR", true},
    {Method::kSclip, "sclip", "S-CLIP", true},
};

const Entry& entry_of(Method method) {
  for (const Entry& entry : kMethods)
    if (entry.method == method) return entry;
  throw InvalidArgument(fmt::format("method: none has the number {}", static_cast<int>(method)));
}

}  // namespace

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kMethods) names.emplace_back(entry.name);
  return names;
}

Method parse_method(const std::string& name) {
  for (const Entry& entry : kMethods)
    if (name == entry.name) return entry.method;
  throw InvalidArgument(
      fmt::format("method: expected one of {}, found '{}'", fmt::join(method_names(), ", "), name));
}

std::string to_string(Method method) { return entry_of(method).name; }
std::string title(Method method) { return entry_of(method).title; }
bool needs_unpaired(Method method) { return entry_of(method).needs_unpaired; }

}  // namespace sotalign
