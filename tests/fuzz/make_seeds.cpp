// Writes the seed corpora: make_seeds DIRECTORY creates DIRECTORY/model, checkpoint, embeddings and text. It
// uses the library's own writers, so seeds always match what the library writes today, and none is committed.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "cli/options.h"
#include "sotalign/io/npy.h"
#include "sotalign/io/safetensors.h"
#include "sotalign/train/model.h"
#include "study/plan.h"
#include "support/tiny_trainer.h"

using namespace sotalign;

namespace {

const std::vector<float> kValues = {0.5f, -1, 2, 0.25f, 3, -0.125f, 1, 7, -2, 0.75f, 1.5f, -3};

void write_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

void write_models(Context& context, const std::string& directory) {
  const auto save = [&](const std::string& name, const HeadOptions& image, const HeadOptions& text,
                        Hubness kind = Hubness::kNone) {
    Model model(context, image, text, 1);
    model.image_preprocessing.mean.assign(static_cast<size_t>(image.input_dim), 0.125f);
    model.text_preprocessing.mean.assign(static_cast<size_t>(text.input_dim), -0.25f);
    if (kind != Hubness::kNone) {
      const Matrix<float> images(context, kValues.data(), 2, image.input_dim),
          texts(context, kValues.data(), 3, text.input_dim);
      model.hubness =
          model.make_bank(Projection::kHeads, images, texts, {.kind = kind, .bank = 3, .neighbours = 2});
    }
    model.save(directory + "/" + name, {{"note", "seed"}});
  };
  save("linear", {.input_dim = 3, .output_dim = 4}, {.input_dim = 2, .output_dim = 4});
  save("dbs", {.input_dim = 3, .output_dim = 2}, {.input_dim = 2, .output_dim = 2}, Hubness::kDbs);
  save("csls", {.input_dim = 3, .output_dim = 2}, {.input_dim = 2, .output_dim = 2}, Hubness::kCsls);
  save("hidden", {.input_dim = 3, .hidden = {5, 2}, .output_dim = 4},
       {.input_dim = 2, .hidden = {3}, .output_dim = 4, .activation = Activation::kTanh});
  save("residual",
       {.input_dim = 2, .hidden = {4}, .output_dim = 2, .activation = Activation::kRelu, .residual = true},
       {.input_dim = 2, .hidden = {3}, .output_dim = 2, .residual = true});
}

void write_checkpoints(Context& context, const std::string& models, const std::string& checkpoints) {
  Trainer trainer = fuzz::tiny_trainer(context, OptimizerKind::kAdamW);
  trainer.save_checkpoint(checkpoints + "/start");
  trainer.train_step();
  trainer.save_checkpoint(checkpoints + "/one");
  trainer.validate();
  trainer.train_step();
  trainer.save_checkpoint(checkpoints + "/validated");
  while (!trainer.finished()) trainer.train_step();
  trainer.save_checkpoint(checkpoints + "/end");
  trainer.model().save(models + "/heads_and_teacher");
  fuzz::tiny_trainer(context, OptimizerKind::kLion).save_checkpoint(checkpoints + "/of_another_run");
}

void write_arrays(const std::string& directory) {
  const ConstMatrixF matrix(kValues.data(), 3, 4);
  const std::vector<double> doubles(kValues.begin(), kValues.end());
  write_npy(directory + "/float.npy", matrix);
  write_npy(directory + "/double.npy", ConstMatrixD(doubles.data(), 1, 12));
  write_npy(directory + "/integers.npy", std::vector<int64_t>{3, 1, -4});
  SafetensorsWriter one, several;
  one.add("embeddings", {4, 3}, kValues.data());
  one.write(directory + "/one.safetensors");
  several.add("a", {2, 6}, doubles.data());
  several.add_as(ElementType::kFloat16, "half", {3, 2, 2}, kValues.data());
  several.add_as(ElementType::kBfloat16, "brain", {12}, kValues.data());
  const std::vector<int64_t> ids = {1, 2};
  several.add("ids", {2}, ids.data());
  several.set_metadata("note", "seed");
  several.write(directory + "/several.safetensors");
}

void write_texts(const std::string& directory) {
  CLI::App app;
  app::OptionTable table(app);
  app::TrainConfig config;
  app::add_train_options(table, config);
  write_text(directory + "/all.json", table.values().dump(2));
  write_text(directory + "/short.json",
             R"({"divergence_weight": 3, "hidden": [4, 5], "out": "run", "ridge": "auto"})");
  write_text(directory + "/plan.json", app::default_study_plan());
  write_text(
      directory + "/small_plan.json",
      R"({"set": {"steps": 2}, "methods": [{"name": "a", "set": {"method": "sail"}, "grid": {"learning_rate": [1e-3]}}],
                 "sections": {"methods": {"pairs": [4], "methods": ["a"], "proposed": ["a"], "worth": {"method": "a", "times": [2]}}}})");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) throw std::runtime_error("expected one argument, the directory");
  const std::string base = argv[1];
  for (const char* target : {"model", "checkpoint", "embeddings", "text"})
    std::filesystem::create_directories(base + "/" + target);
  Context context({}, 1);
  write_models(context, base + "/model");
  write_checkpoints(context, base + "/model", base + "/checkpoint");
  write_arrays(base + "/embeddings");
  write_texts(base + "/text");
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "make_seeds: %s\n", error.what());
  return 2;
}
