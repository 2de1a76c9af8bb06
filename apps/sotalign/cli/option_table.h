// Options, each declared once: an entry of this table is a flag (--klot-weight), a key of the JSON
// configuration (klot_weight), its help text and its line in the effective configuration. So there is no flag
// without a key, and none that is parsed and then forgotten.
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

/// An enumeration under the names of its values.
struct Choice {
  std::vector<std::string> names;
  std::function<std::string()> get;
  std::function<void(const std::string&)> set;  ///< with one of the names
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

/// A number, or the word "auto" where the variable holds none.
template <class T>
struct AutoOr {
  std::optional<T>* value;
  T most = std::numeric_limits<T>::max();
};

/// A number that says how much is computed or allocated. Beyond `most` nobody means it, and the arithmetic
/// that follows need not hold.
struct AtMost {
  int64_t* value;
  int64_t most;
};
struct ListAtMost {
  std::vector<int64_t>* values;
  size_t entries;
  int64_t most;  ///< of each entry
};

/// The variable that an option sets; what it holds when it is added is the default.
using Target =
    std::variant<int64_t*, uint64_t*, double*, std::optional<double>*, bool*, Symmetrize*, std::string*,
                 std::vector<int64_t>*, AtMost, ListAtMost, AutoOr<int64_t>, AutoOr<double>, Choice>;

enum class Role {
  kPath,      ///< a file to read, or a directory
  kOutput,    ///< a file to write: not the same one as another option's
  kMachine,   ///< where and how to run, not what is computed
  kTraining,  ///< what is computed
};

class OptionTable {
 public:
  /// Flags are registered with `app`, which outlives the table, and the variables outlive both.
  explicit OptionTable(CLI::App& app) : app_(app) {
    app.callback([files = files_] { files->check(); });
  }

  /// Heading, in the help text, of the options that follow.
  void section(std::string name) { section_ = std::move(name); }
  void add(const std::string& key, Target target, std::string help, Role role = Role::kTraining);

  /// Calls `hook` whenever an option has been set, by a flag or by JSON.
  void after_set(std::function<void()> hook) { hooks_->push_back(std::move(hook)); }

  /// Sets everything that the JSON object in the file names and no flag has set. Throws IoError and
  /// InvalidArgument that name file and key.
  void read_config(const std::string& path);
  /// The same of a JSON object, which `where` names in messages.
  void set_unless_given(const nlohmann::ordered_json& object, const std::string& where);

  /// Sets one value, whatever flags have set. `where` begins the message of the InvalidArgument that is
  /// thrown for a key that is not one and a value that does not fit.
  void set(const std::string& key, const nlohmann::ordered_json& value, const std::string& where);

  /// Throws InvalidArgument that names the flag of the first string that is not UTF-8: JSON cannot hold it.
  void require_utf8() const;

  /// The values now in force.
  nlohmann::ordered_json values() const;
  nlohmann::ordered_json values(Role role) const;

  /// Whether the command line has the key's flag. Throws as set() does.
  bool given(const std::string& key, const std::string& where) const;
  /// Flags on the command line, as written there, except those of a role.
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
  // Shared with the callbacks of `app_`, because tables end before the parsing.
  std::shared_ptr<FileOptions> files_ = std::make_shared<FileOptions>();
  using Hooks = std::vector<std::function<void()>>;
  std::shared_ptr<Hooks> hooks_ = std::make_shared<Hooks>();
};

/// Sets the target to the last of a flag's texts. For flags that are no keys of a configuration: CLI11 by
/// itself takes -1 for 2^64 - 1 and a number beyond 64 bits for the last one within.
CLI::callback_t setter(const std::string& flag, const Target& target);

/// "--klot-weight" of "klot_weight".
std::string flag_of(std::string key);

/// The candidate with the smallest edit distance to `word`; candidates is not empty. Only the first 64 bytes
/// of each count.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace sotalign::app
