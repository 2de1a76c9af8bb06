// What --help-all lists, as data: the man page and the completion of shells are written from it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace sotalign::app {

struct ListedOption {
  enum class Value { kNone, kOptional, kRequired };

  std::vector<std::string> flags;  ///< "-h", "--help"; none for an argument without a flag
  std::string name;                ///< of an argument without a flag
  Value value = Value::kNone;
  std::string placeholder;          ///< of the value: "FILE", "N", "auto|X"
  std::vector<std::string> values;  ///< the words among them: "auto"
  std::string initial;              ///< the default; may be empty
  std::string help;                 ///< one line
  std::string section;
};

/// Without former names.
std::vector<ListedOption> listed_options(const CLI::App& command);

/// The commands of a program in their order.
std::vector<const CLI::App*> listed_commands(const CLI::App& program);

/// `text` with each `from` replaced by `to`.
std::string replaced(std::string text, const std::string& from, const std::string& to);

}  // namespace sotalign::app
