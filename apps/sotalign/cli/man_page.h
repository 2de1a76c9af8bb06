// The man page of the program, in the macros of man(7).
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace sotalign::app {

/// `program` has all commands with their options.
std::string man_page(const CLI::App& program);

}  // namespace sotalign::app
