#include "support/hostile.h"

#include <algorithm>
#include <iterator>

namespace sotalign::fuzz {

Json hostile_integer(Dice& dice) {
  if (dice.one_in(2)) return dice.below(12);
  if (dice.one_in(3)) {  // 2^k - 1, 2^k, 2^k + 1
    const uint64_t power = uint64_t{1} << dice.below(64);
    return power + dice.below(3) - 1;
  }
  constexpr uint64_t kKnown[] = {
      7767050136298756986u,                         // times 2 or 3 it wraps to a small number, modulo 2^64
      4611686018427387905u,                         // 2^62 + 1: times 4 bytes it wraps to 4
      6148914691236517206u,                         // times 3 it wraps to 2
      9223372036854775807u, 18446744073709551615u,  // maxima of int64 and uint64
      3037000500u,          4294967295u,           100000001u  // square exceeds int64; 32 bits; a limit
  };
  if (dice.one_in(2)) return dice.pick(kKnown);
  const uint64_t any = dice.next() >> dice.below(64);
  return dice.one_in(4) ? Json(-static_cast<int64_t>(any >> 1)) : Json(any);
}

Json hostile_value(Dice& dice) {
  if (!dice.one_in(3)) return hostile_integer(dice);
  switch (dice.below(10)) {
    case 0:
      return nullptr;
    case 1:
      return dice.one_in(2);
    case 2:
      return 2.5;
    case 3:
      return dice.one_in(2) ? 1e300 : -1e300;
    case 4:
      return -1;
    case 5:
      return hostile_number_text(dice);
    case 6: {
      Json list = Json::array();
      const size_t length = dice.one_in(8) ? 300 : dice.below(5);
      for (size_t i = 0; i < length; ++i) list.push_back(hostile_integer(dice));
      return list;
    }
    case 7: {
      Json nested = 1;
      const size_t depth = dice.one_in(8) ? 200 : dice.below(6);
      for (size_t i = 0; i < depth; ++i) nested = dice.one_in(2) ? Json{nested} : Json{{"a", nested}};
      return nested;
    }
    case 8:
      return Json::object();
    default:
      return 4.9e-324;
  }
}

std::string hostile_number_text(Dice& dice) {
  constexpr const char* kTexts[] = {"",
                                    "nan",
                                    "-nan",
                                    "inf",
                                    "-inf",
                                    "1e300",
                                    "1e999",
                                    "-1",
                                    "-0",
                                    "0x10",
                                    " 7",
                                    "7 ",
                                    "1e-400",
                                    "+5",
                                    "0.5",
                                    "07",
                                    "1_000",
                                    "1,0",
                                    "1e2",
                                    "NaN",
                                    "1.",
                                    ".5",
                                    "true",
                                    "9223372036854775807",
                                    "9223372036854775808",
                                    "-9223372036854775808",
                                    "18446744073709551616",
                                    "-1.0",
                                    "2",
                                    "0",
                                    "1"};
  if (dice.one_in(3)) return hostile_integer(dice).dump();
  return dice.pick(kTexts);
}

std::string hostile_name(Dice& dice) {
  switch (dice.below(7)) {
    case 0:
      return "";
    case 1:
      return std::string(dice.one_in(4) ? 5000 : 70, 'n');
    case 2:
      return "a\nb\x1b[2J";
    case 3:
      return "\xff\xfe";
    case 4:
      return "__metadata__";
    case 5:
      return std::string("nul\0nul", 7);
    default:
      return "image_head." + std::to_string(dice.below(4)) + ".weight";
  }
}

void change_somewhere(Dice& dice, Json& value) {
  if (!value.is_structured() || value.empty() || dice.one_in(6)) {
    value = hostile_value(dice);
    return;
  }
  auto part = value.begin();
  std::advance(part, static_cast<std::ptrdiff_t>(dice.below(value.size())));
  if (!dice.one_in(6)) return change_somewhere(dice, *part);
  if (value.is_array() && dice.one_in(2)) {
    value.insert(part, hostile_value(dice));
  } else if (value.is_array() || dice.one_in(2)) {
    value.erase(part);
  } else {
    value[hostile_name(dice)] = hostile_value(dice);
  }
}

}  // namespace sotalign::fuzz
