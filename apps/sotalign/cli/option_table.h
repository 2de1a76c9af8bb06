// Declares each option once: an entry of this table defines a flag (--klot-weight), its key in the JSON
// configuration (klot_weight), its help text and its line in the effective configuration. So every flag has a
// key, and none is parsed and then ignored.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cli/file_options.h"
#include "cli/option_value.h"

namespace sotalign::app {

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

}  // namespace sotalign::app
