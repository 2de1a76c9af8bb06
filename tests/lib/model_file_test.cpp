// Model and checkpoint files that are damaged, hostile, or from another run: loading gives an error that
// names the place, never crashes, and never returns a model that differs from the saved one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "sotalign/core/error.h"
#include "sotalign/io/safetensors.h"
#include "sotalign/train/trainer.h"
#include "support/activations.h"
#include "support/compare.h"
#include "support/temporary_directory.h"

namespace sotalign::testing {
namespace lib_model_file_test {

using Json = nlohmann::ordered_json;

/// A safetensors file taken apart, to be modified and put together again.
struct File {
  Json header;
  std::string data;

  explicit File(const std::string& bytes) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    header = Json::parse(bytes.substr(sizeof length, length));
    data = bytes.substr(sizeof length + length);
  }
  Json& metadata() { return header["__metadata__"]; }
  /// As sotalign 0.1 wrote it: without checksums every change reaches the reader.
  void remove_checksums(const std::string& format) {
    metadata().erase("checksums");
    metadata()["format"] = format;
  }
  template <class T>
  void set(const std::string& name, size_t index, T value) {
    std::memcpy(data.data() + header[name]["data_offsets"][0].get<size_t>() + index * sizeof value, &value,
                sizeof value);
  }
  std::string bytes() const {
    const std::string text = header.dump();
    const uint64_t length = text.size();
    return std::string(reinterpret_cast<const char*>(&length), sizeof length) + text + data;
  }
};

class ModelFile : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 30, kDx = 6, kDy = 5;

  TemporaryDirectory directory;
  std::string path = directory / "model.safetensors";
  Context context{Device{}, 1};
  std::vector<float> images = random_normal(3 * kRows * kDx, 1), texts = random_normal(3 * kRows * kDy, 2);

  static ConstMatrixF part(const std::vector<float>& values, int64_t cols, int64_t index) {
    return {values.data() + index * kRows * cols, kRows, cols};
  }
  TrainingData data() const {
    return {.pair_images = part(images, kDx, 0),
            .pair_texts = part(texts, kDy, 0),
            .images = part(images, kDx, 1),
            .texts = part(texts, kDy, 1),
            .validation_images = part(images, kDx, 2),
            .validation_texts = part(texts, kDy, 2)};
  }
  static constexpr HubnessOptions kBank{.bank = 4, .temperature = 0.5, .neighbours = 3, .seed = 5};
  /// With a fixed teacher: a choice would depend on the rows, and so would the options of a checkpoint.
  static TrainOptions options() {
    return {
        .teacher = {.ridge = 0.01, .correlation_power = 0.5}, .hidden = {4}, .residual = true, .steps = 6};
  }

  std::string saved_model() {
    Trainer trainer(context, data(), options());
    trainer.add_bank(kBank);
    trainer.model().save(path, {{"note", "kept"}});
    return read_file(path);
  }
  std::string load_error(const std::string& bytes) {
    write_file(path, bytes);
    const std::string text = message_of<IoError>([&] { Model::load(context, path); });
    EXPECT_CONTAINS(text, path);
    EXPECT_LT(text.size(), path.size() + 300);
    return text;
  }
  /// The error for a model without checksums whose head has this description.
  std::string head_error(const std::string& key, const Json& value) {
    File file(good);
    file.remove_checksums("sotalign-model-1");
    Json head = Json::parse(file.metadata()["image_head"].get<std::string>());
    head[key] = value;
    file.metadata()["image_head"] = head.dump();
    return load_error(file.bytes());
  }

  std::string good;
  void SetUp() override { good = saved_model(); }
};

