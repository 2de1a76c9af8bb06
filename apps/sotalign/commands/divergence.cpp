// sotalign divergence: computes a divergence between two affinity matrices and prints it as a JSON object.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "cli/files.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/repeat.h"
#include "cli/report.h"
#include "commands/command.h"
#include "data/affinity_files.h"
#include "data/inputs.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

struct DivergenceArguments {
  explicit DivergenceArguments(CLI::App& app) : table(app) {}

  OptionTable table;
  std::string student, teacher, gradient;
  DivergenceOptions divergence;
  Machine machine;
  int64_t repeat = 1;
};

/// Rejects options that have no effect on this divergence.
void check_applicable(const DivergenceArguments& arguments) {
  const DivergenceInfo& info = find_divergence(arguments.divergence.name);
  if (info.uses_solver) return;
  std::vector<std::string> own;
  if (info.uses_epsilons) own = {"--epsilon-student", "--epsilon-teacher"};
  for (const OptionInfo& option : info.options) own.push_back(flag_of(option.key));
  const auto is_in = [](const std::vector<std::string>& flags, const std::string& flag) {
    return std::find(flags.begin(), flags.end(), flag) != flags.end();
  };
  for (const std::string& flag : arguments.table.given_except(Role::kMachine))
    if (!is_in({"--student", "--teacher", "--gradient", "--kind"}, flag) && !is_in(own, flag))
      throw InvalidArgument(
          fmt::format("{}: has no effect on {}, which takes {}", flag, info.name,
                      own.empty() ? "no options" : fmt::format("{}", fmt::join(own, " and "))));
}

int run(const DivergenceArguments& arguments) {
  require({{arguments.student, "student"}, {arguments.teacher, "teacher"}});
  check_applicable(arguments);
  const DivergenceOptions& options = arguments.divergence;
  const DivergenceInfo& info = find_divergence(options.name);
  check_epsilons(options.epsilon_student, options.epsilon_teacher);
  check_repeat(arguments.repeat);
  const AffinityPair sides = read_affinity_pair(arguments.student, arguments.teacher);
  const int64_t n = sides.student.rows(), m = sides.student.cols();
  if (info.uses_epsilons) {
    check_affinity(sides.student_name, sides.student, options.epsilon_student);
    check_affinity(sides.teacher_name, sides.teacher, options.epsilon_teacher);
  }

  Context context = make_context(arguments.machine);
  const std::unique_ptr<Divergence> divergence = make_divergence(context, n, m, options);
  const Matrix<float> k = upload(context, sides.student, "student affinity");
  const Matrix<float> k_teacher = upload(context, sides.teacher, "teacher affinity");
  Matrix<float> gradient;
  if (!arguments.gradient.empty()) gradient = Matrix<float>(context, n, m, "gradient");

  DivergenceResult result;
  const std::vector<double> seconds = time_repeats(arguments.repeat, [&] {
    divergence->run(k, k_teacher, gradient.size() > 0 ? gradient.view() : MatrixF());
    with_affinity_files({{"student affinity", sides.student_name}, {"teacher affinity", sides.teacher_name}},
                        [&] { result = divergence->result(); });
  });

  nlohmann::ordered_json json = {{"divergence", result.name}, {"value", result.value}, {"n", n}, {"m", m}};
  if (info.uses_epsilons) {
    json["epsilon_student"] = options.epsilon_student;
    json["epsilon_teacher"] = options.epsilon_teacher;
  }
  if (result.klot) {
    json["student"] = to_json(result.klot->student);
    json["teacher"] = to_json(result.klot->teacher);
  }
  add_seconds(json, seconds);
  require_finite(json);
  if (gradient.size() > 0) write_matrix(arguments.gradient, HostMatrix(gradient.download(), n, m).view());
  if (!arguments.machine.quiet && arguments.gradient != "-") write_json("-", json);
  return 0;
}

}  // namespace

Action add_divergence(CLI::App& app) {
  const auto arguments = std::make_shared<DivergenceArguments>(app);
  OptionTable& table = arguments->table;
  table.section("Files");
  table.add("student", &arguments->student, "Student affinity K [n, m], usually cosines", Role::kMatrix);
  table.common();
  table.add("teacher", &arguments->teacher, "Teacher affinity K* [n, m]", Role::kMatrix);
  table.common();
  table.add("gradient", &arguments->gradient,
            "Write the gradient with respect to K here, .npy float32 [n, m]", Role::kOutput);
  table.common();
  table.section("Divergence");
  add_divergence_choice(table, "kind", arguments->divergence);
  table.common();
  add_divergence_options(table, arguments->divergence);
  for (const char* key : {"epsilon_student", "epsilon_teacher", "iterations", "tolerance"}) table.common(key);
  add_machine_options(table, arguments->machine);
  add_repeat_option(table, arguments->repeat);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
