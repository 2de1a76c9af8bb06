// sotalign: aligns the embeddings of two frozen encoders with few pairs and many unpaired examples.
// This file finds the command, runs it, and reports any failure as one line on standard error with exit
// code 2.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "cli/bus_error.h"
#include "cli/nearest.h"
#include "cli/notes.h"
#include "cli/option_table.h"
#include "cli/shown_text.h"
#include "cli/standard_streams.h"
#include "cli/threads.h"
#include "commands/command.h"
#include "run/interrupt.h"
#include "sotalign/core/error.h"

namespace {

using namespace sotalign;

constexpr int kFailure = 2;

/// Keeps an error on one line, whatever file name or library text it quotes.
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return text;
}

/// The error for a word that CLI11 does not know; names the known word that is near, or where all are listed.
std::string unknown_word(const CLI::App& program, const CLI::App* command) {
  const std::string word = program.remaining(true).front();
  const bool is_option = word.starts_with("-");
  if (command != nullptr && !is_option) return fmt::format("unexpected argument '{}'", app::shown(word));
  std::vector<std::string> known;
  if (is_option) {
    // A misspelt former name leads to the present one.
    for (const CLI::Option* option : (command != nullptr ? *command : program).get_options())
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  } else {
    for (const app::Command& other : app::commands()) known.emplace_back(other.name);
  }
  std::optional<std::string> nearest = app::near(word.substr(0, word.find('=')), known);
  if (nearest && command != nullptr) nearest = app::present_flag(*command->get_option(*nearest));
  return fmt::format("unknown {} '{}'; {}", is_option ? "option" : "command", app::shown(word),
                     nearest ? fmt::format("the nearest one is '{}'", *nearest)
                     : command == nullptr
                         ? std::string("'sotalign --help' lists them")
                         : fmt::format("'sotalign {} --help-all' lists them", command->get_name()));
}

int run(int argc, char** argv, std::string& name) {
  const std::unique_ptr<CLI::App> program = app::make_program();
  CLI::App* chosen = nullptr;
  app::Action action;
  for (const app::Command& command : app::commands()) {
    CLI::App& sub = app::add_command(*program, command);
    if (argc < 2 || std::strcmp(argv[1], command.name) != 0) continue;
    chosen = &sub;
    name = fmt::format("sotalign {}", command.name);
    action = command.add(sub);
  }
  try {
    program->parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    throw InvalidArgument(unknown_word(*program, chosen));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program->exit(error);  // --help, --help-all and --version
    throw InvalidArgument(error.what());
  }
  if (!action)
    throw InvalidArgument(
        "expected a command, found none; 'sotalign --help' lists them, 'sotalign demo' gets you started");
  app::start_default_threads();
  app::catch_bus_errors(name.c_str());
  return action();
}

/// OpenMP threads spin at barriers, by default for seconds, and libgomp reads its setting before main(). When
/// other processes share the cores, spinning multiplies the run time. Never spinning is as costly on an idle
/// machine, because waking a thread takes longer than a small iteration. So, unless the user has set a
/// policy, the program restarts itself with a few microseconds of spinning; if that fails, it carries on.
/// SOTALIGN_NO_REEXEC=1 keeps it from restarting, for debuggers.
void wait_briefly(char** argv) {
  const char* stay = std::getenv("SOTALIGN_NO_REEXEC");
  if (stay != nullptr && std::string_view(stay) == "1") return;
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "1000", 1) == 0) execv("/proc/self/exe", argv);
}

}  // namespace

int main(int argc, char** argv) {
  if (!app::open_closed_streams()) return kFailure;
  wait_briefly(argv);
  // Beyond the file size limit (ulimit -f) a write should fail with a message, not raise a signal.
  std::signal(SIGXFSZ, SIG_IGN);
  std::string name = "sotalign", message;
  try {
    const int code = run(argc, argv, name);
    app::show_notes();
    if (!app::lost_output().empty()) return code;  // already reported
    // Output that cannot be written, for example to a full disk, is a failure.
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
    message = fmt::format("cannot write to standard output: {}", std::strerror(errno));
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::length_error&) {  // a size beyond any memory
    message = "out of memory";
  } catch (const std::exception& error) {
    message = error.what();
  }
  // If standard error cannot be written either, nobody can be told.
  std::fputs(fmt::format("{}: {}\n", name, one_line(message)).c_str(), stderr);
  return kFailure;
}
