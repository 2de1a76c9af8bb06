#include "cli/option_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/json.h"
#include "cli/nearest.h"
#include "cli/notes.h"
#include "cli/parse_json.h"
#include "cli/shown_text.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

void note_renamed(const std::string& former, const std::string& present, const std::string& where) {
  hint(former, fmt::format("{}: {} is now {}", where, former, present));
}

std::string both_names(const std::string& former, const std::string& later) {
  return fmt::format("{}: expected either this or its new name {}, found both", former, later);
}

}  // namespace

std::string flag_of(std::string key) {
  std::replace(key.begin(), key.end(), '_', '-');
  return "--" + key;
}

CLI::callback_t setter(const std::string& flag, const Target& target) {
  return [flag, target](const CLI::results_t& texts) {
    if (!assign(parse_texts(texts, target), target))
      throw InvalidArgument(
          fmt::format("{}: expected {}, found '{}'", flag, expectation(target), shown(texts.back())));
    return true;
  };
}

CLI::callback_t OptionTable::setting(const std::string& flag, const Target& target) const {
  return [set = setter(flag, target), hooks = hooks_](const CLI::results_t& texts) {
    const bool done = set(texts);
    for (const std::function<void()>& hook : *hooks) hook();
    return done;
  };
}

void OptionTable::add(const std::string& key, Target target, std::string help, Role role) {
  const std::string flag = flag_of(key);
  const Json initial = value_of(target);
  const bool is_bool = initial.is_boolean();
  if (is_bool) help += initial.get<bool>() ? " (default true)" : " (default false)";
  CLI::Option* option = app_.add_option(flag, setting(flag, target), help);
  const char* for_text = role == Role::kDirectory ? "DIR" : is_path(role) ? "FILE" : "NAME";
  option->type_name(type_name(target, for_text))->group(section_);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  if (is_bool) {
    option->expected(0, 1);
  } else if (!initial.is_null() && !(initial.is_string() && initial.get<std::string>().empty()) &&
             !initial.is_array()) {
    option->default_str(initial.is_string() ? initial.get<std::string>() : initial.dump());
  }
  if (const auto* list = std::get_if<std::vector<std::string>*>(&target)) {
    option->expected(1, -1)->allow_extra_args()->inject_separator();
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    files_->add(flag, *list, role);
  } else if (is_path(role)) {
    files_->add(flag, std::get<std::string*>(target), role);
  }
  entries_.push_back({{{key, option}}, std::move(target), role});
}

bool OptionTable::was_added_later(const std::string& key) const {
  const Entry* entry = find(key);
  return entry != nullptr && entry->added_later;
}

void OptionTable::formerly(const std::string& key) {
  Entry& entry = entries_.back();
  const std::string flag = flag_of(key), present = flag_of(entry.key());
  const auto use = [key, flag, present, set = setting(flag, entry.target),
                    later = entry.names](const CLI::results_t& texts) {
    for (const Name& name : later)
      if (name.option->count() > 0) throw InvalidArgument(both_names(flag, flag_of(name.key)));
    hint(key, fmt::format("{} is now {}", flag, present));
    return set(texts);
  };
  // Nobody sees the description of a hidden option; present_flag() reads it.
  CLI::Option* option = app_.add_option(flag, use, present)->group("");
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  if (value_of(entry.target).is_boolean()) option->expected(0, 1);
  entry.names.push_back({key, option});
}

std::string present_flag(const CLI::Option& option) {
  const bool is_former = option.get_group().empty() && option.get_description().starts_with("--");
  return is_former ? option.get_description() : option.get_name();
}

void OptionTable::read_config(const std::string& path) {
  const Json config = read_json(path);
  if (!config.is_object())
    throw IoError(fmt::format("{}: expected a JSON object, found {}", path, config.type_name()));
  set_unless_given(config, path);
  files_->check();
}

void OptionTable::set_unless_given(const Json& object, const std::string& where) {
  require_one_name_each(object, where);
  for (const auto& [key, value] : object.items())
    set(key, value, where);  // fails for invalid values, even where a flag wins
  // An option may set others, too: once more in the table's order, the flags last.
  for (const Entry& entry : entries_)
    for (const Name& name : entry.names)
      if (const auto value = object.find(name.key); value != object.end()) assign(*value, entry.target);
  for (const Entry& entry : entries_)
    if (const Name* flag = entry.given())
      assign(parse_texts(flag->option->results(), entry.target), entry.target);
  call_hooks();
}

