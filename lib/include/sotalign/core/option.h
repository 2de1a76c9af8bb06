// Options that an extension declares: a training method or a divergence that is registered by name. The
// library checks their values, and the program makes a flag of each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "sotalign/core/export.h"

namespace SOTALIGN_API sotalign {

using OptionValue = std::variant<int64_t, double, std::string>;

/// Values by key. Options that it lacks have their defaults.
using OptionValues = std::map<std::string, OptionValue>;

/// Numbers that an option accepts; all must be finite.
enum class OptionRange { kAny, kNotNegative, kPositive };

/// Declares an option.
struct OptionInfo {
  std::string key;      ///< "sclip_weight": the key in JSON; the flag is --sclip-weight
  std::string help;     ///< one or two lines
  OptionValue initial;  ///< the default; its type is the option's type
  OptionRange range = OptionRange::kAny;
  std::vector<std::string> choices = {};  ///< for strings: the values that it accepts; empty: any

  bool operator==(const OptionInfo&) const = default;
};

/// Throws InvalidArgument, starting with the key, if `value` has the wrong type or is out of range. Options
/// of type double accept integers.
void check_option(const OptionInfo& option, const OptionValue& value);

/// The value of `option`: the given one, else its default. T is int64_t, double or std::string. Throws
/// InvalidArgument if the option has another type.
template <class T>
T option_value(const OptionInfo& option, const OptionValues& given);

}  // namespace sotalign
