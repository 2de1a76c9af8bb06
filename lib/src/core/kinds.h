// Enumerations whose values have names. A table is an array of entries with the members `kind` and `name`.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "sotalign/core/error.h"

namespace sotalign::detail {

template <class Entry, size_t kCount>
std::vector<std::string> kind_names(const Entry (&table)[kCount]) {
  std::vector<std::string> names;
  names.reserve(kCount);
  for (const Entry& entry : table) names.emplace_back(entry.name);
  return names;
}

/// Throws InvalidArgument, starting with `what` and listing the names, for an unknown one.
template <class Entry, size_t kCount>
auto parse_kind(const char* what, const Entry (&table)[kCount], const std::string& name) {
  for (const Entry& entry : table)
    if (name == entry.name) return entry.kind;
  throw InvalidArgument(
      fmt::format("{}: expected one of {}, found '{}'", what, fmt::join(kind_names(table), ", "), name));
}

/// Throws InvalidArgument, starting with `what`, for a number that is no kind.
template <class Kind, class Entry, size_t kCount>
const Entry& kind_entry(const char* what, const Entry (&table)[kCount], Kind kind) {
  for (const Entry& entry : table)
    if (entry.kind == kind) return entry;
  throw InvalidArgument(fmt::format("{}: no kind has the number {}", what, static_cast<int>(kind)));
}

}  // namespace sotalign::detail
