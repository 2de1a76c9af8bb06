// Model::load either rejects a file with a one-line message or returns a model of finite numbers that can
// embed.
#include <cmath>
#include <vector>

#include "sotalign/train/model.h"
#include "support/input_file.h"
#include "support/model_mutations.h"
#include "support/mutate_tensors.h"

using namespace sotalign;

namespace {

void require_finite(const std::vector<float>& values, const std::string& name) {
  for (const float value : values)
    if (!std::isfinite(value)) fuzz::finding("loaded a model with a number that is not finite", name);
}

void check(Context& context, const Model& model) {
  require_finite(model.image_preprocessing.mean, "image.mean");
  require_finite(model.text_preprocessing.mean, "text.mean");
  for (int i = 0; i < model.parameters.count(); ++i)
    require_finite(model.parameters.download(model.parameters[i].name), model.parameters[i].name);
  if (model.teacher) {
    require_finite(model.teacher->wx.download(), "teacher.image.weight");
    require_finite(model.teacher->wy.download(), "teacher.text.weight");
  }
  if (model.hubness) {
    const HubnessCorrection& hubness = *model.hubness;
    if (hubness.dim() != model.dim(model.hubness_projection()))
      fuzz::finding("loaded a bank of another dimension", "hubness");
    for (const Side side : {Side::kX, Side::kY}) {
      const ConstMatrixF bank = hubness.bank(side);
      require_finite({bank.data, bank.data + bank.rows * bank.cols}, "bank");
      const Matrix<float> gallery(context, 2, hubness.dim());
      fuzz::accepted([&] { require_finite(hubness.corrections(context, side, gallery), "corrections"); });
    }
  }
  for (const Projection projection : {Projection::kHeads, Projection::kTeacher})
    for (const Side side : {Side::kX, Side::kY}) {
      if (!model.has(projection)) continue;
      constexpr int64_t kRows = 2;
      const Matrix<float> rows(context, kRows, model.input_dim(side));
      Matrix<float> out(context, kRows, model.dim(projection));
      fuzz::accepted([&] { model.embed(side, projection, rows, out); });
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Context context({}, 1);
  fuzz::accepted([&] { check(context, Model::load(context, fuzz::input_file(data, size))); });
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::mutate_tensors(data, size, max_size, seed, &fuzz::mutate_model);
}
