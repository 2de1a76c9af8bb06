// sotalign: aligns the embeddings of two frozen encoders with few pairs and many unpaired examples.
// This file finds the command, runs it, and reports any failure as one line on standard error with exit
// code 2.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
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
#include "sotalign/version.h"

namespace {

using namespace sotalign;

constexpr int kFailure = 2;

struct Command {
  const char* name;
  const char* description;
  app::Action (*add)(CLI::App&);
  const char* example;
};

constexpr Command kCommands[] = {
    {"demo", "Train on the emoji data that ships with sotalign and show the results", app::add_demo,
     "sotalign demo --out emoji"},
    {"split", "Split fully paired embeddings into pairs, validation, test and unpaired rows", app::add_split,
     "sotalign split --images i.npy --texts t.npy --pairs 500 --validation 200 --test 400 --out data"},
    {"train", "Train an alignment on paired and unpaired embeddings", app::add_train,
     "sotalign train --pairs-images pi.npy --pairs-texts pt.npy --images i.npy --texts t.npy --out run"},
    {"sweep", "Train over a grid or random draws of options and keep the best model", app::add_sweep,
     "sotalign sweep --config train.json --vary divergence_weight=0,3,10,30,100 --out sweep"},
    {"compare", "Compare the teacher, SAIL and SOTAlign (or another method) on fully paired embeddings",
     app::add_compare, "sotalign compare --images i.npy --texts t.npy --pairs 500 --test 400 --seeds 0,1,2"},
    {"study", "Run the paper's comparisons on fully paired embeddings, with tuning, tables and plots",
     app::add_study, "sotalign study --images i.npy --texts t.npy --out study"},
    {"embed", "Project embeddings into a model's shared space", app::add_embed,
     "sotalign embed --model run/model.safetensors --side image --input new.npy --output new_shared.npy"},
    {"search", "List the nearest gallery rows for each query", app::add_search,
     "sotalign search --model run/model.safetensors --side text --queries q.npy --gallery i.npy --out "
     "hits.html"},
    {"eval", "Evaluate cross-modal retrieval of a model, or of rows already in one space", app::add_eval,
     "sotalign eval --model run/model.safetensors --images test_i.npy --texts test_t.npy"},
    {"zeroshot", "Classify images zero-shot, by texts that describe the classes", app::add_zeroshot,
     "sotalign zeroshot --model run/model.safetensors --images i.npy --labels labels.npy --prompts p.npy "
     "--prompt-classes classes.npy"},
    {"similarity", "Measure mutual k-NN and CKA between two embeddings of the same items",
     app::add_similarity, "sotalign similarity --x images.npy --y texts.npy --k 10"},
    {"shift", "Measure the spherical sliced Wasserstein distance between two data sets", app::add_shift,
     "sotalign shift --images i.npy --texts t.npy --other-images test_i.npy --other-texts test_t.npy"},
    {"teacher", "Fit only the linear teacher", app::add_teacher,
     "sotalign teacher --pairs-images pi.npy --pairs-texts pt.npy --out teacher.safetensors"},
    {"klot", "Compute the KLOT divergence between two affinities, and its gradient", app::add_klot,
     "sotalign klot --student K.npy --teacher Kt.npy --gradient grad.npy"},
    {"divergence", "Compute KLOT, InfoNCE or CKA between two affinities, and its gradient",
     app::add_divergence,
     "sotalign divergence --kind infonce --student K.npy --teacher Kt.npy --gradient grad.npy"},
    {"sinkhorn", "Solve entropic optimal transport for one affinity", app::add_sinkhorn,
     "sotalign sinkhorn --affinity K.npy --epsilon 0.05 --plan plan.npy"},
    {"info", "Describe this program and machine, or the contents of a file", app::add_info,
     "sotalign info run/model.safetensors"},
};

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
    for (const Command& other : kCommands) known.emplace_back(other.name);
  }
  std::optional<std::string> nearest = app::near(word.substr(0, word.find('=')), known);
  if (nearest && command != nullptr) nearest = app::present_flag(*command->get_option(*nearest));
  const std::string list =
      command == nullptr ? "sotalign --help" : fmt::format("sotalign {} --help", command->get_name());
  return fmt::format(
      "unknown {} '{}'; {}", is_option ? "option" : "command", app::shown(word),
      nearest ? fmt::format("the nearest one is '{}'", *nearest) : fmt::format("'{}' lists them", list));
}

int run(int argc, char** argv, std::string& name) {
  CLI::App program("Aligns the embeddings of two frozen encoders with few pairs and many unpaired examples.",
                   "sotalign");
  program.set_version_flag("--version", std::string("sotalign ") + version());
  program.footer("sotalign COMMAND --help lists the options of a command. To get started: sotalign demo");
  program.get_formatter()->column_width(34);

  CLI::App* chosen = nullptr;
  app::Action action;
  for (const Command& command : kCommands) {
    CLI::App* sub = program.add_subcommand(command.name, command.description);
    sub->footer(std::string("Example:\n  ") + command.example);
    if (argc < 2 || std::strcmp(argv[1], command.name) != 0) continue;
    chosen = sub;
    name = fmt::format("sotalign {}", command.name);
    action = command.add(*sub);
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ExtrasError&) {
    throw InvalidArgument(unknown_word(program, chosen));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return program.exit(error);  // --help and --version
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
