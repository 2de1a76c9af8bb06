// Values that a file should not have: the edges of number types, products that wrap, other types.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "support/dice.h"

namespace sotalign::fuzz {

using Json = nlohmann::ordered_json;

/// An integer around a power of two, around a size that occurs, or one that makes a product wrap.
Json hostile_integer(Dice& dice);
/// The same, a float, or a value of another type: null, text, lists that are long or nested, objects.
Json hostile_value(Dice& dice);
/// A number as text: "1e300", "-0", "0x10", " 7", "nan", "".
std::string hostile_number_text(Dice& dice);
/// A name of a tensor or key: empty, long, with quotes, line ends or bytes that are no UTF-8.
std::string hostile_name(Dice& dice);
/// Replaces a random part of the value, however deep it lies.
void change_somewhere(Dice& dice, Json& value);

}  // namespace sotalign::fuzz
