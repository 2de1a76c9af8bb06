#include "sotalign/nn/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"

namespace sotalign {

int64_t Parameter::size() const {
  if (const std::optional<int64_t> product = try_product(shape)) return *product;
  throw InvalidArgument(fmt::format("parameter '{}': impossible shape [{}]", name, fmt::join(shape, ", ")));
}

int ParameterSet::add(Parameter parameter) {
  if (context_ != nullptr)
    throw InvalidArgument(
        fmt::format("parameter '{}': expected before allocate(), found after it", parameter.name));
  for (const int64_t extent : parameter.shape)
    if (extent < 1)
      throw InvalidArgument(fmt::format("parameter '{}': expected positive extents, found [{}]",
                                        parameter.name, fmt::join(parameter.shape, ", ")));
  parameter.size();  // throws if it overflows
  if (!indices_.emplace(parameter.name, count()).second)
    throw InvalidArgument(fmt::format("parameter '{}': the name is taken", parameter.name));
  parameters_.push_back(std::move(parameter));
  return count() - 1;
}

int ParameterSet::add_scalar(const std::string& name, float initial) {
  return add({.name = name, .decay = false, .mean = initial});
}

void ParameterSet::allocate(Context& context) {
  if (context_ != nullptr) throw InvalidArgument("parameters: allocate() was called twice");
  std::vector<int64_t> offsets(parameters_.size());
  int64_t size = 0;
  const auto place = [&](bool decay) {
    for (size_t i = 0; i < offsets.size(); ++i)
      if (parameters_[i].decay == decay) {
        offsets[i] = size;
        size = checked_sum("parameters", size, parameters_[i].size());
      }
  };
  place(true);
  const int64_t decayed_size = size;
  place(false);
  values_ = Buffer<float>(context, size, "parameters");
  gradients_ = Buffer<float>(context, size, "gradients");
  offsets_ = std::move(offsets);
  decayed_size_ = decayed_size;
  context_ = &context;
}

void ParameterSet::initialize(uint64_t seed) {
  for (const Parameter& parameter : parameters_) {
    const RandomStream random(seed, stream_id(parameter.name));
    std::vector<float> values(static_cast<size_t>(parameter.size()));
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = parameter.mean + parameter.spread * (2 * random.uniform(i) - 1);
    upload(parameter.name, values);
  }
}

const Parameter& ParameterSet::operator[](int index) const {
  if (index < 0 || index >= count())
    throw InvalidArgument(fmt::format("parameter index: expected one of {}, found {}", count(), index));
  return parameters_[static_cast<size_t>(index)];
}

int ParameterSet::find(const std::string& name) const {
  if (const auto found = indices_.find(name); found != indices_.end()) return found->second;
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters_) names.push_back(parameter.name);
  throw InvalidArgument(
      fmt::format("parameter '{}': not in this model, which has {}", name, fmt::join(names, ", ")));
}

int64_t ParameterSet::offset(int index) const {
  if (context_ == nullptr) throw InvalidArgument("parameters: allocate() was not called");
  if (index < 0 || index >= count())
    throw InvalidArgument(fmt::format("parameter index: expected one of {}, found {}", count(), index));
  return offsets_[static_cast<size_t>(index)];
}

void ParameterSet::upload(const std::string& name, const std::vector<float>& values) {
  const int index = find(name);
  const int64_t expected = (*this)[index].size();
  if (static_cast<int64_t>(values.size()) != expected)
    throw InvalidArgument(
        fmt::format("parameter '{}': expected {} values, found {}", name, expected, values.size()));
  float* destination = values_.data() + offset(index);
  context_->copy_to_device(destination, values.data(), values.size() * sizeof(float));
}

std::vector<float> ParameterSet::copy(const float* base, int index) const {
  std::vector<float> values(static_cast<size_t>((*this)[index].size()));
  const int64_t first = offset(index);
  context_->copy_to_host(values.data(), base + first, values.size() * sizeof(float));
  return values;
}

std::vector<float> ParameterSet::download(const std::string& name) const {
  return copy(values(), find(name));
}
std::vector<float> ParameterSet::download_gradient(const std::string& name) const {
  return copy(gradients(), find(name));
}

}  // namespace sotalign
