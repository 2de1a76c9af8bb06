#include "sotalign/io/array.h"

#include <fmt/format.h>

#include <array>

#include "io/mapped_file.h"
#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {
struct TypeRow {
  const char* name;
  int64_t bytes;
};

// In the order of ElementType.
constexpr TypeRow kTypes[] = {{"float16", 2}, {"bfloat16", 2}, {"float32", 4}, {"float64", 8}, {"int8", 1},
                              {"int16", 2},   {"int32", 4},    {"int64", 8},   {"uint8", 1},   {"uint16", 2},
                              {"uint32", 4},  {"uint64", 8},   {"other", 0}};
static_assert(std::size(kTypes) == static_cast<size_t>(ElementType::kOther) + 1);
}  // namespace

const char* to_string(ElementType type) { return kTypes[static_cast<size_t>(type)].name; }
int64_t element_bytes(ElementType type) { return kTypes[static_cast<size_t>(type)].bytes; }

HostMatrix::HostMatrix(std::vector<float> values, int64_t rows, int64_t cols) : rows_(rows), cols_(cols) {
  if (try_product(std::array{rows, cols}) != static_cast<int64_t>(values.size()))
    throw InvalidArgument(fmt::format("host matrix: expected rows * cols values, found {} for [{}, {}]",
                                      values.size(), rows, cols));
  const auto owner = std::make_shared<std::vector<float>>(std::move(values));
  data_ = std::shared_ptr<const float>(owner, owner->data());
}

void HostMatrix::require_unchanged() const {
  if (file_) file_->require_unchanged();
}

}  // namespace sotalign