const OptionTable::Name* OptionTable::Entry::given() const {
  const auto name =
      std::find_if(names.begin(), names.end(), [](const Name& n) { return n.option->count() > 0; });
  return name == names.end() ? nullptr : &*name;
}

std::string OptionTable::Entry::given_flag() const {
  const Name* name = given();
  return name == nullptr ? "" : flag_of(name->key);
}

const OptionTable::Entry* OptionTable::find(const std::string& key) const {
  for (const Entry& entry : entries_)
    for (const Name& name : entry.names)
      if (name.key == key) return &entry;
  return nullptr;
}

const OptionTable::Entry& OptionTable::find(const std::string& key, const std::string& where) const {
  if (const Entry* entry = find(key)) return *entry;
  std::vector<std::string> keys;
  for (const Entry& known : entries_)
    for (const Name& name : known.names) keys.push_back(name.key);
  std::string message = fmt::format("{}: unknown key {}", where, shown(Json(key)));
  if (const auto known = near(key, keys))
    message += fmt::format("; the nearest known key is '{}'", present_name(*known));
  throw InvalidArgument(message);
}

void OptionTable::require_one_name_each(const Json& object, const std::string& where) const {
  for (const Entry& entry : entries_) {
    if (entry.names.size() == 1) continue;
    const std::string* later = nullptr;
    for (const Name& name : entry.names) {
      if (!object.contains(name.key)) continue;
      if (later != nullptr) throw InvalidArgument(where + ": " + both_names(name.key, *later));
      later = &name.key;
    }
  }
}

void OptionTable::set(const std::string& key, const Json& value, const std::string& where) {
  const Entry& entry = find(key, where);
  if (!assign(value, entry.target))
    throw InvalidArgument(fmt::format("{}: {}: expected {}, found {} ({})", where, key,
                                      expectation(entry.target), shown(value), value.type_name()));
  if (key != entry.key()) note_renamed(key, entry.key(), where);
  call_hooks();
}

std::string OptionTable::present_name(const std::string& key) const {
  const Entry* entry = find(key);
  return entry == nullptr ? key : entry->key();
}

std::string OptionTable::first_name(const std::string& key, const std::string& where) const {
  return find(key, where).names.back().key;
}

Json OptionTable::present_names(const Json& object, const std::string& where) const {
  if (!object.is_object()) return object;
  require_one_name_each(object, where);
  Json result = Json::object();
  for (const auto& [key, value] : object.items()) {
    const std::string name = present_name(key);
    if (name != key) note_renamed(key, name, where);
    // Not [name], which compares each key with all before it. They differ already.
    result.get_ref<Json::object_t&>().emplace_back(name, value);
  }
  return result;
}

void OptionTable::require_utf8() const {
  for (const Entry& entry : entries_) {
    const Json value = value_of(entry.target);
    for (const Json& text : value.is_array() ? value : Json::array({value}))
      if (text.is_string())
        app::require_utf8(entry.given_flag().empty() ? flag_of(entry.key()) : entry.given_flag(),
                          text.get_ref<const std::string&>());
  }
}

Json OptionTable::values() const {
  Json result = Json::object();
  for (const Entry& entry : entries_) result[entry.key()] = value_of(entry.target);
  return result;
}

Json OptionTable::values(Role role) const {
  Json result = Json::object();
  for (const Entry& entry : entries_)
    if (entry.role == role) result[entry.key()] = value_of(entry.target);
  return result;
}

std::string OptionTable::given(const std::string& key, const std::string& where) const {
  return find(key, where).given_flag();
}

std::vector<std::string> OptionTable::given_except(Role role) const {
  std::vector<std::string> flags;
  for (const Entry& entry : entries_)
    if (std::string flag = entry.given_flag(); entry.role != role && !flag.empty())
      flags.push_back(std::move(flag));
  return flags;
}

}  // namespace sotalign::app
