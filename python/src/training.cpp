// Training, with the options of `sotalign train` by the same names.
#include <fmt/format.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "bindings.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/report.h"
#include "context.h"
#include "data/inputs.h"
#include "model.h"
#include "run/training.h"
#include "sotalign/core/error.h"
#include "sotalign/nn/preprocess.h"

namespace sotalign::python {

namespace {

/// The options of a training run. Data, files, device and threads are arguments of Python's functions.
class Settings {
 public:
  Settings() : table_(app_) { add_train_options(table_, config_); }

  /// `text` is a JSON object; `where` names the caller in errors.
  void set(const std::string& text, const std::string& where) {
    const app::Json options = app::Json::parse(text), known = table_.values(),
                    ours = table_.values(app::Role::kTraining);
    for (const auto& option : options.items())
      if (known.contains(option.key()) && !ours.contains(option.key()))
        throw InvalidArgument(fmt::format("{}: {}: is an option of the program alone", where, option.key()));
    table_.set_unless_given(options, where);
  }
  std::string values() const { return table_.values(app::Role::kTraining).dump(); }

  app::TrainConfig& config() { return config_; }
  const app::OptionTable& table() const { return table_; }

 private:
  CLI::App app_;
  app::TrainConfig config_;
  app::OptionTable table_;
};

ConstMatrixF view(const std::optional<InputArray>& array, const char* name) {
  return array ? host_view(*array, name) : ConstMatrixF();
}

/// Unpaired rows: an array, or files of as many columns as the pairs.
EmbeddingRows unpaired(const std::optional<InputArray>& array, const char* name,
                       const std::vector<std::string>& files, const InputArray& pairs) {
  if (files.empty()) return view(array, name);
  return app::open_unpaired(files, "the pairs", static_cast<int64_t>(pairs.shape(1)));
}

class PythonTrainer {
 public:
  PythonTrainer(PythonContext& context, Settings& settings, const InputArray& pair_images,
                const InputArray& pair_texts, const std::optional<InputArray>& images,
                const std::optional<InputArray>& texts, const std::optional<InputArray>& validation_images,
                const std::optional<InputArray>& validation_texts,
                const std::vector<std::string>& image_files, const std::vector<std::string>& text_files)
      : settings_(settings),
        trainer_(context, compute(context, [&](Context& c) {
                   app::TrainConfig& config = settings.config();
                   app::require_at_least("validate_every", config.validate_every, 0);
                   app::require_at_least("hubness_bank", config.hubness_bank, 0);
                   const TrainingData data{.pair_images = host_view(pair_images, "pair_images"),
                                           .pair_texts = host_view(pair_texts, "pair_texts"),
                                           .images = unpaired(images, "images", image_files, pair_images),
                                           .texts = unpaired(texts, "texts", text_files, pair_texts),
                                           .validation_images = view(validation_images, "validation_images"),
                                           .validation_texts = view(validation_texts, "validation_texts")};
                   c.load_libraries();
                   auto trainer = std::make_unique<Trainer>(c, data, config.train);
                   keep_choices(config, *trainer);
                   return trainer;
                 })) {
    // The initial weights are a candidate, too: they may be the teacher.
    if (trainer_->has_validation()) compute(trainer_.context(), [&](Context&) { validate(); });
  }

  int64_t steps() const { return trainer_->options().steps; }
  int64_t steps_done() const { return trainer_->steps_done(); }

  /// Runs one step, and validates if that is due. Returns what metrics.jsonl would hold, or an empty string
  /// unless a line is due.
  std::pair<std::string, std::string> step() {
    return compute(trainer_.context(), [&](Context&) {
      trainer_->train_step();
      std::string metrics, validation;
      if (app::is_due(*trainer_, settings_.config().log_every))
        metrics = app::to_json(trainer_->metrics()).dump();
      if (trainer_->has_validation() && app::is_due(*trainer_, settings_.config().validate_every))
        validation = app::to_json(validate()).dump();
      return std::pair(std::move(metrics), std::move(validation));
    });
  }

