// Declares each option once: an entry of this table defines a flag (--klot-weight), its key in the JSON
// configuration (klot_weight), its help text and its line in the effective configuration. So every flag has a
// key, and none is parsed and then ignored.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cli/file_options.h"
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

/// The variable that an option sets. Its value when the option is added is the default.
using Target =
    std::variant<int64_t*, uint64_t*, double*, std::optional<double>*, bool*, Symmetrize*, std::string*,
                 std::vector<int64_t>*, AtMost, ListAtMost, AutoOr<int64_t>, AutoOr<double>, Choice>;

enum class Role {
  kPath,      ///< a file to read, or a directory
  kOutput,    ///< a file to write; must differ from the files of all other options
  kMachine,   ///< where and how to run, not what is computed
  kTraining,  ///< what is computed
};

class OptionTable {
 public:
  /// Registers flags with `app`, which must outlive the table. The target variables must outlive both.
  explicit OptionTable(CLI::App& app) : app_(app) {
    app.callback([files = files_] { files->check(); });
  }

  /// Sets the help text's heading for the options that follow.
  void section(std::string name) { section_ = std::move(name); }
  void add(const std::string& key, Target target, std::string help, Role role = Role::kTraining);

  /// Registers a hook that is called whenever a flag or JSON has set an option.
  void after_set(std::function<void()> hook) { hooks_->push_back(std::move(hook)); }

  /// Applies the file's JSON object, except to options set by a flag. Throws IoError or InvalidArgument
  /// naming file and key.
  void read_config(const std::string& path);
  /// The same for a JSON object; `where` names it in errors.
  void set_unless_given(const nlohmann::ordered_json& object, const std::string& where);

  /// Sets one value, even if a flag has set it. Throws InvalidArgument, starting with `where`, for an unknown
  /// key or an invalid value.
  void set(const std::string& key, const nlohmann::ordered_json& value, const std::string& where);

  /// Throws InvalidArgument naming the flag of the first string that is not UTF-8: JSON cannot hold it.
  void require_utf8() const;

  /// The current values.
  nlohmann::ordered_json values() const;
  nlohmann::ordered_json values(Role role) const;

  /// Whether the command line has the key's flag. Throws like set() for an unknown key.
  bool given(const std::string& key, const std::string& where) const;
  /// Flags on the command line ("--klot-weight"), except those with `role`.
  std::vector<std::string> given_except(Role role) const;

 private:
  struct Entry {
    std::string key;
    Target target;
    Role role;
    CLI::Option* option;
  };
  const Entry& find(const std::string& key, const std::string& where) const;
  void call_hooks() const {
    for (const std::function<void()>& hook : *hooks_) hook();
  }

  CLI::App& app_;
  std::string section_ = "Options";
  std::vector<Entry> entries_;
  // Shared with the callbacks of `app_`, because a table is destroyed before parsing.
  std::shared_ptr<FileOptions> files_ = std::make_shared<FileOptions>();
  using Hooks = std::vector<std::function<void()>>;
  std::shared_ptr<Hooks> hooks_ = std::make_shared<Hooks>();
};

/// Sets the target to a flag's last value. Also for flags outside the configuration, because CLI11 itself
/// reads -1 as 2^64 - 1 and clamps numbers beyond 64 bits.
CLI::callback_t setter(const std::string& flag, const Target& target);

/// Converts "klot_weight" to "--klot-weight".
std::string flag_of(std::string key);

/// The candidate with the smallest edit distance to `word`, comparing only the first 64 bytes of each.
/// `candidates` must not be empty.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace sotalign::app