/// Maps rows by the formulas in the file's metadata, in double precision, from the file alone.
TEST_F(ModelFile, SaysWhatItComputes) {
  using Doubles = std::vector<double>;
  const std::map<std::string, Activation> kNames = {{"none", Activation::kNone},
                                                    {"relu", Activation::kRelu},
                                                    {"gelu", Activation::kGelu},
                                                    {"tanh", Activation::kTanh}};
  const auto unit = [](Doubles v) {
    double square = 0;
    for (const double x : v) square += x * x;
    for (double& x : v) x /= std::sqrt(square);
    return v;
  };
  for (const auto& [name, activation] : kNames) {
    SCOPED_TRACE(name);
    TrainOptions chosen = options();
    chosen.activation = activation;
    chosen.hidden = {4, 3};
    Trainer trainer(context, data(), chosen);
    trainer.train_step();
    trainer.model().save(path);
    const SafetensorsFile file = SafetensorsFile::open(path);
    const std::map<std::string, std::string>& notes = file.metadata();
    for (const char* part :
         {"z = unit(x - SIDE.mean)", "SIDE_head.l.weight.T", "SIDE_head.residual.weight.T"})
      EXPECT_CONTAINS(notes.at("formula.heads"), part);
    EXPECT_CONTAINS(notes.at("formula.teacher"), "(z - teacher.SIDE.mean) @ teacher.SIDE.weight");
    EXPECT_CONTAINS(notes.at("formula.activation"), name);
    EXPECT_CONTAINS(notes.at("formula.terms"),
                    "weights of heads are [out, in], those of the teacher [in, out]");
    for (const auto& [side, where] : {std::pair(Side::kX, std::string("image")), {Side::kY, "text"}}) {
      const Json head = Json::parse(notes.at(where + "_head"));
      ASSERT_EQ(head["activation_name"], name);
      const std::vector<float>& source = side == Side::kX ? images : texts;
      const int64_t cols = side == Side::kX ? kDx : kDy;
      const Doubles mean = file.read_double(where + ".mean");
      const auto product = [&](const std::string& weight, const Doubles& v) {  // v @ W.T
        const Doubles w = file.read_double(weight);
        Doubles result(static_cast<size_t>(file.shape(weight)[0]));
        for (size_t o = 0; o < result.size(); ++o)
          for (size_t j = 0; j < v.size(); ++j) result[o] += w[o * v.size() + j] * v[j];
        return result;
      };
      const Matrix<float> rows(context, source.data(), kRows, cols);
      Matrix<float> heads(context, kRows, trainer.model().dim(Projection::kHeads)),
          taught(context, kRows, trainer.model().dim(Projection::kTeacher));
      trainer.model().embed(side, Projection::kHeads, rows, heads);
      trainer.model().embed(side, Projection::kTeacher, rows, taught);
      for (int64_t i = 0; i < kRows; ++i) {
        Doubles z;
        for (int64_t j = 0; j < cols; ++j)
          z.push_back(static_cast<double>(source[static_cast<size_t>(i * cols + j)]) -
                      mean[static_cast<size_t>(j)]);
        z = unit(z);
        Doubles h = z;
        for (size_t layer = 0; layer <= head["hidden"].size(); ++layer) {
          if (layer > 0)
            for (double& value : h) value = activate(activation, value);
          const std::string prefix = where + "_head." + std::to_string(layer);
          h = product(prefix + ".weight", h);
          const Doubles bias = file.read_double(prefix + ".bias");
          for (size_t o = 0; o < h.size(); ++o) h[o] += bias[o];
        }
        const Doubles linear = product(where + "_head.residual.weight", z);
        for (size_t o = 0; o < h.size(); ++o) h[o] += linear[o];
        h = unit(h);
        for (size_t o = 0; o < h.size(); ++o)
          EXPECT_WITHIN(std::abs(static_cast<double>(heads.view().row(i)[o]) - h[o]), 1e-5);

        const Doubles w = file.read_double("teacher." + where + ".weight"),
                      centre = file.read_double("teacher." + where + ".mean");
        Doubles t(static_cast<size_t>(taught.cols()));
        for (size_t j = 0; j < z.size(); ++j)
          for (size_t o = 0; o < t.size(); ++o) t[o] += (z[j] - centre[j]) * w[j * t.size() + o];
        t = unit(t);
        for (size_t o = 0; o < t.size(); ++o)
          EXPECT_WITHIN(std::abs(static_cast<double>(taught.view().row(i)[o]) - t[o]), 1e-5);
      }
    }
  }
}

