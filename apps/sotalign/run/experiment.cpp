#include "run/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "run/interrupt.h"
#include "run/progress_line.h"
#include "run/training.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"

namespace sotalign::app {

Split split_rows(int64_t rows, const SplitSizes& sizes, uint64_t seed) {
  const auto& [pairs, test, validation] = sizes;
  if (pairs < 2) throw InvalidArgument(fmt::format("pairs: expected at least 2, found {}", pairs));
  if (test < 1) throw InvalidArgument(fmt::format("test: expected at least 1, found {}", test));
  if (validation < 0)
    throw InvalidArgument(fmt::format("validation: expected at least 0, found {}", validation));
  // In this order no difference overflows.
  if (pairs > rows || test > rows - pairs || validation >= rows - pairs - test)
    throw InvalidArgument(
        fmt::format("rows: expected more than {} pairs, {} test and {} validation rows together, found {}",
                    pairs, test, validation, rows));
  const auto shuffle = [seed](std::vector<int64_t> values, const char* stream) {
    const RandomStream random(seed, stream_id(stream));
    std::sort(values.begin(), values.end(), [&](int64_t i, int64_t j) {
      const auto a = random.bits64(static_cast<uint64_t>(i)), b = random.bits64(static_cast<uint64_t>(j));
      return a != b ? a < b : i < j;
    });
    return values;
  };
  std::vector<int64_t> all(static_cast<size_t>(rows));
  std::iota(all.begin(), all.end(), 0);
  all = shuffle(all, "demo.split");
  const auto first_test = all.begin() + pairs, first_validation = first_test + test;
  const auto first_unpaired = first_validation + validation;
  const std::vector<int64_t> unpaired(first_unpaired, all.end());
  return {.pairs = {all.begin(), first_test},
          .test = {first_test, first_validation},
          .validation = {first_validation, first_unpaired},
          .unpaired_images = shuffle(unpaired, "demo.images"),
          .unpaired_texts = shuffle(unpaired, "demo.texts")};
}

std::vector<int64_t> evenly_spaced(int64_t count, int64_t rows) {
  count = std::min(count, rows);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) indices.push_back(i * (rows / count) + i * (rows % count) / count);
  return indices;
}

HostMatrix take_rows(const HostMatrix& matrix, const std::vector<int64_t>& rows) {
  std::vector<float> values;
  values.reserve(rows.size() * static_cast<size_t>(matrix.cols()));
  for (const int64_t i : rows)
    values.insert(values.end(), matrix.view().row(i), matrix.view().row(i) + matrix.cols());
  matrix.require_unchanged();
  return HostMatrix(std::move(values), static_cast<int64_t>(rows.size()), matrix.cols());
}

Trainer train_experiment(Context& context, const Dataset& data, const TrainOptions& options,
                         const std::string& name, Progress& progress) {
  Trainer trainer(context, data.view(), options);
  const bool validates = trainer.has_validation();
  if (validates) trainer.validate();
  progress.start(name, 0, trainer.options().steps);
  while (!trainer.finished()) {
    trainer.train_step();
    if (interrupted()) throw Interrupted();
    if (validates && is_due(trainer, TrainConfig{}.validate_every)) trainer.validate();  // as train does
    if (progress.due()) progress.update(trainer.steps_done(), loss_text(trainer.metrics().loss));
  }
  trainer.metrics();  // throws if training diverged
  if (validates) trainer.restore_best();
  return trainer;
}

Measured measure_trained(Context& context, const Trainer& trainer, Projection projection,
                         const TestPairs& test, const HubnessOptions& hubness) {
  const auto result = [&](const HubnessCorrection* correction) {
    return measure(context, trainer.model(), projection, "test images", test.images, "test texts", test.texts,
                   correction);
  };
  Measured measured{.plain = result(nullptr)};
  if (hubness.kind == Hubness::kNone) return measured;
  if (const std::optional<HubnessCorrection> bank = trainer.make_bank(projection, hubness))
    measured.corrected = result(&*bank);
  return measured;
}

Outcome run_experiment(Context& context, const Dataset& data, const TestPairs& test,
                       const TrainOptions& options, const std::string& name, Progress& progress,
                       const HubnessOptions& hubness) {
  const auto start = std::chrono::steady_clock::now();
  const Trainer trainer = train_experiment(context, data, options, name, progress);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return {.heads = measure_trained(context, trainer, Projection::kHeads, test, hubness),
          .teacher = measure_trained(context, trainer, Projection::kTeacher, test, hubness),
          .seconds = taken.count()};
}

}  // namespace sotalign::app
