#include "cli/option_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/nearest.h"
#include "cli/parse_json.h"
#include "cli/shown_text.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

using Json = nlohmann::ordered_json;

std::string flag_of(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return "--" + key;
}

CLI::callback_t setter(const std::string& flag, const Target& target) {
  return [flag, target](const CLI::results_t& texts) {
    if (!assign(parse_text(texts.back(), target), target))
      throw InvalidArgument(
          fmt::format("{}: expected {}, found '{}'", flag, expectation(target), shown(texts.back())));
    return true;
  };
}

void OptionTable::add(const std::string& key, Target target, std::string help, Role role) {
  const std::string flag = flag_of(key);
  const Json initial = value_of(target);
  const bool is_bool = initial.is_boolean();
  if (is_bool) help += initial.get<bool>() ? " (default true)" : " (default false)";
  const auto set_and_call = [set = setter(flag, target), hooks = hooks_](const CLI::results_t& texts) {
    const bool done = set(texts);
    for (const std::function<void()>& hook : *hooks) hook();
    return done;
  };
  CLI::Option* option = app_.add_option(flag, set_and_call, help);
  const bool is_file = role == Role::kPath || role == Role::kOutput;
  option->type_name(type_name(target, is_file ? "FILE" : "NAME"))->group(section_);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  if (is_bool) {
    option->expected(0, 1);
  } else if (!initial.is_null() && !(initial.is_string() && initial.get<std::string>().empty()) &&
             !initial.is_array()) {
    option->default_str(initial.is_string() ? initial.get<std::string>() : initial.dump());
  }
  if (is_file)
    files_->add(flag, std::get<std::string*>(target),
                role == Role::kPath ? FileOptions::Use::kInput : FileOptions::Use::kOutput);
  entries_.push_back({key, std::move(target), role, option});
}

void OptionTable::read_config(const std::string& path) {
  const Json config = read_json(path);
  if (!config.is_object())
    throw IoError(fmt::format("{}: expected a JSON object, found {}", path, config.type_name()));
  set_unless_given(config, path);
}

void OptionTable::set_unless_given(const Json& object, const std::string& where) {
  for (const auto& [key, value] : object.items()) {
    const Entry& entry = find(key, where);
    const Json kept = value_of(entry.target);
    set(key, value, where);
    if (entry.option->count() > 0) assign(kept, entry.target);  // a flag wins, but invalid values still fail
  }
  call_hooks();
}

const OptionTable::Entry& OptionTable::find(const std::string& key, const std::string& where) const {
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.key == key; });
  if (entry != entries_.end()) return *entry;
  std::vector<std::string> keys;
  for (const Entry& known : entries_) keys.push_back(known.key);
  throw InvalidArgument(fmt::format("{}: unknown key {}; the nearest known key is '{}'", where,
                                    shown(Json(key)), nearest(key, keys)));
}

void OptionTable::set(const std::string& key, const Json& value, const std::string& where) {
  const Entry& entry = find(key, where);
  if (!assign(value, entry.target))
    throw InvalidArgument(fmt::format("{}: {}: expected {}, found {} ({})", where, key,
                                      expectation(entry.target), shown(value), value.type_name()));
  call_hooks();
}

void OptionTable::require_utf8() const {
  for (const Entry& entry : entries_)
    if (const auto* text = std::get_if<std::string*>(&entry.target))
      app::require_utf8(flag_of(entry.key), **text);
}

Json OptionTable::values() const {
  Json result = Json::object();
  for (const Entry& entry : entries_) result[entry.key] = value_of(entry.target);
  return result;
}

Json OptionTable::values(Role role) const {
  Json result = Json::object();
  for (const Entry& entry : entries_)
    if (entry.role == role) result[entry.key] = value_of(entry.target);
  return result;
}

bool OptionTable::given(const std::string& key, const std::string& where) const {
  return find(key, where).option->count() > 0;
}

std::vector<std::string> OptionTable::given_except(Role role) const {
  std::vector<std::string> flags;
  for (const Entry& entry : entries_)
    if (entry.role != role && entry.option->count() > 0) flags.push_back(flag_of(entry.key));
  return flags;
}

}  // namespace sotalign::app