TEST_F(ModelFile, HeadsThatNoTensorFitsAreRefusedBeforeAnythingIsAllocated) {
  const int64_t before = context.allocations();
  // The product with 2 x 6 wraps to 16,384 floats.
  EXPECT_CONTAINS(head_error("hidden", {2, 7767050136298756986}), "impossible shape");
  EXPECT_CONTAINS(head_error("hidden", Json::array({int64_t{1} << 62})), "impossible shape");
  EXPECT_CONTAINS(head_error("output_dim", std::numeric_limits<int64_t>::max()), "output dimension");
  EXPECT_CONTAINS(head_error("hidden", Json::array({1 << 30})),
                  "image_head.0.weight': expected shape [1073741824, 6]");
  EXPECT_CONTAINS(head_error("hidden", Json(std::vector<int64_t>(100'000, 1))),
                  "hidden: expected a list of at most");
  EXPECT_CONTAINS(head_error("hidden", Json::array()), "residual");
  EXPECT_EQ(context.allocations(), before);
}

TEST_F(ModelFile, HeadsOfOtherTypesAreRefused) {
  for (const Json& value : {Json(1e300), Json(-1), Json(0), Json(2.5), Json("6"), Json(nullptr), Json(true),
                            Json::array(), Json(18446744073709551615u)}) {
    EXPECT_CONTAINS(head_error("input_dim", value), "image_head: input_dim: expected an integer from 1");
    EXPECT_CONTAINS(head_error("output_dim", value), "output_dim: expected an integer");
    EXPECT_CONTAINS(head_error("hidden", Json::array({value})), "hidden: expected");
  }
  EXPECT_CONTAINS(head_error("hidden", 4), "hidden: expected a list");
  EXPECT_CONTAINS(head_error("activation", 4), "activation: expected an integer from 0 to 3");
  EXPECT_CONTAINS(head_error("activation", 1e300), "activation: expected");
  EXPECT_CONTAINS(head_error("residual", 1), "residual: expected true or false");
  for (const std::string text : {"", "[]", "{}", "{\"input_dim\":6,\"input_dim\":6}", "null", "{"}) {
    File file(good);
    file.remove_checksums("sotalign-model-1");
    file.metadata()["text_head"] = text;
    EXPECT_CONTAINS(load_error(file.bytes()), "text_head");
  }
}

TEST_F(ModelFile, NumbersThatAreNotFiniteAreRefused) {
  for (const std::string name :
       {"image_head.0.weight", "text_head.1.bias", "image_head.residual.weight", "log_scale", "image.mean",
        "teacher.image.mean", "teacher.text.weight", "hubness.images", "hubness.texts"})
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
      File file(good);
      file.remove_checksums("sotalign-model-1");
      ASSERT_TRUE(file.header.contains(name)) << name;
      file.set(name, 0, bad);
      EXPECT_CONTAINS(load_error(file.bytes()), "tensor '" + name + "': entry 0 is not finite");
    }
}

TEST_F(ModelFile, ABankComesBackToTheBit) {
  Trainer trainer(context, data(), options());
  const Matrix<float> gallery(context, part(images, kDx, 2).data, kRows, kDx);
  for (const Hubness kind : {Hubness::kNone, Hubness::kDbs, Hubness::kInvertedSoftmax, Hubness::kCsls}) {
    SCOPED_TRACE(to_string(kind));
    HubnessOptions bank = kBank;
    bank.kind = kind;
    trainer.add_bank(bank);
    trainer.model().save(path);
    const Model model = Model::load(context, path);
    ASSERT_TRUE(model.hubness);
    const HubnessCorrection &saved = *trainer.model().hubness, &loaded = *model.hubness;
    EXPECT_EQ(loaded.options(), bank);
    EXPECT_EQ(loaded.potentials().images, saved.potentials().images);
    EXPECT_EQ(loaded.potentials().texts, saved.potentials().texts);
    Matrix<float> embedded(context, kRows, model.dim(Projection::kHeads));
    model.embed(Side::kX, Projection::kHeads, gallery, embedded);
    for (const Side side : {Side::kX, Side::kY}) {
      const ConstMatrixF a = saved.bank(side), b = loaded.bank(side);
      ASSERT_EQ(a.rows, 4);
      ASSERT_EQ(b.rows, 4);
      ASSERT_EQ(a.cols, b.cols);
      EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(a.rows * a.cols) * sizeof(float)), 0);
      EXPECT_EQ(loaded.corrections(context, side, embedded), saved.corrections(context, side, embedded));
    }
    model.save(directory / "again.safetensors");
    EXPECT_EQ(read_file(directory / "again.safetensors"), read_file(path));
  }
}

