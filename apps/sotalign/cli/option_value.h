// The variables that options set, and the conversion of a flag's text or of a JSON value to them.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sotalign/core/option.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign::app {

/// An enumeration whose values are read and set by name.
struct Choice {
  std::vector<std::string> names;
  std::function<std::string()> get;
  std::function<void(const std::string&)> set;  ///< takes one of the names
};

template <class E>
Choice choice(E* target, std::vector<std::pair<std::string, E>> values) {
  Choice result;
  for (const auto& [name, value] : values) result.names.push_back(name);
  result.get = [target, values] {
    for (const auto& [name, value] : values)
      if (value == *target) return name;
    return std::string();
  };
  result.set = [target, values](const std::string& text) {
    for (const auto& [name, value] : values)
      if (name == text) *target = value;
  };
  return result;
}

/// A number, or "auto" for std::nullopt.
template <class T>
struct AutoOr {
  std::optional<T>* value;
  T most = std::numeric_limits<T>::max();
};

/// One number for two variables; "auto" leaves them as they are, and is the value where they differ.
struct ForBoth {
  double *first, *second;
};

/// A number that determines how much is computed or allocated. A value above `most` is a mistake, and later
/// arithmetic may overflow.
struct AtMost {
  int64_t* value;
  int64_t most;
};
struct ListAtMost {
  std::vector<int64_t>* values;
  size_t entries;
  int64_t most;  ///< bound of each entry
};

/// An option that a method or a divergence declares: an entry of a map, which lacks it at its default.
struct Declared {
  OptionValues* values;
  OptionInfo option;
};

/// The variable that an option sets: a std::vector<std::string> is one text, or a list of texts. Its value
/// when the option is added is the default.
using Target = std::variant<int64_t*, uint64_t*, double*, std::optional<double>*, bool*, Symmetrize*,
                            std::string*, std::vector<std::string>*, std::vector<int64_t>*, AtMost,
                            ListAtMost, AutoOr<int64_t>, AutoOr<double>, ForBoth, Choice, Declared>;

/// Returns false, and leaves the target unchanged, if the value does not fit it.
bool assign(const nlohmann::ordered_json& value, const Target& target);

/// The target's current value.
nlohmann::ordered_json value_of(const Target& target);

/// Converts a flag's text to JSON. Text that is not a value of the target's type becomes a string, which
/// assign() rejects.
nlohmann::ordered_json parse_text(const std::string& text, const Target& target);
/// The same for all texts of a flag. The last one counts; for a list of texts, all those of the flag's last
/// occurrence: an empty text is in front of each occurrence but the first.
nlohmann::ordered_json parse_texts(const std::vector<std::string>& texts, const Target& target);

/// What assign() accepts, for errors: "an integer".
std::string expectation(const Target& target);

/// The placeholder of the value in the help text; `for_text` stands for any text.
std::string type_name(const Target& target, const std::string& for_text);

}  // namespace sotalign::app
