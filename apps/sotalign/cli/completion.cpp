#include "cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/listed_options.h"

namespace sotalign::app {

namespace {

/// A word of a shell script.
std::string quoted(const std::string& text) { return "'" + replaced(text, "'", R"('\'')") + "'"; }

std::string quoted(const std::vector<std::string>& words) {
  return quoted(fmt::format("{}", fmt::join(words, " ")));
}

std::vector<std::string> flags_of(const std::vector<ListedOption>& options) {
  std::vector<std::string> flags;
  for (const ListedOption& option : options)
    flags.insert(flags.end(), option.flags.begin(), option.flags.end());
  return flags;
}

/// bash: what completes a value.
std::string bash_action(const ListedOption& option) {
  if (!option.values.empty()) return "words=" + quoted(option.values);
  if (option.placeholder == "FILE") return "paths=-f";
  if (option.placeholder == "DIR") return "paths=-d";
  return "return";
}

std::string bash_cases(const CLI::App& command) {
  const std::vector<ListedOption> options = listed_options(command);
  std::string text;
  for (const ListedOption& option : options) {
    if (option.value == ListedOption::Value::kNone || option.flags.empty()) continue;
    std::vector<std::string> patterns;
    for (const std::string& flag : option.flags) patterns.push_back(command.get_name() + ":" + flag);
    text += fmt::format("      {}) {} ;;\n", fmt::join(patterns, " | "), bash_action(option));
  }
  text += fmt::format("      {}:*)\n", command.get_name());
  for (const ListedOption& option : options)
    if (option.flags.empty())
      text += fmt::format("        [[ $current == -* ]] || {}\n", bash_action(option));
  return text + fmt::format("        [[ -n $words$paths ]] || words={} ;;\n", quoted(flags_of(options)));
}

/// zsh: the text within [] or before a colon.
std::string zsh_text(std::string text) {
  for (const char* special : {"\\", "[", "]", ":"})
    text = replaced(text, special, std::string("\\") + special);
  return text;
}

std::string zsh_value(const ListedOption& option) {
  const std::string action = !option.values.empty() ? fmt::format("({})", fmt::join(option.values, " "))
                             : option.placeholder == "FILE" ? "_files"
                             : option.placeholder == "DIR"  ? "_files -/"
                                                            : " ";
  return fmt::format("{}:{}:{}", option.value == ListedOption::Value::kOptional ? ":" : "",
                     zsh_text(option.flags.empty() ? option.name : option.placeholder), action);
}

std::string zsh_arguments(const CLI::App& command) {
  std::string text;
  for (const ListedOption& option : listed_options(command)) {
    if (option.flags.empty()) text += " \\\n        " + quoted("1" + zsh_value(option));
    for (const std::string& flag : option.flags) {
      const bool takes_value = option.value != ListedOption::Value::kNone;
      text +=
          " \\\n        " + quoted(fmt::format("{}{}[{}]{}", flag, takes_value ? "=" : "",
                                               zsh_text(option.help), takes_value ? zsh_value(option) : ""));
    }
  }
  return text;
}

/// fish: offers the option where the shell's condition holds.
std::string fish_option(const std::string& condition, const ListedOption& option) {
  std::string text = "complete -c sotalign -n " + condition;
  for (const std::string& flag : option.flags)
    text += flag.starts_with("--") ? " -l " + flag.substr(2) : " -s " + flag.substr(1);
  const bool has_flag = !option.flags.empty();
  if (!option.values.empty())
    text += fmt::format("{} -a {}", has_flag ? " -x" : "", quoted(option.values));
  else if (option.placeholder == "DIR")
    text += " -x -a '(__fish_complete_directories)'";
  else if (option.placeholder == "FILE")
    text += has_flag ? " -r -F" : " -F";
  else if (option.value != ListedOption::Value::kNone)
    text += " -x";
  return text + fmt::format(" -d {}\n", quoted(option.help));
}

}  // namespace

std::string bash_completion(const CLI::App& program) {
  std::vector<std::string> first = flags_of(listed_options(program));
  std::string cases;
  for (const CLI::App* command : listed_commands(program)) {
    first.push_back(command->get_name());
    cases += bash_cases(*command);
  }
  return fmt::format(R"(# Completes sotalign in bash. Written by: sotalign completion bash
_sotalign() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} words='' paths=''
  # bash splits --flag=value into three words.
  if [[ $current == '=' ]]; then
    current=''
  elif [[ $previous == '=' ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  [[ $current != -* ]] || previous=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    words={}
  else
    case ${{COMP_WORDS[1]}}:$previous in
{}    esac
  fi
  if [[ -n $paths ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$paths" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}}
complete -F _sotalign sotalign
)",
                     quoted(first), cases);
}

std::string zsh_completion(const CLI::App& program) {
  std::string names, cases;
  for (const CLI::App* command : listed_commands(program)) {
    names += fmt::format("      {}\n", quoted(command->get_name() + ":" + command->get_description()));
    cases +=
        fmt::format("    {})\n      _arguments{}\n      ;;\n", command->get_name(), zsh_arguments(*command));
  }
  return fmt::format(R"(#compdef sotalign
# Completes sotalign in zsh. Written by: sotalign completion zsh
_sotalign() {{
  if ((CURRENT == 2)); then
    local -a commands=(
{}    )
    _describe command commands
    _arguments{}
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{}  esac
}}
if [[ $funcstack[1] == _sotalign ]]; then
  _sotalign "$@"
else
  compdef _sotalign sotalign
fi
)",
                     names, zsh_arguments(program), cases);
}

std::string fish_completion(const CLI::App& program) {
  std::string text =
      "# Completes sotalign in fish. Written by: sotalign completion fish\ncomplete -c sotalign -f\n";
  for (const CLI::App* command : listed_commands(program)) {
    text += fmt::format("complete -c sotalign -n __fish_use_subcommand -a {} -d {}\n", command->get_name(),
                        quoted(command->get_description()));
    const std::string given = quoted("__fish_seen_subcommand_from " + command->get_name());
    for (const ListedOption& option : listed_options(*command)) text += fish_option(given, option);
  }
  for (const ListedOption& option : listed_options(program))
    text += fish_option("__fish_use_subcommand", option);
  return text;
}

}  // namespace sotalign::app