TEST_F(ModelFile, ABankHoldsTheDrawnUnpairedRowsInTheSpaceOfTheHeads) {
  Model model = Model::load(context, path);
  const int64_t dim = model.dim(Projection::kHeads);
  for (const Side side : {Side::kX, Side::kY}) {
    const int64_t cols = model.input_dim(side);
    const ConstMatrixF raw = part(side == Side::kX ? images : texts, cols, 1);
    Matrix<float> embedded(context, kRows, dim);
    model.embed(side, Projection::kHeads, Matrix<float>(context, raw.data, kRows, cols), embedded);
    const ConstMatrixF bank = model.hubness->bank(side);
    const std::vector<int64_t> drawn = hubness_bank_rows(side, kRows, kBank);
    ASSERT_EQ(bank.rows, 4);
    ASSERT_EQ(drawn.size(), 4u);
    for (size_t i = 0; i < drawn.size(); ++i)
      for (int64_t j = 0; j < dim; ++j)
        EXPECT_NEAR(bank.row(static_cast<int64_t>(i))[j], embedded.view().row(drawn[i])[j], 2e-6f);
  }
  EXPECT_EQ(model.hubness_projection(), Projection::kHeads);
}

TEST_F(ModelFile, ABankOfATeacherAlone) {
  const Model trained = Model::load(context, path);
  Model model(context, fit_teacher(context, Matrix<float>(context, images.data(), kRows, kDx),
                                   Matrix<float>(context, texts.data(), kRows, kDy), {}));
  model.image_preprocessing = trained.image_preprocessing;
  model.text_preprocessing = trained.text_preprocessing;
  EXPECT_EQ(model.hubness_projection(), Projection::kTeacher);
  const ConstMatrixF x = part(images, kDx, 1), y = part(texts, kDy, 1);
  model.hubness = model.make_bank(Projection::kTeacher, x, y, {.bank = 1000});
  model.save(path);
  const Model loaded = Model::load(context, path);
  ASSERT_TRUE(loaded.hubness);
  EXPECT_EQ(loaded.hubness->dim(), model.teacher->dim());
  EXPECT_EQ(loaded.hubness->bank(Side::kY).rows, kRows);
  EXPECT_EQ(loaded.hubness->potentials().texts, model.hubness->potentials().texts);
  // A bank in another space than the model's is not written.
  const std::string before = read_file(path);
  const Matrix<float> other(context, images.data(), 3, kDx + 20);
  model.hubness = HubnessCorrection(context, other, other);
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { model.save(path); }), "hubness: expected a bank of");
  EXPECT_EQ(read_file(path), before);
}

TEST_F(ModelFile, ABankLastsUntilTheWeightsChange) {
  Trainer trainer(context, data(), options());
  trainer.add_bank(kBank);
  EXPECT_TRUE(trainer.model().hubness);
  trainer.train_step();
  EXPECT_FALSE(trainer.model().hubness);
  trainer.validate();
  trainer.add_bank(kBank);
  trainer.restore_best();
  EXPECT_FALSE(trainer.model().hubness);
  trainer.save_checkpoint(directory / "checkpoint");
  trainer.add_bank(kBank);
  trainer.load_checkpoint(directory / "checkpoint");
  EXPECT_FALSE(trainer.model().hubness);
  trainer.model().save(path);
  EXPECT_FALSE(Model::load(context, path).hubness);
  EXPECT_EQ(read_file(path).find("hubness"), std::string::npos);
  TrainingData pairs = data();
  pairs.images = {};
  TrainOptions sail = options();
  sail.method = "sail";
  Trainer without(context, pairs, sail);
  without.add_bank(kBank);
  EXPECT_FALSE(without.model().hubness);
  EXPECT_FALSE(without.make_bank(Projection::kTeacher, kBank));
}

