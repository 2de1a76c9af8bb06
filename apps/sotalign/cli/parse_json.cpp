#include "cli/parse_json.h"

#include <utility>
#include <vector>

#include "cli/files.h"
#include "cli/json.h"
#include "sotalign/io/json_text.h"

namespace sotalign::app {

namespace {

/// nlohmann's own builder compares each key with all keys before it: quadratic time for objects with many
/// keys. Here check_json_text() has already excluded duplicate keys.
// NOLINTNEXTLINE(bugprone-exception-escape): the JSON value null, unlike others, is made without an exception
class Builder final : public Json::json_sax_t {
 public:
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(Json::number_integer_t value) override { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) override { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }

  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& key) override {
    open_.back()->get_ref<Json::object_t&>().emplace_back(std::move(key), nullptr);
    return true;
  }
  bool parse_error(size_t, const std::string&, const Json::exception&) override { return false; }

 private:
  /// The place of the next value.
  Json& place() {
    if (open_.empty()) return root_;
    if (open_.back()->is_object()) return open_.back()->get_ref<Json::object_t&>().back().second;
    return open_.back()->get_ref<Json::array_t&>().emplace_back();
  }
  bool add(Json value) {
    place() = std::move(value);
    return true;
  }
  bool open(Json value) {
    Json& opened = place();
    opened = std::move(value);
    open_.push_back(&opened);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;  // the lists and objects still open; the innermost is last
};

}  // namespace

Json parse_json(const std::string& text, const std::string& where) {
  check_json_text(text, where);
  Builder builder;
  Json::sax_parse(text, &builder);
  return builder.take();
}

Json read_json(const std::string& path) { return parse_json(read_text(path), path); }

}  // namespace sotalign::app
