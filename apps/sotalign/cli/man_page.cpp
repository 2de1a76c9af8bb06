#include "cli/man_page.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/listed_options.h"

namespace sotalign::app {

namespace {

/// Text for troff: a minus that can be copied, and no request at the start of a line.
std::string roff(std::string text) {
  text = replaced(replaced(std::move(text), "\\", "\\e"), "-", "\\-");
  return text.starts_with(".") || text.starts_with("'") ? "\\&" + text : text;
}

/// The same as an argument of a macro.
std::string roff_argument(const std::string& text) {
  return "\"" + replaced(roff(text), "\"", "\\(dq") + "\"";
}

std::string roff_option(const ListedOption& option) {
  std::vector<std::string> names;
  for (const std::string& flag : option.flags) names.push_back("\\fB" + roff(flag) + "\\fR");
  if (names.empty()) names.push_back("\\fI" + roff(option.name) + "\\fR");
  std::string text = fmt::format(".TP\n{}", fmt::join(names, ", "));
  if (!option.flags.empty() && option.value != ListedOption::Value::kNone) {
    const std::string value = "\\fI" + roff(option.placeholder) + "\\fR";
    text += option.value == ListedOption::Value::kOptional ? " [" + value + "]" : " " + value;
  }
  std::string help = option.help;
  if (!option.initial.empty()) help += fmt::format("{}(default {})", help.empty() ? "" : " ", option.initial);
  return text + "\n" + (help.empty() ? "\\&" : roff(help)) + "\n";
}

std::string roff_command(const CLI::App& command) {
  std::string text = fmt::format(".SS {}\n{}.\n", roff_argument("sotalign " + command.get_name()),
                                 roff(command.get_description()));
  std::string section;
  for (const ListedOption& option : listed_options(command)) {
    if (option.section != section) {
      section = option.section;
      text += fmt::format(".PP\n{}:\n", roff(section));
    }
    text += roff_option(option);
  }
  const std::string footer = command.get_footer();  // "Example:\n  sotalign ..."
  const size_t end = footer.find("\n  ");
  return text + fmt::format(".PP\n{}\n.PP\n.nf\n.RS\n{}\n.RE\n.fi\n", roff(footer.substr(0, end)),
                            roff(footer.substr(end + 3)));
}

}  // namespace

std::string man_page(const CLI::App& program) {
  std::string text = fmt::format(R"(.\" Written by: sotalign man
.TH SOTALIGN 1 "" {} "User Commands"
.SH NAME
sotalign \- align the embeddings of two frozen encoders
.SH SYNOPSIS
\fBsotalign\fR \fICOMMAND\fR [\fIOPTION\fR]...
.SH DESCRIPTION
{}
.PP
Embeddings are .npy or safetensors files with one row each. A hyphen for a file is standard output or, for one matrix, a .npy
file on standard input.
.SH OPTIONS
)",
                                 roff_argument(program.version()), roff(program.get_description()));
  for (const ListedOption& option : listed_options(program)) text += roff_option(option);
  text += ".SH COMMANDS\n";
  for (const CLI::App* command : listed_commands(program)) text += roff_command(*command);
  return text + R"(.SH EXIT STATUS
.TP
0
Done.
.TP
2
Refused or failed: one line on standard error says which file or option, what was expected and what was found.
.TP
130
Interrupted after a checkpoint; \-\-resume continues.
)";
}

}  // namespace sotalign::app