TEST_F(ModelFile, DamagedBanksAreRefused) {
  const auto error_of = [&](const std::function<void(File&)>& damage) {
    File file(good);
    file.remove_checksums("sotalign-model-1");
    damage(file);
    return load_error(file.bytes());
  };
  for (const char* side : {"image", "text"}) {
    const std::string rows = fmt::format("hubness.{}s", side),
                      potentials = fmt::format("hubness.{}_potentials", side);
    EXPECT_CONTAINS(error_of([&](File& file) { file.set(rows, 0, 3.0f); }),
                    fmt::format("hubness: bank {} 0, expected a row of length 1 or 0", side));
    for (const double bad : {std::nan(""), static_cast<double>(INFINITY), -static_cast<double>(INFINITY)})
      EXPECT_CONTAINS(error_of([&](File& file) { file.set(potentials, 1, bad); }),
                      "tensor '" + potentials + "': entry 1 is not finite");
    EXPECT_CONTAINS(error_of([&](File& file) { file.set(potentials, 1, 0.5); }),
                    fmt::format("potentials of the {}s, expected exponentials that sum to 1", side));
    EXPECT_CONTAINS(error_of([&](File& file) { file.set(potentials, 2, -1e3); }),
                    fmt::format("potentials of the {}s, expected numbers of at least", side));
    EXPECT_CONTAINS(error_of([&](File& file) {
                      file.header[rows]["shape"] = {2, 2 * file.header[rows]["shape"][1].get<int64_t>()};
                    }),
                    "tensor '" + rows + "': expected shape");
    EXPECT_CONTAINS(error_of([&](File& file) {
                      file.header[potentials]["shape"] = {2, 2};
                    }),
                    "tensor '" + potentials + "': expected shape [4]");
    for (const std::string& name : {rows, potentials}) {
      const std::string error = error_of([&](File& file) {
        file.header["other"] = file.header[name];
        file.header.erase(name);
      });
      EXPECT_CONTAINS(error, name == rows ? "expected a tensor '" + rows + "', found none"
                                          : fmt::format("potentials of the {}s, expected 4", side));
    }
  }
  const auto option_error = [&](const char* key, const Json& value) {
    return error_of([&](File& file) {
      Json json = Json::parse(file.metadata()["hubness"].get<std::string>());
      json[key] = value;
      file.metadata()["hubness"] = json.dump();
    });
  };
  for (const char* key : {"bank", "iterations", "neighbours", "seed", "tile"})
    for (const Json& value : {Json(-1), Json(2.5), Json("6"), Json(nullptr), Json(true), Json::array()})
      EXPECT_CONTAINS(option_error(key, value), fmt::format("hubness: {}: expected an integer", key));
  EXPECT_CONTAINS(option_error("iterations", 1'000'001), "iterations: expected an integer from 0 to 1000000");
  EXPECT_CONTAINS(option_error("bank", 3), "expected a bank of at most 3 rows");
  EXPECT_CONTAINS(option_error("tile", 0), "hubness: tile, expected at least 1");
  for (const Json& value : {Json("0.1"), Json(nullptr), Json(true)})
    EXPECT_CONTAINS(option_error("temperature", value), "hubness: temperature: expected a number");
  EXPECT_CONTAINS(option_error("temperature", 0), "hubness: temperature, expected a number from");
  EXPECT_CONTAINS(option_error("kind", 1), "hubness: kind: expected a name");
  EXPECT_CONTAINS(option_error("kind", "hubs"), "hubs");
  EXPECT_CONTAINS(option_error("kind", "csls"), "potentials of the images, expected 0 for csls, found 4");
  for (const std::string text : {"[]", "{}", "null", "{", "{\"kind\":\"dbs\",\"kind\":\"dbs\"}"})
    EXPECT_CONTAINS(error_of([&](File& file) { file.metadata()["hubness"] = text; }), "hubness");
}

