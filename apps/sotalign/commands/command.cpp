#include "commands/command.h"

#include <fmt/format.h>

#include "cli/help.h"
#include "sotalign/version.h"

namespace sotalign::app {

namespace {

constexpr Command kCommands[] = {
    {"demo", "Train on the emoji data that ships with sotalign and show the results", add_demo,
     "sotalign demo --out emoji"},
    {"split", "Split fully paired embeddings into pairs, validation, test and unpaired rows", add_split,
     "sotalign split --images i.npy --texts t.npy --pairs 500 --validation 200 --test 400 --out data"},
    {"train", "Train an alignment on paired and unpaired embeddings", add_train,
     "sotalign train --pairs-images pi.npy --pairs-texts pt.npy --images i.npy --texts t.npy --out run"},
    {"sweep", "Train over a grid or random draws of options and keep the best model", add_sweep,
     "sotalign sweep --config train.json --vary divergence_weight=0,3,10,30,100 --out sweep"},
    {"compare", "Compare the teacher, SAIL and SOTAlign (or another method) on fully paired embeddings",
     add_compare, "sotalign compare --images i.npy --texts t.npy --pairs 500 --test 400 --seeds 0,1,2"},
    {"study", "Run the paper's comparisons on fully paired embeddings, with tuning, tables and plots",
     add_study, "sotalign study --images i.npy --texts t.npy --out study"},
    {"embed", "Project embeddings into a model's shared space", add_embed,
     "sotalign embed --model run/model.safetensors --side image --input new.npy --output new_shared.npy"},
    {"search", "List the nearest gallery rows for each query", add_search,
     "sotalign search --model run/model.safetensors --side text --queries q.npy --gallery i.npy --out "
     "hits.html"},
    {"eval", "Evaluate cross-modal retrieval of a model, or of rows already in one space", add_eval,
     "sotalign eval --model run/model.safetensors --images test_i.npy --texts test_t.npy"},
    {"zeroshot", "Classify images zero-shot, by texts that describe the classes", add_zeroshot,
     "sotalign zeroshot --model run/model.safetensors --images i.npy --labels labels.npy --prompts p.npy "
     "--prompt-classes classes.npy"},
    {"similarity", "Measure mutual k-NN and CKA between two embeddings of the same items", add_similarity,
     "sotalign similarity --x images.npy --y texts.npy --k 10"},
    {"shift", "Measure the spherical sliced Wasserstein distance between two data sets", add_shift,
     "sotalign shift --images i.npy --texts t.npy --other-images test_i.npy --other-texts test_t.npy"},
    {"teacher", "Fit only the linear teacher", add_teacher,
     "sotalign teacher --pairs-images pi.npy --pairs-texts pt.npy --out teacher.safetensors"},
    {"klot", "Compute the KLOT divergence between two affinities, and its gradient", add_klot,
     "sotalign klot --student K.npy --teacher Kt.npy --gradient grad.npy"},
    {"divergence", "Compute KLOT, InfoNCE or CKA between two affinities, and its gradient", add_divergence,
     "sotalign divergence --kind infonce --student K.npy --teacher Kt.npy --gradient grad.npy"},
    {"sinkhorn", "Solve entropic optimal transport for one affinity", add_sinkhorn,
     "sotalign sinkhorn --affinity K.npy --epsilon 0.05 --plan plan.npy"},
    {"info", "Describe this program and machine, or the contents of a file", add_info,
     "sotalign info run/model.safetensors"},
    {"completion", "Print a script that completes command lines in bash, zsh or fish", add_completion,
     "source <(sotalign completion bash)"},
    {"man", "Print the man page", add_man, "sotalign man --out sotalign.1"},
};

}  // namespace

std::span<const Command> commands() { return kCommands; }

std::unique_ptr<CLI::App> make_program() {
  auto program = std::make_unique<CLI::App>(
      "Aligns the embeddings of two frozen encoders with few pairs and many unpaired examples.", "sotalign");
  program->set_version_flag("--version", std::string("sotalign ") + version());
  program->footer("sotalign COMMAND --help lists the options of a command. To get started: sotalign demo");
  program->formatter(std::make_shared<Help>());
  return program;
}

std::unique_ptr<CLI::App> make_program_with_options() {
  std::unique_ptr<CLI::App> program = make_program();
  for (const Command& command : commands()) command.add(add_command(*program, command));
  return program;
}

CLI::App& add_command(CLI::App& program, const Command& command) {
  CLI::App& app = *program.add_subcommand(command.name, command.description);
  app.set_help_all_flag("--help-all", "Print this help message with all options and exit");
  app.footer(fmt::format("Example:\n  {}", command.example));
  return app;
}

}  // namespace sotalign::app
