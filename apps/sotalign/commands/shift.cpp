// sotalign shift: how far apart are two data sets, for example the unpaired data and an evaluation set?
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/files.h"
#include "cli/options.h"
#include "commands/command.h"
#include "data/inputs.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/sliced_wasserstein.h"

namespace sotalign::app {

namespace {

struct ShiftArguments {
  std::string images, texts, other_images, other_texts, json;
  SlicedWassersteinOptions sliced;
  Machine machine;
};

/// The distance of one modality; none without its files.
std::optional<SlicedWasserstein> shift(Context& context, const std::string& path,
                                       const std::string& other_path,
                                       const SlicedWassersteinOptions& options) {
  if (path.empty()) return {};
  const HostMatrix x = read_embeddings(path), y = read_embeddings(other_path);
  if (x.cols() != y.cols())
    throw InvalidArgument(fmt::format("{}: expected {} columns as in {}, found {}", input_name(other_path),
                                      x.cols(), input_name(path), y.cols()));
  return spherical_sliced_wasserstein(context, upload(context, x), upload(context, y), options);
}

nlohmann::ordered_json wasserstein_json(const SlicedWasserstein& result) {
  return {{"distance", result.distance}, {"standard_error", result.standard_error}};
}

std::string distance_text(const char* name, const std::optional<SlicedWasserstein>& result) {
  return result ? fmt::format("{} {:.5f} +- {:.5f}, ", name, result->distance, result->standard_error) : "";
}

int run(const ShiftArguments& arguments) {
  require_both({arguments.images, "images"}, {arguments.other_images, "other_images"});
  require_both({arguments.texts, "texts"}, {arguments.other_texts, "other_texts"});
  if (arguments.images.empty() && arguments.texts.empty())
    throw InvalidArgument("--images and --other-images, or --texts and --other-texts, are required");
  if (arguments.sliced.projections < 2)
    throw InvalidArgument(
        fmt::format("--projections: expected at least 2, found {}", arguments.sliced.projections));
  Context context = make_context(arguments.machine);
  const std::optional<SlicedWasserstein> images = shift(context, arguments.images, arguments.other_images,
                                                        arguments.sliced),
                                         texts = shift(context, arguments.texts, arguments.other_texts,
                                                       arguments.sliced);

  nlohmann::ordered_json json = {{"projections", arguments.sliced.projections},
                                 {"seed", arguments.sliced.seed}};
  if (images) json["images"] = wasserstein_json(*images);
  if (texts) json["texts"] = wasserstein_json(*texts);
  std::string sum;
  if (images && texts) {
    json["sum"] = images->distance + texts->distance;
    sum = fmt::format("sum {:.5f}, ", images->distance + texts->distance);
  }
  if (!arguments.json.empty()) write_json(arguments.json, json);
  if (arguments.json == "-" || arguments.machine.quiet) return 0;
  fmt::print("spherical sliced Wasserstein: {}{}{}{} projections\n", distance_text("images", images),
             distance_text("texts", texts), sum, arguments.sliced.projections);
  return 0;
}

}  // namespace

Action add_shift(CLI::App& app) {
  const auto arguments = std::make_shared<ShiftArguments>();
  OptionTable table(app);
  table.section("Files (images, texts or both)");
  table.add("images", &arguments->images, "Image embeddings of the first data set", Role::kMatrix);
  table.add("texts", &arguments->texts, "Text embeddings of the first data set", Role::kMatrix);
  table.add("other_images", &arguments->other_images,
            "Image embeddings of the second data set, from the same encoder", Role::kMatrix);
  table.add("other_texts", &arguments->other_texts, "Text embeddings of the second data set", Role::kMatrix);
  table.add("json", &arguments->json,
            "Also write the result as JSON; -: to standard output, and print nothing else", Role::kOutput);
  table.section("Distance (rows are scaled to unit length, not centred)");
  table.add("projections", AtMost{&arguments->sliced.projections, kMostIterations},
            "Number of random planes to project onto");
  table.add("seed", &arguments->sliced.seed, "Seed of the planes");
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