TEST_F(ModelFile, FilesOfTheFirstFormatLoadWithoutChecksums) {
  EXPECT_TRUE(Model::load(context, path).verified());
  File file(good);
  file.remove_checksums("sotalign-model-1");
  write_file(path, file.bytes());
  EXPECT_FALSE(Model::load(context, path).verified());
  file.metadata()["format"] = "sotalign-model-2";
  EXPECT_CONTAINS(load_error(file.bytes()), "expected checksums, found none");
  file.metadata()["format"] = "sotalign-model-3";
  EXPECT_CONTAINS(load_error(file.bytes()), "found format 'sotalign-model-3'");
}

/// If any single byte is damaged, the file is rejected or loads the same content.
TEST_F(ModelFile, EveryDamagedByteIsFound) {
  const SafetensorsFile original = SafetensorsFile::open(path);
  std::vector<std::vector<double>> values;
  for (const std::string& name : original.names()) values.push_back(original.read_double(name));
  const std::string damaged = directory / "damaged";
  int loaded = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write_file(damaged, bytes);
    try {
      Model::load(context, damaged);
      const SafetensorsFile file = SafetensorsFile::open(damaged);
      ASSERT_EQ(file.names(), original.names()) << at;
      for (size_t i = 0; i < values.size(); ++i)
        ASSERT_EQ(file.read_double(file.names()[i]), values[i]) << at;
      ++loaded;
    } catch (const IoError&) {
    }
  }
  EXPECT_LE(loaded, 8) << "only the padding at the end of the header does not matter";
}

TEST_F(ModelFile, WhatIsNotFiniteIsNotWritten) {
  Trainer trainer(context, data(), options());
  Model model = Model::load(context, path);
  std::vector<float> bias = model.parameters.download("text_head.0.bias");
  bias[1] = std::nanf("");
  model.parameters.upload("text_head.0.bias", bias);
  EXPECT_CONTAINS(message_of<NumericalError>([&] { model.save(path); }), "entry 1 of 'text_head.0.bias'");
  EXPECT_EQ(read_file(path), good);
}

class CheckpointFile : public ModelFile {
 protected:
  Trainer trainer{context, data(), options()};

  void SetUp() override {
    path = directory / "checkpoint.safetensors";
    for (int i = 0; i < 3; ++i) trainer.train_step();
    trainer.validate();
    trainer.train_step();
    trainer.save_checkpoint(path, {{"metrics", "some text"}});
    good = read_file(path);
  }
  std::string resume_error(const std::string& bytes) {
    write_file(path, bytes);
    Trainer fresh(context, data(), options());
    const std::string text = message_of<IoError>([&] { fresh.load_checkpoint(path); });
    EXPECT_EQ(fresh.steps_done(), 0);
    EXPECT_CONTAINS(text, path);
    return text;
  }
};

TEST_F(CheckpointFile, NotesComeBack) {
  Trainer fresh(context, data(), options());
  const CheckpointInfo info = fresh.load_checkpoint(path);
  EXPECT_TRUE(info.verified);
  EXPECT_EQ(info.notes, (std::map<std::string, std::string>{{"metrics", "some text"}}));
  EXPECT_EQ(fresh.steps_done(), 4);
  EXPECT_EQ(fresh.best_step(), 3);
}

