// sotalign embed: projects raw embeddings of one modality to unit rows in the shared space, piece by piece,
// so that neither input nor output need fit into memory.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "cli/options.h"
#include "cli/output.h"
#include "commands/command.h"
#include "data/hubness.h"
#include "data/row_tiles.h"
#include "sotalign/core/error.h"
#include "sotalign/io/matrix_writer.h"
#include "sotalign/io/npy.h"

namespace sotalign::app {

namespace {

struct EmbedArguments {
  explicit EmbedArguments(CLI::App& app) : table(app) {}

  std::string model, input, output, corrections;
  std::optional<Side> side;
  Projection projection = Projection::kHeads;
  ElementType type = ElementType::kFloat32;
  std::optional<Hubness> kind;
  HubnessOptions hubness;
  Machine machine;
  OptionTable table;
};

/// With a large bank, tiles of corrections depend on where they start.
int64_t tile_rows(const std::optional<HubnessCorrection>& hubness) {
  if (!hubness) return RowTiles::kRows;
  const int64_t bank = std::max(hubness->bank(Side::kX).rows, hubness->bank(Side::kY).rows);
  return bank <= hubness->options().tile ? RowTiles::kRows : kCorrectionsPiece;
}

void write_corrections(Output& output, const std::string& path, const std::vector<float>& corrections) {
  const std::vector<int64_t> shape = {static_cast<int64_t>(corrections.size())};
  output.write(matrix_format(path) == MatrixFormat::kNpy
                   ? npy_header(ElementType::kFloat32, shape)
                   : safetensors_header("corrections", ElementType::kFloat32, shape));
  output.write(corrections.data(), corrections.size() * sizeof(float));
}

int run(const EmbedArguments& arguments) {
  require({{arguments.model, "model"},
           {arguments.side, "side"},
           {arguments.input, "input"},
           {arguments.output, "output"}});
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
  RowTiles input(context, arguments.input,
                 {.model = &model, .side = *arguments.side, .projection = arguments.projection},
                 tile_rows(hubness));
  Output output(arguments.output);
  std::optional<Output> corrections;
  if (hubness) corrections.emplace(arguments.corrections);
  MatrixWriter writer({.format = matrix_format(arguments.output),
                       .type = arguments.type,
                       .rows = input.rows(),
                       .cols = input.cols()},
                      [&](const void* bytes, size_t size) { output.write(bytes, size); });
  std::vector<float> subtracted;
  for (RowTiles::Tile tile = input.next(); tile.host.rows > 0; tile = input.next()) {
    writer.add(tile.host);
    if (!hubness) continue;
    const std::vector<float> part = hubness->corrections(context, *arguments.side, tile.device);
    subtracted.insert(subtracted.end(), part.begin(), part.end());
  }
  writer.finish();
  if (corrections) write_corrections(*corrections, arguments.corrections, subtracted);
  output.commit();
  if (corrections) corrections->commit();
  if (arguments.machine.quiet || arguments.output == "-" || arguments.corrections == "-") return 0;
  fmt::print("{}: {} unit rows of {} dimensions\n", arguments.output, input.rows(), input.cols());
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
  table.add("input", &arguments->input,
            "Raw embeddings, .npy or .safetensors, read piece by piece; -: .npy on standard input",
            Role::kMatrix);
  table.add("output", &arguments->output,
            "Write the unit rows here, .npy or .safetensors by the name; an existing file is\n"
            "replaced when all is done; -: .npy on standard output",
            Role::kOutput);
  table.add(
      "dtype",
      choice(&arguments->type, {{"float32", ElementType::kFloat32}, {"float16", ElementType::kFloat16}}),
      "Type of the unit rows; float16 takes half the space");
  table.add("corrections", &arguments->corrections,
            "Also write hubness corrections, dbs unless --hubness names others: what to subtract\n"
            "from the cosines of each row where these rows are the gallery, float32 as .npy or\n"
            ".safetensors; -: .npy on standard output",
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
