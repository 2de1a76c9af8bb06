#include "sotalign/io/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "io/text.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {

using nlohmann::json;

/// Visits each token once and stores only the keys of open objects. A parser with a callback would revisit
/// every object for each one nested in it.
class Checker final : public json::json_sax_t {
 public:
  Checker(std::string_view text, const std::string& where, int deepest)
      : text_(text), where_(where), deepest_(deepest) {}

  [[noreturn]] void throw_syntax_error(size_t byte) const {
    byte = std::min(byte, text_.size());
    throw IoError(fmt::format("{}: line {}: expected valid JSON, found a syntax error at byte {}", where_,
                              line_of(byte), byte));
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(json::number_integer_t) override { return true; }
  bool number_unsigned(json::number_unsigned_t) override { return true; }
  bool number_float(json::number_float_t, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(json::binary_t&) override { return true; }

  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& key) override {
    const auto [place, added] = keys_.back().insert(std::move(key));
    if (!added)
      throw IoError(fmt::format("{}: expected each key once, found the key '{}' twice in one object", where_,
                                io::printable(*place)));
    return true;
  }

  bool parse_error(size_t position, const std::string&, const json::exception& error) override {
    constexpr int kNumberOutOfRange = 406;
    const size_t byte = position > 0 ? position - 1 : 0;  // `position` is one past the byte read
    if (error.id != kNumberOutOfRange) throw_syntax_error(byte);
    throw IoError(fmt::format("{}: line {}: expected numbers of double precision, found one beyond", where_,
                              line_of(std::min(byte, text_.size()))));
  }

 private:
  bool open() {
    if (static_cast<int>(keys_.size()) >= deepest_)
      throw IoError(fmt::format("{}: expected at most {} levels of lists and objects, found it nested deeper",
                                where_, deepest_));
    keys_.emplace_back();  // stays empty for a list
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }

  std::ptrdiff_t line_of(size_t byte) const {
    return 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(byte), '\n');
  }

  std::string_view text_;
  const std::string& where_;
  int deepest_;
  std::vector<std::set<std::string>> keys_;  // one set for each open list or object
};

}  // namespace

void check_json_text(std::string_view text, const std::string& where, int deepest) {
  Checker checker(text, where, deepest);
  // nlohmann treats a NUL as the end of the text and would ignore the rest.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) checker.throw_syntax_error(nul);
  json::sax_parse(text.begin(), text.end(), &checker);
}

}  // namespace sotalign
