// sotalign eval: measures cross-modal retrieval and prints it as a table or as JSON.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/files.h"
#include "cli/options.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/hubness.h"
#include "data/inputs.h"

namespace sotalign::app {

namespace {

struct EvalArguments {
  explicit EvalArguments(CLI::App& app) : table(app) {}

  std::string model, images, texts, image_ids, text_ids, json;
  Projection projection = Projection::kHeads;
  HubnessOptions hubness{.kind = Hubness::kNone};
  Machine machine;
  OptionTable table;
};

int run(const EvalArguments& arguments) {
  require({{arguments.images, "images"}, {arguments.texts, "texts"}});
  require_flags_of_kind(arguments.table, arguments.hubness.kind);
  require_model_for_hubness(arguments.model, arguments.hubness);
  require_both({arguments.image_ids, "image_ids"}, {arguments.text_ids, "text_ids"});
  Context context = make_context(arguments.machine);
  HostMatrix images = read_embeddings(arguments.images), texts = read_embeddings(arguments.texts);
  RetrievalOptions options;
  if (arguments.image_ids.empty()) {
    require_pairs(arguments.images, images, arguments.texts, texts);
  } else {
    options.image_ids = read_ids(arguments.image_ids, images, arguments.images);
    options.text_ids = read_ids(arguments.text_ids, texts, arguments.texts);
  }
  const std::optional<HubnessCorrection> hubness =
      bring_to_one_space(context, arguments.model, arguments.projection, arguments.images, images,
                         arguments.texts, texts, arguments.hubness);
  const Matrix<float> device_images = upload(context, images), device_texts = upload(context, texts);
  const auto run_retrieval = [&] { return retrieval(context, device_images, device_texts, options); };
  const RetrievalResult result =
      arguments.image_ids.empty()
          ? run_retrieval()
          : naming_files(arguments.image_ids + " and " + arguments.text_ids, "retrieval: ", run_retrieval);

  nlohmann::ordered_json json = to_json(result);
  std::optional<RetrievalResult> corrected;
  if (hubness) {
    options.image_corrections = hubness->corrections(context, Side::kX, device_images);
    options.text_corrections = hubness->corrections(context, Side::kY, device_texts);
    corrected = run_retrieval();
    json["hubness"] = to_json(*hubness);
    json["hubness"]["corrected"] = to_json(*corrected);
  }

  if (!arguments.json.empty()) write_json(arguments.json, json);
  if (arguments.json == "-" || arguments.machine.quiet) return 0;
  const char* name = arguments.model.empty()                      ? "as they are"
                     : arguments.projection == Projection::kHeads ? "heads"
                                                                  : "teacher";
  std::vector<RetrievalRow> rows = {{name, result}};
  if (corrected) rows.push_back({corrected_name(name, arguments.hubness.kind), *corrected});
  fmt::print("{} images and {} texts of {} dimensions; recalls in percent\n\n{}", images.rows(), texts.rows(),
             images.cols(), retrieval_table(rows));
  return 0;
}

}  // namespace

Action add_eval(CLI::App& app) {
  const auto arguments = std::make_shared<EvalArguments>(app);
  OptionTable& table = arguments->table;
  table.section("Files");
  table.add("model", &arguments->model, "Model; without one, rows are compared as they are", Role::kPath);
  table.add("images", &arguments->images, "Embeddings of the images", Role::kMatrix);
  table.add("texts", &arguments->texts,
            "Embeddings of the texts; without ids, row i is paired with image row i", Role::kMatrix);
  table.add("image_ids", &arguments->image_ids,
            "Ids of the images, .npy integers; images and texts with equal ids match", Role::kPath);
  table.add("text_ids", &arguments->text_ids, "Ids of the texts, .npy integers", Role::kPath);
  table.add("json", &arguments->json,
            "Also write the result as JSON; -: to standard output, without the table", Role::kOutput);
  table.section("Model");
  add_projection_option(table, arguments->projection);
  add_hubness_options(table, hubness_choice(&arguments->hubness.kind), arguments->hubness);
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
