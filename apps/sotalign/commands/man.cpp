// sotalign man: prints the man page.
#include "cli/man_page.h"
#include "cli/option_table.h"
#include "cli/output.h"
#include "commands/command.h"

namespace sotalign::app {

Action add_man(CLI::App& app) {
  const auto out = std::make_shared<std::string>("-");
  OptionTable table(app);
  table.add("out", out.get(), "Write the page here; -: to standard output", Role::kOutput);
  return [out] {
    Output output(*out);
    output.write(man_page(*make_program_with_options()));
    output.commit();
    return 0;
  };
}

}  // namespace sotalign::app
