// sotalign sinkhorn: solves one entropic optimal transport problem; can write its plan and potentials.
#include <fmt/format.h>

#include <memory>

#include "cli/files.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/repeat.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/affinity_files.h"
#include "data/inputs.h"
#include "data/weights.h"
#include "sotalign/core/error.h"
#include "sotalign/io/safetensors.h"

namespace sotalign::app {

namespace {

struct SinkhornArguments {
  std::string affinity, a, b, start, plan, potentials;
  SinkhornOptions sinkhorn;
  Machine machine;
  int64_t repeat = 1;
};

std::vector<double> read_start(const std::string& path, int64_t cols) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  if (file.has_checksums()) file.verify();
  if (!file.contains("v")) throw IoError(fmt::format("{}: expected a tensor 'v', found none", path));
  std::vector<double> v = file.read_double("v");
  if (static_cast<int64_t>(v.size()) != cols)
    throw InvalidArgument(fmt::format("{}: tensor 'v': expected {} potentials, one for each column, found {}",
                                      path, cols, v.size()));
  return v;
}

int run(const SinkhornArguments& arguments) {
  require(arguments.affinity, "affinity");
  check_repeat(arguments.repeat);
  const HostMatrix affinity = read_input(arguments.affinity);
  const int64_t n = affinity.rows(), m = affinity.cols();
  const std::vector<double> a = read_weights(arguments.a, n), b = read_weights(arguments.b, m);

  Context context = make_context(arguments.machine);
  Sinkhorn solver(context, n, m, arguments.sinkhorn);
  solver.set_weights(0, a, b);
  check_affinity(input_name(arguments.affinity), affinity, arguments.sinkhorn.epsilon, a, b);
  if (!arguments.start.empty()) solver.set_start(0, read_start(arguments.start, m));
  Matrix<float> k = upload(context, affinity, "affinity");

  SinkhornResult result;
  const std::vector<double> seconds = time_repeats(arguments.repeat, [&] {
    solver.solve(k);
    with_affinity_files({{"affinity", input_name(arguments.affinity)}},
                        [&] { result = solver.results()[0]; });
  });

  nlohmann::ordered_json json = {{"n", n}, {"m", m}, {"epsilon", arguments.sinkhorn.epsilon}};
  json.update(to_json(result));
  json["solver"] = solver.describe();
  add_seconds(json, seconds);
  require_finite(json);
  if (!arguments.potentials.empty()) {
    const std::vector<double> u = solver.row_potentials(0), v = solver.column_potentials(0);
    SafetensorsWriter writer;
    writer.add_checksums();
    writer.add("u", {n}, u.data());
    writer.add("v", {m}, v.data());
    writer.write(arguments.potentials);
  }
  if (!arguments.plan.empty()) {
    solver.plan(k, k);
    write_matrix(arguments.plan, HostMatrix(k.download(), n, m).view());
  }
  if (!arguments.machine.quiet && arguments.plan != "-") write_json("-", json);
  return 0;
}

}  // namespace

Action add_sinkhorn(CLI::App& app) {
  const auto arguments = std::make_shared<SinkhornArguments>();
  SinkhornOptions& options = arguments->sinkhorn;
  OptionTable table(app);
  table.section("Files");
  table.add("affinity", &arguments->affinity, "Affinity K [n, m]; the cost is -K", Role::kMatrix);
  table.common();
  table.add("a", &arguments->a, "Row weights, .npy [n]; default: uniform", Role::kPath);
  table.add("b", &arguments->b, "Column weights, .npy [m]; default: uniform", Role::kPath);
  table.add("start", &arguments->start, "Potentials to start from: a file written by --potentials",
            Role::kPath);
  table.add("plan", &arguments->plan, "Write the plan here, .npy float32 [n, m]", Role::kOutput);
  table.common();
  table.add("potentials", &arguments->potentials,
            "Write the potentials u [n] and v [m] here, .safetensors float64", Role::kSafetensors);
  table.section("Optimal transport");
  table.add("epsilon", &options.epsilon, "Entropic regularisation");
  table.common();
  add_solver_options(table, options.solve, options.symmetrize);
  for (const char* key : {"iterations", "tolerance"}) table.common(key);
  add_machine_options(table, arguments->machine);
  add_repeat_option(table, arguments->repeat);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
