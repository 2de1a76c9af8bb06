// Scripts that complete the program's command line in a shell: commands, their flags, words that an option
// takes, and paths.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace sotalign::app {

/// `program` has all commands with their options.
std::string bash_completion(const CLI::App& program);
std::string zsh_completion(const CLI::App& program);
std::string fish_completion(const CLI::App& program);

}  // namespace sotalign::app
