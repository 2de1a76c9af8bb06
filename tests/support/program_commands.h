// The commands of the program and their flags, read off its help.
#pragma once

#include <regex>
#include <set>
#include <string>
#include <vector>

#include "support/program.h"

namespace sotalign::testing {

inline std::vector<std::string> program_commands() {
  const std::string help = run_program({"--help"}).out, list = help.substr(help.find("\nSubcommands:"));
  const std::regex line("\n  ([a-z]+) ");
  std::vector<std::string> commands;
  for (std::sregex_iterator match(list.begin(), list.end(), line), end; match != end; ++match)
    commands.push_back((*match)[1]);
  return commands;
}

/// The long flags that a help text lists.
inline std::set<std::string> flags_in(const std::string& help) {
  const std::regex flag("\n  (?:-h,)?(--[a-z0-9-]+)");
  std::set<std::string> flags;
  for (std::sregex_iterator match(help.begin(), help.end(), flag), end; match != end; ++match)
    flags.insert((*match)[1]);
  return flags;
}

}  // namespace sotalign::testing
