#include "sotalign/sampling/batch_sampler.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/sample_indices.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"

namespace sotalign {

namespace {
void check_step(int64_t step) {
  if (step < 0) throw InvalidArgument(fmt::format("step: expected at least 0, found {}", step));
}
}  // namespace

BatchSampler::BatchSampler(int64_t population, int64_t batch, uint64_t seed, uint64_t stream)
    : population_(population),
      batch_(std::min(batch, population)),
      key_(RandomStream(seed, stream).bits64(0)) {
  if (population < 1)
    throw InvalidArgument(fmt::format("population: expected at least 1 row, found {}", population));
  if (batch < 1) throw InvalidArgument(fmt::format("batch: expected at least 1 row, found {}", batch));
}

int64_t BatchSampler::index(int64_t step, int64_t i) const {
  check_step(step);
  if (i < 0 || i >= batch_)
    throw InvalidArgument(fmt::format("i: expected an entry of a batch of {} rows, found {}", batch_, i));
  return kernels::sample_index({.count = batch_, .population = population_, .step = step, .key = key_}, i);
}

void BatchSampler::sample(int64_t step, std::vector<int64_t>& indices) const {
  check_step(step);
  indices.resize(static_cast<size_t>(batch_));
  kernels::cpu::sample_indices(
      {}, {.indices = indices.data(), .count = batch_, .population = population_, .step = step, .key = key_});
}

void BatchSampler::sample(Context& context, int64_t step, int64_t* indices) const {
  check_step(step);
  kernels::sample_indices(
      context.queue(),
      {.indices = indices, .count = batch_, .population = population_, .step = step, .key = key_});
}

}  // namespace sotalign
