// sotalign zeroshot: classifies images by texts that describe the classes.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/files.h"
#include "cli/options.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/hubness.h"
#include "data/inputs.h"
#include "data/shared_rows.h"

namespace sotalign::app {

namespace {

struct ZeroShotArguments {
  explicit ZeroShotArguments(CLI::App& app) : table(app) {}

  std::string model, images, labels, prompts, prompt_classes, json;
  Projection projection = Projection::kHeads;
  HubnessOptions hubness{.kind = Hubness::kNone};
  Machine machine;
  OptionTable table;
};

std::string accuracies(const ZeroShotResult& result) {
  return fmt::format("top-1 {:.1f} %, top-5 {:.1f} %; top-1 averaged over classes {:.1f} %",
                     100 * result.top1, 100 * result.top5, 100 * result.mean_class_top1);
}

int run(const ZeroShotArguments& arguments) {
  require({{arguments.images, "images"},
           {arguments.labels, "labels"},
           {arguments.prompts, "prompts"},
           {arguments.prompt_classes, "prompt_classes"}});
  require_flags_of_kind(arguments.table, arguments.hubness.kind);
  require_model_for_hubness(arguments.model, arguments.hubness);
  Context context = make_context(arguments.machine);
  const RawRows raw(arguments.images, arguments.prompts);
  const std::vector<int64_t> labels = read_ids(arguments.labels, raw.images.rows(), arguments.images),
                             classes =
                                 read_ids(arguments.prompt_classes, raw.texts.rows(), arguments.prompts);
  const SharedRows rows =
      bring_to_one_space(context, arguments.model, arguments.projection, raw, arguments.hubness);
  ZeroShotOptions options;
  const auto classify = [&] {
    return naming_files(arguments.labels + " and " + arguments.prompt_classes, "zero_shot: ", [&] {
      return zero_shot(context, rows.images, labels, rows.texts, classes, options);
    });
  };
  const ZeroShotResult result = classify();
  nlohmann::ordered_json json = to_json(result);
  std::optional<ZeroShotResult> corrected;
  if (rows.hubness) {
    options.corrections =
        rows.hubness->corrections(context, Side::kY, class_embeddings(context, rows.texts, classes).rows);
    corrected = classify();
    json["hubness"] = to_json(*rows.hubness);
    json["hubness"]["corrected"] = to_json(*corrected);
  }

  if (!arguments.json.empty()) write_json(arguments.json, json);
  if (arguments.json == "-" || arguments.machine.quiet) return 0;
  fmt::print("{} images, {} classes, {} prompts: {}\n", result.images, result.classes.size(),
             rows.texts.rows(), accuracies(result));
  if (corrected) fmt::print("with {}: {}\n", to_string(arguments.hubness.kind), accuracies(*corrected));
  return 0;
}

}  // namespace

Action add_zeroshot(CLI::App& app) {
  const auto arguments = std::make_shared<ZeroShotArguments>(app);
  OptionTable& table = arguments->table;
  table.section("Files");
  table.add("model", &arguments->model, "Model; without one, rows are compared as they are", Role::kPath);
  table.add("images", &arguments->images, "Embeddings of the images", Role::kMatrix);
  table.add("labels", &arguments->labels, "Class of each image, .npy integers", Role::kPath);
  table.add("prompts", &arguments->prompts, "Embeddings of texts that describe the classes", Role::kMatrix);
  table.add(
      "prompt_classes", &arguments->prompt_classes,
      "Class of each prompt, .npy integers. The embedding of a class is the\nnormalised mean of its prompts",
      Role::kPath);
  table.add("json", &arguments->json,
            "Also write the result, with figures for each class, as JSON;\n-: to standard output, and print "
            "nothing else",
            Role::kOutput);
  table.section("Model");
  add_projection_option(table, arguments->projection);
  add_hubness_options(table, hubness_choice(&arguments->hubness.kind), arguments->hubness);
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
