#include "cli/listed_options.h"

#include <algorithm>
#include <sstream>

namespace sotalign::app {

namespace {

/// "auto|X": auto. Words are in lower case, what stands for a number or a name is not.
std::vector<std::string> words_of(const std::string& placeholder) {
  std::vector<std::string> words;
  std::istringstream parts(placeholder);
  for (std::string part; std::getline(parts, part, '|');)
    if (std::none_of(part.begin(), part.end(), [](char c) { return (c >= 'A' && c <= 'Z') || c == '.'; }))
      words.push_back(part);
  return words;
}

}  // namespace

std::vector<ListedOption> listed_options(const CLI::App& command) {
  std::vector<ListedOption> result;
  const auto is_listed = [](const CLI::Option* option) { return !option->get_group().empty(); };
  for (const CLI::Option* option : command.get_options(is_listed)) {
    ListedOption listed;
    for (const std::string& name : option->get_snames()) listed.flags.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) listed.flags.push_back("--" + name);
    if (listed.flags.empty()) listed.name = option->get_name();
    if (option->get_items_expected_max() > 0) {
      listed.value = option->get_expected_min() == 0 && !listed.flags.empty()
                         ? ListedOption::Value::kOptional
                         : ListedOption::Value::kRequired;
      listed.placeholder = option->get_type_name();
      listed.values = words_of(listed.placeholder);
    }
    listed.initial = option->get_default_str();
    listed.help = replaced(option->get_description(), "\n", " ");
    listed.section = option->get_group();
    result.push_back(std::move(listed));
  }
  return result;
}

std::vector<const CLI::App*> listed_commands(const CLI::App& program) {
  return program.get_subcommands([](const CLI::App*) { return true; });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

}  // namespace sotalign::app