  /// The reason for the teacher, if there was a choice.
  std::string choice() const {
    return trainer_->teacher_choice() ? app::to_json(*trainer_->teacher_choice()).dump() : "";
  }
  std::string validate_teacher() {
    return compute(trainer_.context(),
                   [&](Context&) { return app::to_json(trainer_->validate_teacher()).dump(); });
  }

  /// The validation of the weights that save() takes.
  std::string best_validation() const { return app::to_json(best_).dump(); }

  /// Takes the best weights if there is validation, and saves the model. Returns the step that they are from.
  int64_t save(const std::string& path) {
    return compute(trainer_.context(), [&](Context&) {
      const bool validated = trainer_->has_validation();
      if (validated) trainer_->restore_best();
      const int64_t step = validated ? trainer_->best_step() : trainer_->steps_done();
      save_model(path, *trainer_, settings_.config(), settings_.table(), step);
      return step;
    });
  }

 private:
  RetrievalResult validate() {
    RetrievalResult result = trainer_->validate();
    if (trainer_->best_step() == trainer_->steps_done()) best_ = result;
    return result;
  }

  Settings& settings_;
  Owned<Trainer> trainer_;
  RetrievalResult best_;
};

/// The linear teacher of the pairs as a model without heads.
OwnedModel fit_linear(PythonContext& context, Settings& settings, const InputArray& pair_images,
                      const InputArray& pair_texts) {
  return {context, compute(context, [&](Context& c) {
            c.load_libraries();
            TeacherOptions options = settings.config().train.teacher;
            options.seed = settings.config().train.seed;
            if (options.kind == TeacherKind::kAuto) options.kind = TeacherKind::kCca;  // there is no choice
            const Input raw_images(c, pair_images, "pair_images"), raw_texts(c, pair_texts, "pair_texts");
            Matrix<float> images(c, raw_images.view().rows, raw_images.view().cols),
                texts(c, raw_texts.view().rows, raw_texts.view().cols);
            Preprocessing of_images = fit_preprocessing(c, {raw_images}),
                          of_texts = fit_preprocessing(c, {raw_texts});
            preprocess(c, of_images, raw_images, images);
            preprocess(c, of_texts, raw_texts, texts);
            auto model = std::make_unique<Model>(c, fit_teacher(c, images, texts, options));
            model->image_preprocessing = std::move(of_images);
            model->text_preprocessing = std::move(of_texts);
            return model;
          })};
}

}  // namespace

void bind_training(nanobind::module_& module) {
  nb::class_<Settings>(module, "Settings")
      .def(nb::init<>())
      .def("set", &Settings::set, nb::arg("text"), nb::arg("where"))
      .def("values", &Settings::values);
  nb::class_<PythonTrainer>(module, "Trainer")
      .def(nb::init<PythonContext&, Settings&, const InputArray&, const InputArray&,
                    const std::optional<InputArray>&, const std::optional<InputArray>&,
                    const std::optional<InputArray>&, const std::optional<InputArray>&,
                    const std::vector<std::string>&, const std::vector<std::string>&>(),
           nb::arg("context"), nb::arg("settings"), nb::arg("pair_images").noconvert(),
           nb::arg("pair_texts").noconvert(), nb::arg("images").noconvert().none(),
           nb::arg("texts").noconvert().none(), nb::arg("validation_images").noconvert().none(),
           nb::arg("validation_texts").noconvert().none(), nb::arg("image_files"), nb::arg("text_files"),
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>())
      .def_prop_ro("steps", &PythonTrainer::steps)
      .def_prop_ro("steps_done", &PythonTrainer::steps_done)
      .def("step",
           [](PythonTrainer& t) {
             auto [m, v] = t.step();
             return nb::make_tuple(m, v);
           })
      .def("choice", &PythonTrainer::choice)
      .def("validate_teacher", &PythonTrainer::validate_teacher)
      .def("best_validation", &PythonTrainer::best_validation)
      .def("save", &PythonTrainer::save, nb::arg("path"));
  module.def("fit_linear", &fit_linear, nb::arg("context"), nb::arg("settings"),
             nb::arg("pair_images").noconvert(), nb::arg("pair_texts").noconvert(), nb::keep_alive<0, 1>());
}

}  // namespace sotalign::python