TEST_F(CheckpointFile, OtherRowsAreRefused) {
  const auto error_with = [&](const TrainingData& other) {
    Trainer fresh(context, other, options());
    return message_of<IoError>([&] { fresh.load_checkpoint(path); });
  };
  const auto swapped = [](std::vector<float> values, int64_t cols, int64_t first, int64_t second) {
    for (int64_t j = 0; j < cols; ++j)
      std::swap(values[static_cast<size_t>(first * cols + j)],
                values[static_cast<size_t>(second * cols + j)]);
    return values;
  };
  // Swapping two rows changes the means at most by the order of a sum in double precision.
  const std::vector<float> texts_swapped = swapped(texts, kDy, 3, 7);
  TrainingData other = data();
  other.pair_texts = part(texts_swapped, kDy, 0);
  EXPECT_CONTAINS(error_with(other), "pairs_texts: expected the rows that the run began with");
  const std::vector<float> unpaired_swapped = swapped(images, kDx, kRows, 2 * kRows - 1);
  other = data();
  other.images = part(unpaired_swapped, kDx, 1);
  EXPECT_CONTAINS(error_with(other), ": images: expected the rows");
  const std::vector<float> validation_swapped = swapped(texts, kDy, 2 * kRows, 2 * kRows + 1);
  other = data();
  other.validation_texts = part(validation_swapped, kDy, 2);
  EXPECT_CONTAINS(error_with(other), "val_texts: expected the rows");
}

TEST_F(CheckpointFile, OtherOptionsAreNamed) {
  TrainOptions other = options();
  other.divergence_weight = 31;
  Trainer fresh(context, data(), other);
  const std::string text = message_of<IoError>([&] { fresh.load_checkpoint(path); });
  EXPECT_CONTAINS(text, "other options");
  EXPECT_CONTAINS(text, "31");
  EXPECT_LT(text.size(), path.size() + 300);
}

TEST_F(CheckpointFile, NumbersWithoutSenseAreRefused) {
  const auto error_with = [&](const char* key, const char* value) {
    File file(good);
    file.remove_checksums("sotalign-checkpoint-1");
    file.metadata()[key] = value;
    return resume_error(file.bytes());
  };
  for (const char* step : {"-1", "7", "5", "9223372036854775808", "1e3", "", "4 "})
    EXPECT_CONTAINS(error_with("step", step), "expected");
  EXPECT_CONTAINS(error_with("optimizer_steps", "3"), "optimizer_steps: expected 4");
  EXPECT_CONTAINS(error_with("best_step", "5"), "best_step: expected -1 to 4, found 5");
  EXPECT_CONTAINS(error_with("best_step", "-1"), "best_score: expected -1");
  for (const char* score : {"nan", "inf", "1.5", "-0.5", "-1"})
    EXPECT_CONTAINS(error_with("best_score", score), "best_score: expected a score from 0 to 1");
}

TEST_F(CheckpointFile, EveryDamagedByteIsFound) {
  const Json before = File(good).header;
  Trainer fresh(context, data(), options());
  int loaded = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (at % 8)));
    write_file(path, bytes);
    try {
      fresh.load_checkpoint(path);
      ASSERT_EQ(File(bytes).header, before) << at;
      ++loaded;
    } catch (const IoError&) {
    }
  }
  EXPECT_LE(loaded, 8);
}

TEST_F(CheckpointFile, TheFirstFormatIsContinued) {
  File file(good);
  file.remove_checksums("sotalign-checkpoint-1");
  for (const char* name : {"pairs_images", "pairs_texts", "images", "texts", "val_images", "val_texts"})
    EXPECT_EQ(file.metadata().erase(std::string("data.") + name), 1u) << name;
  write_file(path, file.bytes());
  Trainer fresh(context, data(), options());
  EXPECT_FALSE(fresh.load_checkpoint(path).verified);
  fresh.train_step();
  trainer.train_step();
  EXPECT_EQ(fresh.model().parameters.download("image_head.0.weight"),
            trainer.model().parameters.download("image_head.0.weight"));
}

TEST_F(CheckpointFile, ABadStateDoesNotReplaceAGoodOne) {
  TrainOptions wild = options();
  wild.schedule.peak = 1e38;
  Trainer ruined(context, data(), wild);
  for (int i = 0; i < 6; ++i) ruined.train_step();
  EXPECT_CONTAINS(message_of<NumericalError>([&] { ruined.save_checkpoint(path); }), "not finite");
  EXPECT_EQ(read_file(path), good);
}

}  // namespace lib_model_file_test
}  // namespace sotalign::testing
