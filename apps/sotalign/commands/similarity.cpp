// sotalign similarity: how similar are two embeddings of the same items?
#include <fmt/format.h>

#include <memory>

#include "cli/files.h"
#include "cli/options.h"
#include "commands/command.h"
#include "data/inputs.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/linear_cka.h"
#include "sotalign/eval/mutual_knn.h"

namespace sotalign::app {

namespace {

struct SimilarityArguments {
  std::string x, y, json;
  int64_t k = MutualKnnOptions().k;
  Machine machine;
};

int run(const SimilarityArguments& arguments) {
  require({{arguments.x, "x"}, {arguments.y, "y"}});
  Context context = make_context(arguments.machine);
  const HostMatrix x = read_embeddings(arguments.x), y = read_embeddings(arguments.y);
  require_pairs(arguments.x, x.rows(), arguments.y, y.rows());
  if (arguments.k < 1 || arguments.k > x.rows() - 1)
    throw InvalidArgument(fmt::format("--k: expected 1 to {} (the other rows of {}), found {}", x.rows() - 1,
                                      input_name(arguments.x), arguments.k));
  const Matrix<float> device_x = upload(context, x), device_y = upload(context, y);
  const double mutual = mutual_knn(context, device_x, device_y, {.k = arguments.k});
  const LinearCka cka = linear_cka(context, device_x, device_y,
                                   {.x_name = input_name(arguments.x), .y_name = input_name(arguments.y)});

  // The expected value for unrelated embeddings: k of the n - 1 other rows.
  const double chance = static_cast<double>(arguments.k) / static_cast<double>(x.rows() - 1);
  if (!arguments.json.empty()) {
    nlohmann::ordered_json json = {{"n", x.rows()},        {"k", arguments.k},
                                   {"mutual_knn", mutual}, {"mutual_knn_by_chance", chance},
                                   {"cka", cka.biased},    {"cka_unbiased", nullptr}};
    if (cka.unbiased) json["cka_unbiased"] = *cka.unbiased;
    write_json(arguments.json, json);
  }
  if (arguments.json == "-" || arguments.machine.quiet) return 0;
  fmt::print("{} rows of {} and {} dimensions: mutual {}-NN {:.4f} (chance {:.4f}), CKA {:.4f}{}\n", x.rows(),
             x.cols(), y.cols(), arguments.k, mutual, chance, cka.biased,
             cka.unbiased ? fmt::format(" (unbiased {:.4f})", *cka.unbiased) : "");
  return 0;
}

}  // namespace

Action add_similarity(CLI::App& app) {
  const auto arguments = std::make_shared<SimilarityArguments>();
  OptionTable table(app);
  table.section("Files");
  table.add("x", &arguments->x, "Embeddings of some items", Role::kMatrix);
  table.add("y", &arguments->y, "Other embeddings of the same items, in the same order", Role::kMatrix);
  table.add("json", &arguments->json,
            "Also write the result as JSON; -: to standard output, and print nothing else", Role::kOutput);
  table.section("Measures");
  table.add("k", &arguments->k, "Number of nearest neighbours to compare, by cosine");
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
