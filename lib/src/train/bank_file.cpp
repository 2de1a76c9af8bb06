#include "train/bank_file.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "io/text.h"
#include "sotalign/core/error.h"
#include "sotalign/io/json_text.h"
#include "train/model_tensors.h"

namespace sotalign::detail {

namespace {

constexpr const char *kImages = "hubness.images", *kTexts = "hubness.texts",
                     *kImagePotentials = "hubness.image_potentials",
                     *kTextPotentials = "hubness.text_potentials";
/// Whoever solves for other potentials takes the file's number of iterations: a damaged one must not keep the
/// machine busy for days.
constexpr int64_t kMostIterations = 1'000'000;

std::string to_json(const HubnessOptions& o) {
  return nlohmann::ordered_json{{"kind", to_string(o.kind)},
                                {"bank", o.bank},
                                {"temperature", o.temperature},
                                {"iterations", o.iterations},
                                {"neighbours", o.neighbours},
                                {"seed", o.seed},
                                {"tile", o.tile}}
      .dump();
}

HubnessOptions options_of_json(const std::string& where, const std::string& text) {
  check_json_text(text, where, 2);
  const nlohmann::json json = nlohmann::json::parse(text);
  const auto member = [&](const char* key, const char* expected, auto&& fits) {
    if (json.is_object() && json.contains(key) && fits(json[key])) return json[key];
    throw IoError(fmt::format("{}: {}: expected {}", where, key, expected));
  };
  const auto integer = [&](const char* key, int64_t most) {
    return member(key, fmt::format("an integer from 0 to {}", most).c_str(),
                  [&](const nlohmann::json& value) {
                    return value.is_number_unsigned() && value.get<uint64_t>() <= static_cast<uint64_t>(most);
                  })
        .template get<int64_t>();
  };
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  HubnessOptions options;
  options.kind = parse_hubness(io::printable(member("kind", "a name", [](const nlohmann::json& value) {
                                               return value.is_string();
                                             }).get<std::string>()));
  options.bank = integer("bank", std::numeric_limits<int64_t>::max());
  options.temperature = member("temperature", "a number", [](const nlohmann::json& value) {
                          return value.is_number();
                        }).get<double>();
  options.iterations = integer("iterations", kMostIterations);
  options.neighbours = integer("neighbours", std::numeric_limits<int64_t>::max());
  options.seed = member("seed", "an integer >= 0", [](const nlohmann::json& value) {
                   return value.is_number_unsigned();
                 }).get<uint64_t>();
  options.tile = integer("tile", kMost);
  return options;
}

}  // namespace

BankTensors::BankTensors(Context& context, const HubnessCorrection& bank) : bank_(bank) {
  const auto download = [&](Side side) {
    const ConstMatrixF rows = bank.bank(side);
    std::vector<float> values(static_cast<size_t>(rows.rows * rows.cols));
    context.copy_to_host(values.data(), rows.data, values.size() * sizeof(float));
    return values;
  };
  images_ = download(Side::kX);
  texts_ = download(Side::kY);
}

void BankTensors::add_to(SafetensorsWriter& writer) const {
  writer.set_metadata("hubness", to_json(bank_.options()));
  writer.add(kImages, {bank_.bank(Side::kX).rows, bank_.dim()}, images_.data());
  writer.add(kTexts, {bank_.bank(Side::kY).rows, bank_.dim()}, texts_.data());
  const HubnessPotentials& potentials = bank_.potentials();
  const auto add = [&](const char* name, const std::vector<double>& values) {
    if (!values.empty()) writer.add(name, {static_cast<int64_t>(values.size())}, values.data());
  };
  add(kImagePotentials, potentials.images);
  add(kTextPotentials, potentials.texts);
}

HubnessCorrection read_bank(Context& context, const SafetensorsFile& file, const std::string& path,
                            int64_t dim) {
  try {
    const HubnessOptions options = options_of_json(path + ": hubness", file.metadata().at("hubness"));
    const auto rows = [&](const char* name) {
      const std::vector<float> values = read_floats(file, path, name, {-1, dim});
      return Matrix<float>(context, values.data(), static_cast<int64_t>(values.size()) / dim, dim, "bank");
    };
    const Matrix<float> images = rows(kImages), texts = rows(kTexts);
    const auto potentials = [&](const char* name, int64_t count) {
      return file.contains(name) ? read_doubles(file, path, name, {count}) : std::vector<double>();
    };
    return HubnessCorrection(
        context, images, texts,
        {potentials(kImagePotentials, images.rows()), potentials(kTextPotentials, texts.rows())}, options);
  } catch (const InvalidArgument& error) {
    throw IoError(fmt::format("{}: {}", path, error.what()));
  }
}

}  // namespace sotalign::detail
