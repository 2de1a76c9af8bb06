// The commands. Each has its own file, declares its options on `app`, and returns the action to run after
// parsing. Failures throw; the action returns nonzero only when there is no result (interrupted).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <span>

namespace sotalign::app {

using Action = std::function<int()>;

struct Command {
  const char* name;
  const char* description;
  Action (*add)(CLI::App&);
  const char* example;
};

/// All commands, in the order of the help text.
std::span<const Command> commands();

/// The program without its commands.
std::unique_ptr<CLI::App> make_program();
/// The program with all commands and their options, to describe it.
std::unique_ptr<CLI::App> make_program_with_options();
/// Adds a command without its options, which Command::add declares.
CLI::App& add_command(CLI::App& program, const Command& command);

Action add_train(CLI::App& app);
Action add_sweep(CLI::App& app);
Action add_embed(CLI::App& app);
Action add_search(CLI::App& app);
Action add_split(CLI::App& app);
Action add_eval(CLI::App& app);
Action add_zeroshot(CLI::App& app);
Action add_similarity(CLI::App& app);
Action add_shift(CLI::App& app);
Action add_teacher(CLI::App& app);
Action add_info(CLI::App& app);
Action add_demo(CLI::App& app);
Action add_compare(CLI::App& app);
Action add_study(CLI::App& app);
Action add_klot(CLI::App& app);
Action add_divergence(CLI::App& app);
Action add_sinkhorn(CLI::App& app);
Action add_completion(CLI::App& app);
Action add_man(CLI::App& app);

}  // namespace sotalign::app
