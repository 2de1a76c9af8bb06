// The commands. Each has a file of its own, which declares its options on `app` and returns what to run once
// the command line is parsed. A command throws on failure; an exit code other than 0 is for outcomes that are
// none.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace sotalign::app {

using Action = std::function<int()>;

Action add_train(CLI::App& app);
Action add_sweep(CLI::App& app);
Action add_embed(CLI::App& app);
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

}  // namespace sotalign::app
