// Sinkhorn on one stored affinity: the solution keeps the affinity, so that it can give its plan.
#include "sotalign/ot/sinkhorn.h"

#include <fmt/format.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "arrays.h"
#include "bindings.h"
#include "context.h"
#include "solve.h"
#include "sotalign/core/error.h"
#include "sotalign/linalg/gemm.h"

namespace sotalign::python {

namespace {

SinkhornForm parse_form(const std::string& name) {
  if (name == "auto") return SinkhornForm::kAuto;
  if (name == "scaling") return SinkhornForm::kScaling;
  if (name == "log_domain") return SinkhornForm::kLogDomain;
  throw InvalidArgument(fmt::format("form: expected auto, scaling or log_domain, found '{}'", name));
}

SinkhornStorage parse_storage(const std::string& name) {
  if (name == "float") return SinkhornStorage::kFloat;
  if (name == "ladder") return SinkhornStorage::kLadder;
  throw InvalidArgument(fmt::format("storage: expected float or ladder, found '{}'", name));
}

template <class T>
T number(const std::string& key, nb::handle value) {
  T result;
  if (!nb::try_cast(value, result))
    throw InvalidArgument(fmt::format("{}: expected a number, found {}", key, nb::repr(value).c_str()));
  return result;
}

std::string text(const std::string& key, nb::handle value) {
  std::string result;
  if (!nb::try_cast(value, result))
    throw InvalidArgument(fmt::format("{}: expected a string, found {}", key, nb::repr(value).c_str()));
  return result;
}

/// Everything about one solve.
struct Problem {
  Problem(Context& context, const InputArray& array, const SinkhornOptions& options)
      : affinity(context, array, "K"), solver(context, affinity.view().rows, affinity.view().cols, options) {}

  Input affinity;
  Sinkhorn solver;
};

class Solution {
 public:
  Solution(PythonContext& context, InputArray affinity, double epsilon, bool symmetrize,
           const nb::dict& options, const std::optional<Weights>& a, const std::optional<Weights>& b,
           const std::optional<Weights>& start)
      : array_(std::move(affinity)),
        problem_(context, make(context, epsilon, symmetrize, options, a, b, start)) {}

  const SinkhornResult& result() const { return result_; }
  nb::ndarray<nb::numpy, double> u() const { return numpy(download(&Sinkhorn::row_potentials)); }
  nb::ndarray<nb::numpy, double> v() const { return numpy(download(&Sinkhorn::column_potentials)); }
  std::string describe() const { return problem_->solver.describe(); }

  void plan(const OutputArray& array) {
    compute(problem_.context(), [&](Context& context) {
      Output out(context, array, "plan");
      const ConstMatrixF k = problem_->affinity;
      if (out.view().stride == k.stride || k.rows <= 1) {
        problem_->solver.plan_rows({k.data, k.rows, k.cols, out.view().stride}, 0, out);
      } else {  // the plan has its affinity's stride: row by row
        for (int64_t i = 0; i < k.rows; ++i)
          problem_->solver.plan_rows({k.row(i), 1, k.cols}, i, {out.view().row(i), 1, k.cols});
      }
      context.synchronize();
      out.finish();
    });
  }

  /// out = P values, or P' values if transposed, with a strip of P at a time in memory.
  void apply(const InputArray& array, const OutputArray& result, bool transposed) {
    compute(problem_.context(), [&](Context& context) {
      const Input values(context, array, "V");
      Output out(context, result, "result");
      const ConstMatrixF k = problem_->affinity;
      const int64_t expected = transposed ? k.rows : k.cols;
      if (values.view().rows != expected)
        throw InvalidArgument(fmt::format("V: expected {} rows, found {}", expected, values.view().rows));
      constexpr int64_t kStripBytes = int64_t{16} << 20;
      const int64_t height =
          std::clamp<int64_t>(kStripBytes / (k.cols * static_cast<int64_t>(sizeof(float))), 1, k.rows);
      const Matrix<float> strip(context, height, k.stride, "strip of the plan");
      for (int64_t begin = 0; begin < k.rows; begin += height) {
        const int64_t count = std::min(height, k.rows - begin);
        const MatrixF plan(const_cast<float*>(strip.data()), count, k.cols, k.stride);
        problem_->solver.plan_rows(k.row_range(begin, count), begin, plan);
        if (transposed)
          gemm(context, Op::kTranspose, Op::kNone, 1.0f, plan, values.view().row_range(begin, count),
               begin == 0 ? 0.0f : 1.0f, out);
        else
          gemm(context, Op::kNone, Op::kNone, 1.0f, plan, values, 0.0f, out.view().row_range(begin, count));
      }
      context.synchronize();
      out.finish();
    });
  }

