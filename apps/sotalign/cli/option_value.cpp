#include "cli/option_value.h"
#include "cli/json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace sotalign::app {

namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

std::string alternatives(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, " or "));
}

bool assign_integer(const Json& value, int64_t& target) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return false;
  target = value.get<int64_t>();
  return true;
}

bool assign_number(const Json& value, double& target) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) return false;
  target = value.get<double>();
  return true;
}

bool assign_value(const Json& value, int64_t& target) { return assign_integer(value, target); }
bool assign_value(const Json& value, double& target) { return assign_number(value, target); }

template <class T>
bool assign_auto(const Json& value, const AutoOr<T>& target) {
  if (value == "auto") {
    *target.value = std::nullopt;
    return true;
  }
  T number{};
  if (!assign_value(value, number) || number > target.most) return false;
  *target.value = number;
  return true;
}

bool assign_list(const Json& value, std::vector<int64_t>& target) {
  if (!value.is_array()) return false;
  std::vector<int64_t> list(value.size());
  for (size_t i = 0; i < list.size(); ++i)
    if (!assign_integer(value[i], list[i])) return false;
  target = std::move(list);
  return true;
}

OptionValue current(const Declared& d) {
  return std::visit([&]<class T>(const T&) { return OptionValue(option_value<T>(d.option, *d.values)); },
                    d.option.initial);
}

/// A target that sets `variable`, which has the type of the option.
Target plain(const OptionInfo& option, OptionValue& variable) {
  if (option.choices.empty()) return std::visit([](auto& v) { return Target(&v); }, variable);
  std::vector<std::pair<std::string, std::string>> names;
  names.reserve(option.choices.size());
  for (const std::string& name : option.choices) names.emplace_back(name, name);
  return choice(&std::get<std::string>(variable), names);
}

/// For what depends only on the type of a declared option.
template <class Function>
std::string of_plain(const Declared& d, Function function) {
  OptionValue variable = d.option.initial;
  return function(plain(d.option, variable));
}

Json parse_number(const std::string& text) {
  const char *first = text.data(), *last = first + text.size();
  uint64_t natural = 0;
  if (const auto [end, error] = std::from_chars(first, last, natural); error == std::errc() && end == last)
    return natural;
  int64_t integer = 0;
  if (const auto [end, error] = std::from_chars(first, last, integer); error == std::errc() && end == last)
    return integer;
  double number = 0;
  if (const auto [end, error] = std::from_chars(first, last, number); error == std::errc() && end == last)
    return number;
  return text;  // not a number: assign() rejects it
}

/// A flag without a value means true.
Json parse_bool(const std::string& text) {
  if (text.empty() || text == "true") return true;
  return text == "false" ? Json(false) : Json(text);
}

Json parse_list(const std::string& text) {
  Json list = Json::array();
  for (size_t first = 0; first < text.size();) {
    const size_t comma = std::min(text.find(',', first), text.size());
    list.push_back(parse_number(text.substr(first, comma - first)));
    first = comma + 1;
  }
  return list;
}

}  // namespace

bool assign(const Json& value, const Target& target) {
  return std::visit(
      Overloaded{
          [&](int64_t* t) { return assign_integer(value, *t); },
          [&](uint64_t* t) {
            if (!value.is_number_unsigned()) return false;
            *t = value.get<uint64_t>();
            return true;
          },
          [&](double* t) { return assign_number(value, *t); },
          [&](std::optional<double>* t) {
            double number = 0;
            if (!value.is_null() && !assign_number(value, number)) return false;
            *t = value.is_null() ? std::nullopt : std::optional<double>(number);
            return true;
          },
          [&](bool* t) {
            if (!value.is_boolean()) return false;
            *t = value.get<bool>();
            return true;
          },
          [&](Symmetrize* t) {
            if (!value.is_boolean()) return false;
            *t = value.get<bool>() ? Symmetrize::kYes : Symmetrize::kNo;
            return true;
          },
          [&](std::string* t) {
            // System calls would cut a path off at a NUL.
            if (!value.is_string() || value.get_ref<const std::string&>().find('\0') != std::string::npos)
              return false;
            *t = value.get<std::string>();
            return true;
          },
          [&](std::vector<std::string>* t) {
            std::vector<std::string> texts;
            for (const Json& item : value.is_array() ? value : Json::array({value})) {
              std::string text;
              if (!assign(item, &text)) return false;
              if (!text.empty()) texts.push_back(std::move(text));
            }
            *t = std::move(texts);
            return true;
          },
          [&](std::vector<int64_t>* t) { return assign_list(value, *t); },
          [&](const AtMost& t) {
            int64_t number = 0;
            if (!assign_integer(value, number) || number > t.most) return false;
            *t.value = number;
            return true;
          },
          [&](const ListAtMost& t) {
            std::vector<int64_t> list;
            if (!assign_list(value, list) || list.size() > t.entries) return false;
            if (std::any_of(list.begin(), list.end(), [&](int64_t entry) { return entry > t.most; }))
              return false;
            *t.values = std::move(list);
            return true;
          },
          [&](AutoOr<int64_t> t) { return assign_auto(value, t); },
          [&](AutoOr<double> t) { return assign_auto(value, t); },
          [&](ForBoth t) {
            double number = 0;
            if (value == "auto") return true;
            if (!assign_number(value, number)) return false;
            *t.first = *t.second = number;
            return true;
          },
          [&](const Choice& c) {
            if (!value.is_string()) return false;
            const std::string name = value.get<std::string>();
            if (std::find(c.names.begin(), c.names.end(), name) == c.names.end()) return false;
            c.set(name);
            return true;
          },
          [&](const Declared& d) {
            OptionValue variable = current(d);
            if (!assign(value, plain(d.option, variable))) return false;
            (*d.values)[d.option.key] = variable;
            return true;
          },
      },
      target);
}

