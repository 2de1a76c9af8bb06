// sotalign klot: computes the KLOT divergence between two affinity matrices and prints it as a JSON object.
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
#include "sotalign/ot/klot_memory.h"

namespace sotalign::app {

namespace {

struct KlotArguments {
  std::string student, teacher, a, b, gradient;
  KlotOptions klot;
  KlotMemory memory = KlotMemory::kStored;
  Machine machine;
  int64_t repeat = 1;
};

int run(const KlotArguments& arguments) {
  require({{arguments.student, "student"}, {arguments.teacher, "teacher"}});
  check_epsilons(arguments.klot.epsilon_student, arguments.klot.epsilon_teacher);
  check_repeat(arguments.repeat);
  const AffinityPair sides = read_affinity_pair(arguments.student, arguments.teacher);
  const int64_t n = sides.student.rows(), m = sides.student.cols();
  const std::vector<double> a = read_weights(arguments.a, n), b = read_weights(arguments.b, m);

  Context context = make_context(arguments.machine);
  Klot klot(context, n, m, arguments.klot);
  klot.set_weights(a, b);
  check_affinity(sides.student_name, sides.student, arguments.klot.epsilon_student, a, b);
  check_affinity(sides.teacher_name, sides.teacher, arguments.klot.epsilon_teacher, a, b);
  const Matrix<float> k = upload(context, sides.student, "student affinity");
  const Matrix<float> k_teacher = upload(context, sides.teacher, "teacher affinity");
  FixedPointMatrix fixed, fixed_teacher;
  const bool stored = arguments.memory == KlotMemory::kStored;
  if (!stored) {
    fixed = FixedPointMatrix(context, n, m, "student affinity in 16 bits");
    fixed_teacher = FixedPointMatrix(context, n, m, "teacher affinity in 16 bits");
    fixed.encode(context, k);
    fixed_teacher.encode(context, k_teacher);
  }
  Matrix<float> gradient;
  if (!arguments.gradient.empty()) gradient = Matrix<float>(context, n, m, "gradient");

  KlotResult result;
  const std::vector<double> seconds = time_repeats(arguments.repeat, [&] {
    const MatrixF g = gradient.size() > 0 ? gradient.view() : MatrixF();
    if (stored)
      klot.run(k, k_teacher, g);
    else
      klot.run(fixed, fixed_teacher, g);
    with_affinity_files({{"student affinity", sides.student_name}, {"teacher affinity", sides.teacher_name}},
                        [&] { result = klot.result(); });
  });

  nlohmann::ordered_json json = {{"value", result.value},
                                 {"n", n},
                                 {"m", m},
                                 {"epsilon_student", arguments.klot.epsilon_student},
                                 {"epsilon_teacher", arguments.klot.epsilon_teacher},
                                 {"symmetrize", arguments.klot.symmetrize == Symmetrize::kYes},
                                 {"iterations", {result.student.iterations, result.teacher.iterations}},
                                 {"marginal_error_student", result.student.marginal_error},
                                 {"marginal_error_teacher", result.teacher.marginal_error},
                                 {"status_student", to_string(result.student.status)},
                                 {"status_teacher", to_string(result.teacher.status)},
                                 {"student", to_json(result.student)},
                                 {"teacher", to_json(result.teacher)}};
  json["solver"] = stored ? klot.solver().describe() : "log domain, affinities in 16-bit fixed point";
  add_seconds(json, seconds);
  require_finite(json);
  if (gradient.size() > 0) write_matrix(arguments.gradient, HostMatrix(gradient.download(), n, m).view());
  if (!arguments.machine.quiet && arguments.gradient != "-") write_json("-", json);
  return 0;
}

}  // namespace

Action add_klot(CLI::App& app) {
  const auto arguments = std::make_shared<KlotArguments>();
  OptionTable table(app);
  table.section("Files");
  table.add("student", &arguments->student, "Student affinity K [n, m], usually cosines", Role::kMatrix);
  table.common();
  table.add("teacher", &arguments->teacher, "Teacher affinity K* [n, m]", Role::kMatrix);
  table.common();
  table.add("a", &arguments->a, "Row weights, .npy [n]; default: uniform", Role::kPath);
  table.add("b", &arguments->b, "Column weights, .npy [m]; default: uniform", Role::kPath);
  table.add("gradient", &arguments->gradient, "Write the gradient dKLOT/dK here, .npy float32 [n, m]",
            Role::kOutput);
  table.common();
  add_klot_options(table, arguments->klot);
  for (const char* key : {"epsilon_student", "epsilon_teacher", "iterations", "tolerance"}) table.common(key);
  table.add("affinity_memory",
            choice(&arguments->memory, {{"stored", KlotMemory::kStored}, {"fixed16", KlotMemory::kFixed16}}),
            "Store the affinities in float32, or round them to 16-bit fixed point");
  table.formerly("klot_memory");
  add_machine_options(table, arguments->machine);
  add_repeat_option(table, arguments->repeat);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
