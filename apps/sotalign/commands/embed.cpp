// sotalign embed: projects raw embeddings of one modality to unit rows in the shared space.
#include <fmt/format.h>

#include <memory>

#include "cli/options.h"
#include "commands/command.h"
#include "data/inputs.h"
#include "sotalign/core/error.h"
#include "sotalign/io/npy.h"

namespace sotalign::app {

namespace {

struct Arguments {
  std::string model, input, output;
  std::optional<Side> side;
  Projection projection = Projection::kHeads;
  Machine machine;
};

int run(const Arguments& arguments) {
  require(arguments.model, "model");
  require(arguments.input, "input");
  require(arguments.output, "output");
  if (!arguments.side) throw InvalidArgument("--side: expected image or text, found none");
  Context context = make_context(arguments.machine);
  const Model model = load_model(context, arguments.model);
  const HostMatrix x = read_embeddings(arguments.input);
  const HostMatrix y = embed(context, model, *arguments.side, arguments.projection, arguments.input, x);
  require_directions(arguments.input, y);
  write_npy(arguments.output, y.view());
  if (!arguments.machine.quiet)
    fmt::print("{}: {} unit rows of {} dimensions\n", arguments.output, y.rows(), y.cols());
  return 0;
}

}  // namespace

Action add_embed(CLI::App& app) {
  const auto arguments = std::make_shared<Arguments>();
  OptionTable table(app);
  table.section("Files");
  table.add("model", &arguments->model, "Model written by sotalign train or teacher", Role::kPath);
  table.add("input", &arguments->input, "Raw embeddings, .npy or .safetensors", Role::kPath);
  table.add("output", &arguments->output,
            "Write the unit rows here, .npy float32; an existing file is replaced", Role::kOutput);
  table.section("Model");
  table.add("side", choice<std::optional<Side>>(&arguments->side, {{"image", Side::kX}, {"text", Side::kY}}),
            "Modality of the input");
  add_projection_option(table, arguments->projection);
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
