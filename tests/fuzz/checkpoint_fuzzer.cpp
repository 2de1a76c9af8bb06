// Trainer::load_checkpoint either rejects a file with a one-line message and changes nothing, or training
// continues from it.
#include <cmath>
#include <vector>

#include "sotalign/core/error.h"
#include "support/input_file.h"
#include "support/mutate_tensors.h"
#include "support/tiny_trainer.h"

using namespace sotalign;

namespace {

void check_state(const Trainer& trainer) {
  if (trainer.steps_done() < 0 || trainer.steps_done() > fuzz::kTinySteps)
    fuzz::finding("steps_done out of range", std::to_string(trainer.steps_done()));
  if (trainer.best_step() < -1 || trainer.best_step() > trainer.steps_done())
    fuzz::finding("best_step out of range", std::to_string(trainer.best_step()));
  if (!(trainer.best_score() >= -1 && trainer.best_score() <= 1))
    fuzz::finding("best_score out of range", std::to_string(trainer.best_score()));
  const ParameterSet& parameters = trainer.model().parameters;
  for (int i = 0; i < parameters.count(); ++i)
    for (const float value : parameters.download(parameters[i].name))
      if (!std::isfinite(value)) fuzz::finding("loaded a weight that is not finite", parameters[i].name);
}

/// Mutates the numbers of a checkpoint. The shapes follow from the trainer, so they stay.
void mutate_progress(fuzz::Dice& dice, fuzz::TensorFile& file, size_t) {
  constexpr const char* kKeys[] = {"step", "best_step", "best_score", "optimizer_steps"};
  if (fuzz::Json* note = file.find_metadata(dice.pick(kKeys)))
    *note = dice.one_in(2) ? std::to_string(dice.below(6)) : fuzz::hostile_number_text(dice);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Context context({}, 1);
  static Trainer trainer = fuzz::tiny_trainer(context, OptimizerKind::kAdamW);
  const int64_t before = trainer.steps_done();
  if (!fuzz::accepted([&] { trainer.load_checkpoint(fuzz::input_file(data, size)); })) {
    if (trainer.steps_done() != before) fuzz::finding("a rejected checkpoint changed the step", "");
    return 0;
  }
  check_state(trainer);
  fuzz::accepted([&] {
    if (!trainer.finished()) trainer.train_step();
    trainer.validate();
  });
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return fuzz::mutate_tensors(data, size, max_size, seed, &mutate_progress);
}
