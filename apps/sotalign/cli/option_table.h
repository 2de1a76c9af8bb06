// Declares each option once: an entry of this table defines a flag (--divergence-weight), its key in the JSON
// configuration (divergence_weight), its help text and its line in the effective configuration. So every flag
// has a key, and none is parsed and then ignored.
//
// A renamed option keeps its former names: as flags that --help does not list, and as keys wherever keys are
// read. Each former name gives a note. Two names of an option on one command line, or in one JSON object, are
// an error. Whatever the program writes has the present names; errors have the name that the user wrote.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/file_options.h"
#include "cli/help.h"
#include "cli/option_value.h"
#include "cli/role.h"

namespace sotalign::app {

class OptionTable {
 public:
  /// Registers flags with `app`, which must outlive the table. The target variables must outlive both.
  explicit OptionTable(CLI::App& app) : app_(app) {
    app.callback([files = files_] { files->check(); });
    app.formatter(help_);
  }

  /// Sets the help text's heading for the options that follow.
  void section(std::string name) { section_ = std::move(name); }
  void add(const std::string& key, Target target, std::string help, Role role = Role::kTraining);
  /// Treats the file of an option outside the table like those in it.
  void check_file(const std::string& flag, const std::string* path, Role role) {
    files_->add(flag, path, role);
  }
  /// Also accepts a former name of the option added last. For several names: from the latest to the first.
  void formerly(const std::string& key);

  /// Marks the option added last as one that files of earlier versions may lack. Its default has to stand for
  /// what those versions did.
  void added_later() { entries_.back().added_later = true; }
  bool was_added_later(const std::string& key) const;

  /// Marks the option added last as a common one: --help of a command with many options lists only these, and
  /// --help-all all of them.
  void common() { common(entries_.back().names.front().option); }
  /// The same for the option with this key, and for an option outside the table.
  void common(const std::string& key) { common(find(key, "common").names.front().option); }
  void common(const CLI::Option* option) { help_->mark_common(option); }

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

  /// The current values, under the present names.
  nlohmann::ordered_json values() const;
  nlohmann::ordered_json values(Role role) const;

  /// The key's present name; the key itself if it is unknown.
  std::string present_name(const std::string& key) const;
  /// The first name that the key's option had. Throws like set() for an unknown key.
  std::string first_name(const std::string& key, const std::string& where) const;
  /// The object with all known keys under their present names, in the same order; any other JSON as it is.
  /// Throws InvalidArgument, starting with `where`, if an option has two names in it.
  nlohmann::ordered_json present_names(const nlohmann::ordered_json& object, const std::string& where) const;

  /// The key's flag as the command line has it ("--divergence-weight"), or an empty string. Throws like set()
  /// for an unknown key.
  std::string given(const std::string& key, const std::string& where) const;
  /// Flags on the command line, except those with `role`.
  std::vector<std::string> given_except(Role role) const;

 private:
  struct Name {
    std::string key;
    CLI::Option* option;
  };
  struct Entry {
    std::vector<Name> names;  // the present one, then the former ones from the latest to the first
    Target target;
    Role role;
    bool added_later = false;

    const std::string& key() const { return names.front().key; }
    /// The name that the command line uses; null if it has none of them.
    const Name* given() const;
    std::string given_flag() const;
  };
  const Entry* find(const std::string& key) const;
  const Entry& find(const std::string& key, const std::string& where) const;
  void require_one_name_each(const nlohmann::ordered_json& object, const std::string& where) const;
  CLI::callback_t setting(const std::string& flag, const Target& target) const;
  void call_hooks() const {
    for (const std::function<void()>& hook : *hooks_) hook();
  }

  CLI::App& app_;
  std::string section_ = "Options";
  std::vector<Entry> entries_;
  // Shared with `app_`, because a table is destroyed before parsing.
  std::shared_ptr<Help> help_ = std::make_shared<Help>();
  std::shared_ptr<FileOptions> files_ = std::make_shared<FileOptions>();
  using Hooks = std::vector<std::function<void()>>;
  std::shared_ptr<Hooks> hooks_ = std::make_shared<Hooks>();
};

/// Sets the target to a flag's last value. Also for flags outside the configuration, because CLI11 itself
/// reads -1 as 2^64 - 1 and clamps numbers beyond 64 bits.
CLI::callback_t setter(const std::string& flag, const Target& target);

/// Converts "divergence_weight" to "--divergence-weight".
std::string flag_of(std::string key);

/// The option's flag; that of the renamed option if this is one of its former flags.
std::string present_flag(const CLI::Option& option);

}  // namespace sotalign::app
