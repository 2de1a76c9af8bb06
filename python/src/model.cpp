// Trained models: embedding, hubness corrections, and their tensors.
#include "model.h"

#include <fmt/format.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "sotalign/core/error.h"

namespace sotalign::python {

namespace {

Side parse_side(const std::string& name) {
  if (name == "image") return Side::kX;
  if (name == "text") return Side::kY;
  throw InvalidArgument(fmt::format("side: expected 'image' or 'text', found '{}'", name));
}

Projection parse_projection(const std::string& name) {
  if (name == "heads") return Projection::kHeads;
  if (name == "teacher") return Projection::kTeacher;
  throw InvalidArgument(fmt::format("projection: expected 'heads' or 'teacher', found '{}'", name));
}

const Preprocessing& preprocessing(const Model& model, Side side) {
  return side == Side::kX ? model.image_preprocessing : model.text_preprocessing;
}

void embed(OwnedModel& model, const std::string& side, const std::string& projection, const InputArray& x,
           const OutputArray& out) {
  compute(model.context(), [&](Context& c) {
    Output rows(c, out, "out");
    model->embed(parse_side(side), parse_projection(projection), Input(c, x, "x").view(), rows);
    c.synchronize();
    rows.finish();
  });
}

/// One side of the model as host arrays: mean, and the layers of its head or the teacher's matrix.
nb::dict tensors(OwnedModel& model, const std::string& side_name, const std::string& projection_name) {
  const Side side = parse_side(side_name);
  nb::dict result;
  result["mean"] = numpy(std::vector<float>(preprocessing(*model, side).mean));
  if (parse_projection(projection_name) == Projection::kTeacher) {
    if (!model->teacher) throw InvalidArgument("projection: the model has no teacher");
    const Teacher& teacher = *model->teacher;
    const auto [shift, weight] = compute(model.context(), [&](Context&) {
      return side == Side::kX ? std::pair(teacher.mean_x.download(), teacher.wx.download())
                              : std::pair(teacher.mean_y.download(), teacher.wy.download());
    });
    const auto rows = static_cast<size_t>(model->input_dim(side));
    result["teacher.mean"] = numpy(std::vector<float>(shift));
    result["teacher.weight"] = numpy(std::vector<float>(weight), rows);
    return result;
  }
  if (!model->has(Projection::kHeads)) throw InvalidArgument("projection: the model has no heads");
  const std::string prefix = side == Side::kX ? "image_head." : "text_head.";
  for (int i = 0; i < model->parameters.count(); ++i) {
    const Parameter& parameter = model->parameters[i];
    if (!parameter.name.starts_with(prefix)) continue;
    std::vector<float> copy =
        compute(model.context(), [&](Context&) { return model->parameters.download(parameter.name); });
    const std::string key = parameter.name.substr(prefix.size());
    if (parameter.shape.size() == 2)
      result[key.c_str()] = numpy(std::move(copy), static_cast<size_t>(parameter.shape[0]));
    else
      result[key.c_str()] = numpy(std::move(copy));
  }
  return result;
}

nb::dict head(OwnedModel& model, const std::string& side) {
  if (!model->has(Projection::kHeads)) throw InvalidArgument("head: the model has no heads");
  const HeadOptions& options = model->head(parse_side(side)).options();
  nb::dict result;
  result["layers"] = options.hidden.size() + 1;
  result["activation"] = to_string(options.activation);
  result["residual"] = options.residual;
  return result;
}

nb::ndarray<nb::numpy, float> corrections(OwnedModel& model, const std::string& side, const InputArray& rows,
                                          const std::string& kind) {
  return numpy(compute(model.context(), [&](Context& c) {
    if (!model->hubness) throw InvalidArgument("corrections: the model has no bank of unpaired rows");
    const HubnessCorrection& bank = *model->hubness;
    const Input gallery(c, rows, "rows");
    HubnessOptions options = bank.options();
    if (options.kind == parse_hubness(kind)) return bank.corrections(c, parse_side(side), gallery);
    options.kind = parse_hubness(kind);
    return HubnessCorrection(c, bank.bank(Side::kX), bank.bank(Side::kY), options)
        .corrections(c, parse_side(side), gallery);
  }));
}

}  // namespace

void bind_model(nanobind::module_& module) {
  nb::class_<OwnedModel>(module, "Model")
      .def_static(
          "load",
          [](PythonContext& context, const std::string& path) {
            return OwnedModel(context, compute(context, [&](Context& c) {
                                return std::make_unique<Model>(Model::load(c, path));
                              }));
          },
          nb::arg("context"), nb::arg("path"), nb::keep_alive<0, 1>())
      .def(
          "save",
          [](OwnedModel& model, const std::string& path, const std::map<std::string, std::string>& notes) {
            compute(model.context(), [&](Context&) { model->save(path, notes); });
          },
          nb::arg("path"), nb::arg("notes"))
      .def(
          "has", [](OwnedModel& m, const std::string& name) { return m->has(parse_projection(name)); },
          nb::arg("projection"))
      .def(
          "input_dim", [](OwnedModel& m, const std::string& side) { return m->input_dim(parse_side(side)); },
          nb::arg("side"))
      .def(
          "dim", [](OwnedModel& m, const std::string& name) { return m->dim(parse_projection(name)); },
          nb::arg("projection"))
      .def_prop_ro("has_bank", [](OwnedModel& m) { return m->hubness.has_value(); })
      .def_prop_ro(
          "bank_projection",
          [](OwnedModel& m) { return m->hubness_projection() == Projection::kHeads ? "heads" : "teacher"; })
      .def("embed", &embed, nb::arg("side"), nb::arg("projection"), nb::arg("x").noconvert(),
           nb::arg("out").noconvert())
      .def("tensors", &tensors, nb::arg("side"), nb::arg("projection"))
      .def("head", &head, nb::arg("side"))
      .def("corrections", &corrections, nb::arg("side"), nb::arg("rows").noconvert(), nb::arg("kind"));
}

}  // namespace sotalign::python
