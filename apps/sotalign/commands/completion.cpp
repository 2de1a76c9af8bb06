// sotalign completion: prints a script that completes this program's command line in a shell.
#include "cli/completion.h"

#include <fmt/format.h>

#include "cli/option_table.h"
#include "cli/output.h"
#include "cli/shown_text.h"
#include "commands/command.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

struct CompletionArguments {
  std::string shell, out = "-";
};

int run(const CompletionArguments& arguments) {
  const std::unique_ptr<CLI::App> program = make_program_with_options();
  std::string script;
  if (arguments.shell == "bash")
    script = bash_completion(*program);
  else if (arguments.shell == "zsh")
    script = zsh_completion(*program);
  else if (arguments.shell == "fish")
    script = fish_completion(*program);
  else
    throw InvalidArgument(fmt::format("shell: expected bash, zsh or fish, found {}",
                                      arguments.shell.empty() ? "none" : shown(arguments.shell)));
  Output output(arguments.out);
  output.write(script);
  output.commit();
  return 0;
}

}  // namespace

Action add_completion(CLI::App& app) {
  const auto arguments = std::make_shared<CompletionArguments>();
  app.add_option("shell", arguments->shell, "The shell")->type_name("bash|zsh|fish");
  OptionTable table(app);
  table.add("out", &arguments->out, "Write the script here; -: to standard output", Role::kOutput);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