Json value_of(const Target& target) {
  return std::visit(Overloaded{
                        [](const auto* t) { return Json(*t); },
                        [](const Symmetrize* t) { return Json(*t == Symmetrize::kYes); },
                        [](const std::vector<std::string>* t) {
                          return t->size() > 1 ? Json(*t) : Json(t->empty() ? "" : t->front());
                        },
                        [](const std::optional<double>* t) { return *t ? Json(**t) : Json(nullptr); },
                        [](const AtMost& t) { return Json(*t.value); },
                        [](const ListAtMost& t) { return Json(*t.values); },
                        [](AutoOr<int64_t> t) { return *t.value ? Json(**t.value) : Json("auto"); },
                        [](AutoOr<double> t) { return *t.value ? Json(**t.value) : Json("auto"); },
                        [](ForBoth t) { return *t.first == *t.second ? Json(*t.first) : Json("auto"); },
                        [](const Choice& c) { return Json(c.get()); },
                        [](const Declared& d) {
                          return std::visit([](const auto& value) { return Json(value); }, current(d));
                        },
                    },
                    target);
}

Json parse_text(const std::string& text, const Target& target) {
  return std::visit(Overloaded{
                        [&](std::string*) { return Json(text); },
                        [&](std::vector<std::string>*) { return Json(text); },
                        [&](const Choice&) { return Json(text); },
                        [&](const Declared& d) {
                          OptionValue variable = d.option.initial;
                          return parse_text(text, plain(d.option, variable));
                        },
                        [&](bool*) { return parse_bool(text); },
                        [&](Symmetrize*) { return parse_bool(text); },
                        [&](std::vector<int64_t>*) { return parse_list(text); },
                        [&](const ListAtMost&) { return parse_list(text); },
                        [&](auto) { return parse_number(text); },
                    },
                    target);
}

Json parse_texts(const std::vector<std::string>& texts, const Target& target) {
  if (!std::holds_alternative<std::vector<std::string>*>(target)) return parse_text(texts.back(), target);
  const auto last = std::find(texts.rbegin(), texts.rend(), "").base();
  return Json(std::vector<std::string>(last, texts.end()));
}

std::string expectation(const Target& target) {
  return std::visit(Overloaded{
                        [](int64_t*) -> std::string { return "an integer"; },
                        [](uint64_t*) -> std::string { return "an integer from 0 to 2^64 - 1"; },
                        [](double*) -> std::string { return "a finite number"; },
                        [](std::optional<double>*) -> std::string { return "a finite number or null"; },
                        [](bool*) -> std::string { return "true or false"; },
                        [](Symmetrize*) -> std::string { return "true or false"; },
                        [](std::string*) -> std::string { return "a string without NUL"; },
                        [](std::vector<std::string>*) -> std::string {
                          return "a string without NUL, or a list of such strings";
                        },
                        [](std::vector<int64_t>*) -> std::string { return "a list of integers"; },
                        [](const AtMost& t) { return fmt::format("an integer of at most {}", t.most); },
                        [](const ListAtMost& t) {
                          return fmt::format("a list of integers, at most {} of at most {}", t.entries,
                                             t.most);
                        },
                        [](AutoOr<int64_t> t) -> std::string {
                          return t.most == std::numeric_limits<int64_t>::max()
                                     ? "auto or an integer"
                                     : fmt::format("auto or an integer of at most {}", t.most);
                        },
                        [](AutoOr<double>) -> std::string { return "auto or a finite number"; },
                        [](ForBoth) -> std::string { return "auto or a finite number"; },
                        [](const Choice& c) { return alternatives(c.names); },
                        [](const Declared& d) { return of_plain(d, expectation); },
                    },
                    target);
}

std::string type_name(const Target& target, const std::string& for_text) {
  return std::visit(Overloaded{
                        [](int64_t*) -> std::string { return "N"; },
                        [](uint64_t*) -> std::string { return "N"; },
                        [](double*) -> std::string { return "X"; },
                        [](std::optional<double>*) -> std::string { return "X"; },
                        [](bool*) -> std::string { return "true|false"; },
                        [](Symmetrize*) -> std::string { return "true|false"; },
                        [&](std::string*) { return for_text; },
                        [&](std::vector<std::string>*) { return for_text; },
                        [](std::vector<int64_t>*) -> std::string { return "N,N,..."; },
                        [](const AtMost&) -> std::string { return "N"; },
                        [](const ListAtMost&) -> std::string { return "N,N,..."; },
                        [](AutoOr<int64_t>) -> std::string { return "auto|N"; },
                        [](AutoOr<double>) -> std::string { return "auto|X"; },
                        [](ForBoth) -> std::string { return "auto|X"; },
                        [](const Choice& c) { return fmt::format("{}", fmt::join(c.names, "|")); },
                        [&](const Declared& d) {
                          return of_plain(d, [&](const Target& t) { return type_name(t, for_text); });
                        },
                    },
                    target);
}

}  // namespace sotalign::app