 private:
  std::unique_ptr<Problem> make(PythonContext& context, double epsilon, bool symmetrize,
                                const nb::dict& options, const std::optional<Weights>& a,
                                const std::optional<Weights>& b, const std::optional<Weights>& start) {
    const SinkhornOptions all{.epsilon = epsilon,
                              .symmetrize = symmetrize ? Symmetrize::kYes : Symmetrize::kNo,
                              .solve = solve_options(options)};
    return compute(context, [&](Context& c) {
      auto problem = std::make_unique<Problem>(c, array_, all);
      if (a || b) problem->solver.set_weights(0, values<double>(a), values<double>(b));
      if (start) problem->solver.set_start(0, values<double>(start));
      problem->solver.solve(problem->affinity.view());
      result_ = problem->solver.results().at(0);
      return problem;
    });
  }

  std::vector<double> download(std::vector<double> (Sinkhorn::*potentials)(int64_t) const) const {
    return compute(problem_.context(), [&](Context&) { return (problem_->solver.*potentials)(0); });
  }

  InputArray array_;  // keeps the affinity alive
  SinkhornResult result_;
  Owned<Problem> problem_;
};

}  // namespace

SolveOptions solve_options(const nb::dict& options) {
  SolveOptions solve;
  for (const auto& [item, value] : options) {
    const std::string key = nb::cast<std::string>(item);
    if (key == "iterations")
      solve.iterations = number<int64_t>(key, value);
    else if (key == "tolerance")
      solve.tolerance = number<double>(key, value);
    else if (key == "check_every")
      solve.check_every = number<int64_t>(key, value);
    else if (key == "relaxation")
      solve.relaxation = number<double>(key, value);
    else if (key == "epsilon_scaling")
      solve.epsilon_scaling = number<double>(key, value);
    else if (key == "form")
      solve.form = parse_form(text(key, value));
    else if (key == "storage")
      solve.storage = parse_storage(text(key, value));
    else
      throw InvalidArgument(fmt::format(
          "{}: expected iterations, tolerance, check_every, relaxation, epsilon_scaling, form or storage",
          key));
  }
  return solve;
}

void bind_sinkhorn(nanobind::module_& module) {
  nb::class_<SinkhornResult>(module, "SolveResult")
      .def_ro("iterations", &SinkhornResult::iterations)
      .def_ro("row_error", &SinkhornResult::row_error)
      .def_ro("column_error", &SinkhornResult::column_error)
      .def_ro("marginal_error", &SinkhornResult::marginal_error)
      .def_prop_ro("status", [](const SinkhornResult& r) { return to_string(r.status); })
      .def("__repr__", [](const SinkhornResult& r) {
        return fmt::format("SolveResult(status='{}', iterations={}, marginal_error={:.3g})",
                           to_string(r.status), r.iterations, r.marginal_error);
      });
  nb::class_<Solution>(module, "Solution")
      .def(nb::init<PythonContext&, InputArray, double, bool, const nb::dict&, const std::optional<Weights>&,
                    const std::optional<Weights>&, const std::optional<Weights>&>(),
           nb::arg("context"), nb::arg("affinity").noconvert(), nb::arg("epsilon"), nb::arg("symmetrize"),
           nb::arg("options"), nb::arg("a").none(), nb::arg("b").none(), nb::arg("start").none(),
           nb::keep_alive<1, 2>())
      .def_prop_ro("result", &Solution::result, nb::rv_policy::copy)
      .def("u", &Solution::u)
      .def("v", &Solution::v)
      .def("plan", &Solution::plan, nb::arg("out").noconvert())
      .def("apply", &Solution::apply, nb::arg("values").noconvert(), nb::arg("out").noconvert(),
           nb::arg("transposed"))
      .def("describe", &Solution::describe);
}

}  // namespace sotalign::python
