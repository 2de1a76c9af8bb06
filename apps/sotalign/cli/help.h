// The help text of the program and of each command.
#pragma once

#include <CLI/CLI.hpp>
#include <set>
#include <string>
#include <vector>

namespace sotalign::app {

/// Lists all options for --help-all. For --help, if there are many, lists only those marked as common.
class Help : public CLI::Formatter {
 public:
  Help() { column_width(34); }

  void mark_common(const CLI::Option* option) { common_.insert(option); }

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    return make_description(app) + make_usage(app, name) + make_positionals(app) + options(*app, mode) +
           make_subcommands(app, mode) + "\n" + make_footer(app);
  }

 private:
  std::string options(const CLI::App& app, CLI::AppFormatMode mode) const {
    constexpr size_t kMany = 17;  // two of them are --help and --help-all
    const std::vector<const CLI::Option*> all = app.get_options(
        [](const CLI::Option* option) { return option->nonpositional() && !option->get_group().empty(); });
    const bool is_short = mode != CLI::AppFormatMode::All && all.size() > kMany;
    size_t listed = 0;
    std::string text;
    for (const std::string& group : app.get_groups()) {
      std::vector<const CLI::Option*> part;
      for (const CLI::Option* option : all)
        if (option->get_group() == group && (!is_short || is_common(app, option))) part.push_back(option);
      if (!part.empty()) text += make_group(group, false, part);
      listed += part.size();
    }
    if (is_short)
      text += "\nsotalign " + app.get_name() + " --help-all lists " + std::to_string(all.size() - listed) +
              " more options.\n";
    return text;
  }
  bool is_common(const CLI::App& app, const CLI::Option* option) const {
    return option == app.get_help_ptr() || option == app.get_help_all_ptr() || common_.contains(option);
  }

  std::set<const CLI::Option*> common_;
};

}  // namespace sotalign::app
