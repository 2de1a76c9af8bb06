#include "sotalign/core/option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "sotalign/core/error.h"

namespace sotalign {

namespace {

std::string shown(const OptionValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return fmt::format("'{}'", *text);
  return std::visit([](const auto& v) { return fmt::format("{}", v); }, value);
}

std::string expectation(const OptionInfo& option) {
  if (!option.choices.empty()) return fmt::format("one of {}", fmt::join(option.choices, ", "));
  if (std::holds_alternative<std::string>(option.initial)) return "a string";
  const std::string type = std::holds_alternative<double>(option.initial) ? "a number" : "an integer";
  return option.range == OptionRange::kPositive      ? type + " > 0"
         : option.range == OptionRange::kNotNegative ? type + " >= 0"
                                                     : type;
}

/// Converts integers for options of type double.
OptionValue converted(const OptionInfo& option, const OptionValue& value) {
  const auto* integer = std::get_if<int64_t>(&value);
  if (integer && std::holds_alternative<double>(option.initial)) return static_cast<double>(*integer);
  return value;
}

bool accepts(const OptionInfo& option, const OptionValue& value) {
  if (value.index() != option.initial.index()) return false;
  if (const auto* text = std::get_if<std::string>(&value))
    return option.choices.empty() ||
           std::find(option.choices.begin(), option.choices.end(), *text) != option.choices.end();
  const auto* real = std::get_if<double>(&value);
  if (real && !std::isfinite(*real)) return false;
  const double number = real ? *real : static_cast<double>(std::get<int64_t>(value));
  return option.range == OptionRange::kPositive      ? number > 0
         : option.range == OptionRange::kNotNegative ? number >= 0
                                                     : true;
}

}  // namespace

void check_option(const OptionInfo& option, const OptionValue& value) {
  if (!accepts(option, converted(option, value)))
    throw InvalidArgument(
        fmt::format("{}: expected {}, found {}", option.key, expectation(option), shown(value)));
}

template <class T>
T option_value(const OptionInfo& option, const OptionValues& given) {
  const auto found = given.find(option.key);
  const OptionValue value = found == given.end() ? option.initial : converted(option, found->second);
  if (const T* typed = std::get_if<T>(&value)) return *typed;
  throw InvalidArgument(fmt::format("{}: {} has another type than its reader", option.key, shown(value)));
}
template int64_t option_value(const OptionInfo&, const OptionValues&);
template double option_value(const OptionInfo&, const OptionValues&);
template std::string option_value(const OptionInfo&, const OptionValues&);

}  // namespace sotalign
