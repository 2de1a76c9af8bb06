// KLOT of stored affinities and of embeddings.
#include "sotalign/ot/klot.h"

#include <fmt/format.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <string>

#include "arrays.h"
#include "bindings.h"
#include "context.h"
#include "solve.h"
#include "sotalign/core/error.h"
#include "sotalign/ot/embedding_klot.h"

namespace sotalign::python {

namespace {

KlotOptions klot_options(double epsilon_student, double epsilon_teacher, bool symmetrize,
                         const nb::dict& student, const nb::dict& teacher) {
  return {.epsilon_student = epsilon_student,
          .epsilon_teacher = epsilon_teacher,
          .symmetrize = symmetrize ? Symmetrize::kYes : Symmetrize::kNo,
          .student = solve_options(student),
          .teacher = solve_options(teacher)};
}

KlotMemoryPlan memory_plan(const Context& context, int64_t rows, int64_t cols, const std::string& name) {
  if (name == "auto") return plan_klot_memory(context, rows, cols, context.available_bytes() / 8 * 7);
  for (const KlotMemory memory : {KlotMemory::kStored, KlotMemory::kFixed16, KlotMemory::kStreamed})
    if (name == to_string(memory)) return plan_klot_memory(context, rows, cols, memory);
  throw InvalidArgument(fmt::format("memory: expected auto, stored, fixed16 or streamed, found '{}'", name));
}

/// The result of KLOT of embeddings, and how its affinities were held.
struct EmbeddingResult {
  KlotResult klot;
  std::string memory;
};

KlotResult klot(PythonContext& context, const InputArray& student, const InputArray& teacher,
                double epsilon_student, double epsilon_teacher, bool symmetrize,
                const nb::dict& student_solve, const nb::dict& teacher_solve, const std::optional<Weights>& a,
                const std::optional<Weights>& b, const std::optional<OutputArray>& gradient,
                double gradient_scale) {
  const KlotOptions options =
      klot_options(epsilon_student, epsilon_teacher, symmetrize, student_solve, teacher_solve);
  return compute(context, [&](Context& c) {
    const Input k(c, student, "K"), k_teacher(c, teacher, "K_teacher");
    Klot klot(c, k.view().rows, k.view().cols, options);
    if (a || b) klot.set_weights(values<double>(a), values<double>(b));
    std::optional<Output> out;
    if (gradient) out.emplace(c, *gradient, "gradient");
    klot.run(k, k_teacher, out ? out->view() : MatrixF(), gradient_scale);
    const KlotResult result = klot.result();
    if (out) out->finish();
    return result;
  });
}

EmbeddingResult klot_embeddings(PythonContext& context, const InputArray& x, const InputArray& y,
                                const InputArray& x_teacher, const InputArray& y_teacher,
                                double epsilon_student, double epsilon_teacher, bool symmetrize,
                                const nb::dict& student_solve, const nb::dict& teacher_solve,
                                const std::optional<Weights>& a, const std::optional<Weights>& b,
                                const std::string& memory, const OutputArray& dx, const OutputArray& dy,
                                double gradient_scale) {
  const KlotOptions options =
      klot_options(epsilon_student, epsilon_teacher, symmetrize, student_solve, teacher_solve);
  return compute(context, [&](Context& c) {
    const Input xs(c, x, "x"), ys(c, y, "y"), xt(c, x_teacher, "x_teacher"), yt(c, y_teacher, "y_teacher");
    Output out_x(c, dx, "dx"), out_y(c, dy, "dy");
    const int64_t rows = xs.view().rows, cols = ys.view().rows;
    const KlotMemoryPlan plan = memory_plan(c, rows, cols, memory);
    EmbeddingKlot klot(c, rows, cols, options, plan.memory);
    if (a || b) klot.set_weights(values<double>(a), values<double>(b));
    klot.run({xs, ys}, {xt, yt}, out_x, out_y, gradient_scale);
    const KlotResult result = klot.result();
    out_x.finish();
    out_y.finish();
    return EmbeddingResult{result, to_string(plan.memory)};
  });
}

}  // namespace

void bind_klot(nanobind::module_& module) {
  nb::class_<KlotResult>(module, "KlotResult")
      .def_ro("value", &KlotResult::value)
      .def_ro("student", &KlotResult::student)
      .def_ro("teacher", &KlotResult::teacher);
  nb::class_<EmbeddingResult>(module, "EmbeddingKlotResult")
      .def_ro("klot", &EmbeddingResult::klot)
      .def_ro("memory", &EmbeddingResult::memory);
  module.def("klot", &klot, nb::arg("context"), nb::arg("student").noconvert(),
             nb::arg("teacher").noconvert(), nb::arg("epsilon_student"), nb::arg("epsilon_teacher"),
             nb::arg("symmetrize"), nb::arg("student_solve"), nb::arg("teacher_solve"), nb::arg("a").none(),
             nb::arg("b").none(), nb::arg("gradient").noconvert().none(), nb::arg("gradient_scale"));
  module.def("klot_embeddings", &klot_embeddings, nb::arg("context"), nb::arg("x").noconvert(),
             nb::arg("y").noconvert(), nb::arg("x_teacher").noconvert(), nb::arg("y_teacher").noconvert(),
             nb::arg("epsilon_student"), nb::arg("epsilon_teacher"), nb::arg("symmetrize"),
             nb::arg("student_solve"), nb::arg("teacher_solve"), nb::arg("a").none(), nb::arg("b").none(),
             nb::arg("memory"), nb::arg("dx").noconvert(), nb::arg("dy").noconvert(),
             nb::arg("gradient_scale"));
}

}  // namespace sotalign::python
