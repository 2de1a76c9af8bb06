// sotalign embed: projects raw embeddings of one modality to unit rows in the shared space.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/options.h"
#include "commands/command.h"
#include "data/hubness.h"
#include "data/inputs.h"
#include "sotalign/core/error.h"
#include "sotalign/io/npy.h"

namespace sotalign::app {

namespace {

struct EmbedArguments {
  explicit EmbedArguments(CLI::App& app) : table(app) {}

  std::string model, input, output, corrections;
  std::optional<Side> side;
  Projection projection = Projection::kHeads;
  std::optional<Hubness> kind;
  HubnessOptions hubness;
  Machine machine;
  OptionTable table;
};

int run(const EmbedArguments& arguments) {
  require(arguments.model, "model");
  require(arguments.input, "input");
  require(arguments.output, "output");
  if (!arguments.side) throw InvalidArgument("--side: expected image or text, found none");
  if (arguments.kind && arguments.corrections.empty())
    throw InvalidArgument("--hubness: expected --corrections, the file to write, found none");
  HubnessOptions asked = arguments.hubness;
  asked.kind = arguments.corrections.empty() ? Hubness::kNone : arguments.kind.value_or(Hubness::kDbs);
  require_flags_of_kind(arguments.table, asked.kind);
  Context context = make_context(arguments.machine);
  const Model model = load_model(context, arguments.model);
  require_projection(model, arguments.projection);
  const std::optional<HubnessCorrection> hubness =
      correction_of(context, model, arguments.model, arguments.projection, asked);
  const HostMatrix x = read_embeddings(arguments.input);
  const HostMatrix y = embed(context, model, *arguments.side, arguments.projection, arguments.input, x);
  require_directions(arguments.input, y);
  const std::vector<float> subtracted =
      hubness ? corrections(context, *hubness, *arguments.side, y) : std::vector<float>();
  write_npy(arguments.output, y.view());
  if (hubness) write_npy(arguments.corrections, subtracted);
  if (arguments.machine.quiet) return 0;
  fmt::print("{}: {} unit rows of {} dimensions\n", arguments.output, y.rows(), y.cols());
  if (hubness)
    fmt::print("{}: {} {} corrections to subtract from cosines\n", arguments.corrections, subtracted.size(),
               to_string(asked.kind));
  return 0;
}

}  // namespace

Action add_embed(CLI::App& app) {
  const auto arguments = std::make_shared<EmbedArguments>(app);
  OptionTable& table = arguments->table;
  table.section("Files");
  table.add("model", &arguments->model, "Model written by sotalign train or teacher", Role::kPath);
  table.add("input", &arguments->input, "Raw embeddings, .npy or .safetensors", Role::kPath);
  table.add("output", &arguments->output,
            "Write the unit rows here, .npy float32; an existing file is replaced", Role::kOutput);
  table.add("corrections", &arguments->corrections,
            "Also write hubness corrections, dbs unless --hubness names others: what to subtract\n"
            "from the cosines of each row where these rows are the gallery, .npy float32",
            Role::kOutput);
  table.section("Model");
  table.add("side", choice<std::optional<Side>>(&arguments->side, {{"image", Side::kX}, {"text", Side::kY}}),
            "Modality of the input");
  add_projection_option(table, arguments->projection);
  add_hubness_options(
      table,
      choice<std::optional<Hubness>>(&arguments->kind, {{"dbs", Hubness::kDbs},
                                                        {"inverted_softmax", Hubness::kInvertedSoftmax},
                                                        {"csls", Hubness::kCsls}}),
      arguments->hubness);
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
