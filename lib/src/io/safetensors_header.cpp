#include "io/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

#include "io/element.h"
#include "io/text.h"
#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"

namespace sotalign::io {

namespace {

using nlohmann::json;

struct Dtype {
  const char* name;
  ElementType type;
  int64_t bits;
};

constexpr Dtype kDtypes[] = {
    {"F16", ElementType::kFloat16, 16},  {"BF16", ElementType::kBfloat16, 16},
    {"F32", ElementType::kFloat32, 32},  {"F64", ElementType::kFloat64, 64},
    {"I8", ElementType::kInt8, 8},       {"I16", ElementType::kInt16, 16},
    {"I32", ElementType::kInt32, 32},    {"I64", ElementType::kInt64, 64},
    {"U8", ElementType::kUint8, 8},      {"U16", ElementType::kUint16, 16},
    {"U32", ElementType::kUint32, 32},   {"U64", ElementType::kUint64, 64},
    {"BOOL", ElementType::kOther, 8},    {"F8_E4M3", ElementType::kOther, 8},
    {"F8_E5M2", ElementType::kOther, 8}, {"F8_E8M0", ElementType::kOther, 8},
    {"F6_E2M3", ElementType::kOther, 6}, {"F6_E3M2", ElementType::kOther, 6},
    {"F4", ElementType::kOther, 4},      {"C64", ElementType::kOther, 64},
};

constexpr size_t kMostDimensions = 64;
constexpr const char* kIntegers = "expected integers from 0 to 2^63 - 1";

/// Builds the header from parser events: memory and time are linear in the text, whatever it nests or
/// repeats. Every function throws IoError for what the format does not allow.
class HeaderHandler final : public nlohmann::json_sax<json> {
 public:
  HeaderHandler(const std::string& path, size_t data_size, SafetensorsHeader& header)
      : path_(path), data_size_(data_size), header_(header) {}

  bool start_object(std::size_t) override {
    begin(true);
    return true;
  }
  bool start_array(std::size_t) override {
    begin(false);
    return true;
  }

  bool key(string_t& text) override {
    if (depth_ == 1) {
      if (header_.names.size() == kMostSafetensorsTensors && text != kSafetensorsMetadata)
        throw IoError(fmt::format("{}: expected a safetensors header of at most {} tensors, found more",
                                  path_, kMostSafetensorsTensors));
      member_ = text;
      tensor_ = Tensor();
    } else {
      key_ = text;
    }
    if (!(depth_ == 1 ? seen_ : seen_inside_).insert(text).second)
      throw IoError(fmt::format("{}: malformed safetensors header: expected each key once, found '{}' twice",
                                path_, printable(text)));
    return true;
  }

  bool end_object() override {
    if (depth_ == 2) {
      seen_inside_.clear();
      if (!in_metadata()) add_tensor();
    }
    --depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }

  bool string(string_t& text) override {
    if (depth_ == 2 && in_metadata()) {
      header_.metadata[key_] = std::move(text);
    } else if (depth_ == 2 && key_ == "dtype") {
      tensor_.dtype = std::move(text);
    } else {
      scalar();
    }
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    std::vector<int64_t>* list = depth_ == 3 ? open_list() : nullptr;
    if (list == nullptr) {
      scalar();
    } else if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      fail(fmt::format("{}: {}", key_, kIntegers));
    } else if (list->size() == kMostDimensions) {
      fail(fmt::format("{}: expected at most {} numbers, found more", key_, kMostDimensions));
    } else {
      list->push_back(static_cast<int64_t>(value));
    }
    return true;
  }
  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(number_integer_t) override { return scalar(); }
  bool number_float(number_float_t, const string_t&) override { return scalar(); }
  bool binary(binary_t&) override { return scalar(); }

  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const json::out_of_range*>(&error) != nullptr)
      throw IoError(fmt::format("{}: malformed safetensors header: a number out of range", path_));
    throw IoError(fmt::format("{}: malformed safetensors header: not JSON at byte {}", path_, at));
  }

 private:
  struct Tensor {
    std::optional<std::string> dtype;
    std::optional<std::vector<int64_t>> shape, offsets;
  };

  bool in_metadata() const { return member_ == kSafetensorsMetadata; }
  [[noreturn]] void fail(const std::string& text) const {
    throw IoError(fmt::format("{}: tensor '{}': {}", path_, printable(member_), text));
  }
  [[noreturn]] void fail_metadata() const {
    throw IoError(
        fmt::format("{}: {}: expected a string for '{}'", path_, kSafetensorsMetadata, printable(key_)));
  }

  /// The list to which a number at depth 3 belongs; null if the format does not know its key.
  std::vector<int64_t>* open_list() {
    if (key_ == "shape") return &*tensor_.shape;
    return key_ == "data_offsets" ? &*tensor_.offsets : nullptr;
  }

  void begin(bool object) {
    constexpr int kDeepest = 3;  // header, tensor, shape
    if (depth_ == kDeepest)
      throw IoError(fmt::format("{}: malformed safetensors header: nested deeper than {}", path_, kDeepest));
    if (depth_ == 1 && !object) scalar();
    if (depth_ == 2) {
      if (in_metadata()) fail_metadata();
      if (key_ == "dtype") fail("dtype: expected a string");
      if (key_ == "shape") {
        if (object) fail("shape: expected a list");
        tensor_.shape.emplace();
      }
      if (key_ == "data_offsets") {
        if (object) fail("data_offsets: expected [begin, end]");
        tensor_.offsets.emplace();
      }
      if (object) fail(fmt::format("{}: expected a value or a list, found an object", printable(key_)));
    }
    ++depth_;
  }

  /// Rejects a scalar where a known key, or the header itself, needs something else. Ignores the values of
  /// unknown keys.
  bool scalar() {
    if (depth_ == 1) {
      if (in_metadata())
        throw IoError(fmt::format("{}: {}: expected an object", path_, kSafetensorsMetadata));
      fail("expected an object with the key dtype");
    }
    if (in_metadata()) fail_metadata();
    if (key_ == "dtype") fail("dtype: expected a string");
    if (key_ == "shape") fail(depth_ == 2 ? "shape: expected a list" : fmt::format("shape: {}", kIntegers));
    if (key_ == "data_offsets")
      fail(depth_ == 2 ? "data_offsets: expected [begin, end]" : fmt::format("data_offsets: {}", kIntegers));
    return true;
  }

  /// Checks the description of a tensor that has just ended, and stores it.
  void add_tensor() {
    const auto require = [&](bool there, const char* name) {
      if (!there) fail(fmt::format("expected an object with the key {}", name));
    };
    require(tensor_.dtype.has_value(), "dtype");
    const auto* known = std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const Dtype& candidate) {
      return *tensor_.dtype == candidate.name;
    });
    if (known == std::end(kDtypes)) fail(fmt::format("unknown dtype '{}'", printable(*tensor_.dtype)));
    require(tensor_.shape.has_value(), "shape");
    std::vector<int64_t> extents = *tensor_.shape;
    extents.insert(extents.begin(), known->bits);
    const std::optional<int64_t> bits = try_product(extents);
    if (!bits || *bits % 8 != 0)
      fail(fmt::format("the size of {} {} {}", known->name, shape_text(*tensor_.shape),
                       bits ? "is not a whole number of bytes" : "overflows"));
    require(tensor_.offsets.has_value(), "data_offsets");
    if (tensor_.offsets->size() != 2) fail("data_offsets: expected [begin, end]");

    const auto begin = static_cast<size_t>(tensor_.offsets->front()),
               end = static_cast<size_t>(tensor_.offsets->back());
    if (begin > end) fail(fmt::format("data_offsets [{}, {}] run backwards", begin, end));
    if (end > data_size_)
      fail(fmt::format("truncated: expected data up to byte {}, found {} bytes", end, data_size_));
    if (end - begin != static_cast<size_t>(*bits / 8))
      fail(fmt::format("{} {}: expected {} bytes, found {}", known->name, shape_text(*tensor_.shape),
                       *bits / 8, end - begin));
    header_.tensors[member_] = {.dtype = known->name,
                                .type = known->type,
                                .shape = std::move(*tensor_.shape),
                                .begin = begin,
                                .end = end};
    header_.names.push_back(member_);
  }

  const std::string& path_;
  const size_t data_size_;
  SafetensorsHeader& header_;
  int depth_ = 0;
  std::string member_, key_;  // the current key of the header, and of that member
  std::unordered_set<std::string> seen_, seen_inside_;
  Tensor tensor_;
};

/// Throws unless every byte of data belongs to exactly one tensor.
void check_coverage(const std::string& path, const SafetensorsHeader& header, size_t data_size) {
  size_t covered = 0;
  for (const std::string& name : header.names) {
    const TensorEntry& entry = header.tensors.at(name);
    if (entry.begin != covered)
      throw IoError(fmt::format("{}: tensor '{}': expected data from byte {} on, found {} ({})", path,
                                printable(name), covered, entry.begin,
                                entry.begin < covered ? "overlap" : "hole"));
    covered = entry.end;
  }
  if (covered != data_size)
    throw IoError(
        fmt::format("{}: trailing bytes: expected {} bytes of data, found {}", path, covered, data_size));
}

}  // namespace

SafetensorsHeader parse_safetensors_header(const MappedFile& file) {
  const std::string& path = file.path();
  constexpr size_t kLengthBytes = 8;
  if (file.size() < kLengthBytes)
    throw IoError(fmt::format("{}: truncated: {} bytes cannot hold a safetensors header", path, file.size()));
  const uint64_t length = load<uint64_t>(file.data(), 0);
  if (length > kMostSafetensorsHeader)
    throw IoError(fmt::format("{}: expected a safetensors header of at most {} bytes, found {}", path,
                              kMostSafetensorsHeader, length));
  if (length > file.size() - kLengthBytes)
    throw IoError(fmt::format("{}: truncated: expected a header of {} bytes, found {}", path, length,
                              file.size() - kLengthBytes));
  const std::string_view text(file.data() + kLengthBytes, length);
  if (!text.starts_with('{'))
    throw IoError(fmt::format("{}: malformed safetensors header: expected it to start with '{{'", path));

  // The parser treats a NUL as the end of the text and would ignore the rest.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos)
    throw IoError(fmt::format("{}: malformed safetensors header: not JSON at byte {}", path, nul));

  SafetensorsHeader header;
  header.data_offset = kLengthBytes + length;
  const size_t data_size = file.size() - header.data_offset;
  HeaderHandler handler(path, data_size, header);
  json::sax_parse(text.begin(), text.end(), &handler);
  std::stable_sort(header.names.begin(), header.names.end(), [&](const std::string& a, const std::string& b) {
    const TensorEntry &first = header.tensors[a], &second = header.tensors[b];
    return std::pair(first.begin, first.end) < std::pair(second.begin, second.end);
  });
  check_coverage(path, header, data_size);
  return header;
}

const char* safetensors_dtype(ElementType type) {
  const auto* found = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const Dtype& candidate) { return candidate.type == type; });
  return found->name;
}

}  // namespace sotalign::io
