#include "data/hubness.h"

#include <fmt/format.h>

#include <algorithm>

#include "sotalign/core/error.h"

namespace sotalign::app {

Choice hubness_choice(Hubness* kind) {
  return {.names = hubness_names(),
          .get = [kind] { return to_string(*kind); },
          .set = [kind](const std::string& name) { *kind = parse_hubness(name); }};
}

void require_flags_of_kind(const OptionTable& table, Hubness kind) {
  const auto require_kind = [&](const char* key, bool has_effect, const char* kinds) {
    if (const std::string flag = table.given(key, key); !flag.empty() && !has_effect)
      throw InvalidArgument(
          fmt::format("{}: expected a correction with --hubness {}, found {}", flag, kinds, to_string(kind)));
  };
  require_kind("hubness_temperature", kind == Hubness::kDbs || kind == Hubness::kInvertedSoftmax,
               "dbs or inverted_softmax");
  require_kind("hubness_neighbours", kind == Hubness::kCsls, "csls");
}

void require_model_for_hubness(const std::string& model_path, const HubnessOptions& asked) {
  if (asked.kind != Hubness::kNone && model_path.empty())
    throw InvalidArgument(
        fmt::format("--hubness: expected --model with a bank for {}, found none", to_string(asked.kind)));
}

std::optional<HubnessCorrection> correction_of(Context& context, const Model& model, const std::string& path,
                                               Projection projection, const HubnessOptions& asked) {
  if (asked.kind == Hubness::kNone) return std::nullopt;
  if (!model.hubness)
    throw InvalidArgument(fmt::format(
        "--hubness: expected a model with a bank, as train makes from unpaired rows, found none in {}",
        path));
  if (projection != model.hubness_projection())
    throw InvalidArgument(fmt::format(
        "--hubness: expected --projection heads, whose space the bank of {} is in, found teacher", path));
  const HubnessOptions& stored = model.hubness->options();
  HubnessOptions options = stored;
  options.kind = asked.kind;
  options.temperature = asked.temperature;
  options.neighbours = asked.neighbours;
  const ConstMatrixF images = model.hubness->bank(Side::kX), texts = model.hubness->bank(Side::kY);
  if (options.kind == stored.kind && options.temperature == stored.temperature)
    return HubnessCorrection(context, images, texts, model.hubness->potentials(), options);
  return HubnessCorrection(context, images, texts, options);
}

nlohmann::ordered_json to_json(const HubnessOptions& options) {
  nlohmann::ordered_json json = {{"kind", to_string(options.kind)}};
  if (options.kind == Hubness::kCsls)
    json["neighbours"] = options.neighbours;
  else
    json["temperature"] = options.temperature;
  return json;
}

nlohmann::ordered_json to_json(const HubnessCorrection& hubness) {
  nlohmann::ordered_json json = to_json(hubness.options());
  json["bank_images"] = hubness.bank(Side::kX).rows;
  json["bank_texts"] = hubness.bank(Side::kY).rows;
  return json;
}

std::string corrected_name(const std::string& name, Hubness kind) {
  return fmt::format("{}, {}", name, to_string(kind));
}

}  // namespace sotalign::app
