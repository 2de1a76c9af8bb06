// Values that a file should not contain: limits of number types, sizes whose products wrap, wrong types.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "support/dice.h"

namespace sotalign::fuzz {

using Json = nlohmann::ordered_json;

/// An integer near a power of two, near a common size, or one that makes a product wrap.
Json hostile_integer(Dice& dice);
/// An integer as above, a float, or a value of another type: null, text, long or nested lists, objects.
Json hostile_value(Dice& dice);
/// A number as text: "1e300", "-0", "0x10", " 7", "nan", "".
std::string hostile_number_text(Dice& dice);
/// A name of a tensor or key: empty, long, with quotes, line ends or bytes that are not UTF-8.
std::string hostile_name(Dice& dice);
/// Replaces a random part of the value, at any depth.
void change_somewhere(Dice& dice, Json& value);

}  // namespace sotalign::fuzz
