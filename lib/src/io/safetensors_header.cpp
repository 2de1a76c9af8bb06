#include "io/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "io/element.h"
#include "io/text.h"
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

/// The document, unless a key appears twice, which a JSON object would hide, or the nesting is deeper than
/// the format has it, which only a file made to exhaust memory would be.
json parse_json(const std::string& path, std::string_view text) {
  constexpr int kDeepest = 3;               // header, tensor, shape
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::object_start || event == json::parse_event_t::array_start) {
      if (depth >= kDeepest)
        throw IoError(fmt::format("{}: malformed safetensors header: nested deeper than {}", path, kDeepest));
      if (event == json::parse_event_t::object_start) keys.emplace_back();
    } else if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == json::parse_event_t::key) {
      const std::string& key = value.get_ref<const std::string&>();
      if (!keys.back().insert(key).second)
        throw IoError(
            fmt::format("{}: malformed safetensors header: expected each key once, found '{}' twice", path,
                        printable(key)));
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::parse_error& error) {
    throw IoError(fmt::format("{}: malformed safetensors header: not JSON at byte {}", path, error.byte));
  } catch (const json::exception&) {  // a number beyond double
    throw IoError(fmt::format("{}: malformed safetensors header: a number out of range", path));
  }
}

/// Checks one tensor's description; `data_size` bytes follow the header.
TensorEntry parse_tensor(const std::string& label, const json& value, size_t data_size) {
  const auto fail = [&](const std::string& text) { throw IoError(fmt::format("{}: {}", label, text)); };
  const auto member = [&](const char* key) -> const json& {
    if (!value.is_object() || !value.contains(key))
      fail(fmt::format("expected an object with the key {}", key));
    return value[key];
  };
  const auto size = [&](const char* key, const json& number) {
    if (!number.is_number_unsigned() ||
        number.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail(fmt::format("{}: expected integers from 0 to 2^63 - 1", key));
    return number.get<int64_t>();
  };

  TensorEntry entry;
  const json& dtype = member("dtype");
  if (!dtype.is_string()) fail("dtype: expected a string");
  entry.dtype = dtype.get<std::string>();
  const auto* known = std::find_if(std::begin(kDtypes), std::end(kDtypes),
                                   [&](const Dtype& candidate) { return entry.dtype == candidate.name; });
  if (known == std::end(kDtypes)) fail(fmt::format("unknown dtype '{}'", printable(entry.dtype)));
  entry.type = known->type;

  const json& shape = member("shape");
  if (!shape.is_array()) fail("shape: expected a list");
  int64_t bits = known->bits;
  bool overflow = false;
  for (const json& number : shape) {
    entry.shape.push_back(size("shape", number));
    overflow |= __builtin_mul_overflow(bits, entry.shape.back(), &bits);
  }
  if (overflow || bits % 8 != 0)
    fail(fmt::format("the size of {} {} {}", entry.dtype, shape_text(entry.shape),
                     overflow ? "overflows" : "is not a whole number of bytes"));

  const json& offsets = member("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) fail("data_offsets: expected [begin, end]");
  entry.begin = static_cast<size_t>(size("data_offsets", offsets[0]));
  entry.end = static_cast<size_t>(size("data_offsets", offsets[1]));
  if (entry.begin > entry.end)
    fail(fmt::format("data_offsets [{}, {}] run backwards", entry.begin, entry.end));
  if (entry.end > data_size)
    fail(fmt::format("truncated: expected data up to byte {}, found {} bytes", entry.end, data_size));
  if (entry.end - entry.begin != static_cast<size_t>(bits / 8))
    fail(fmt::format("{} {}: expected {} bytes, found {}", entry.dtype, shape_text(entry.shape), bits / 8,
                     entry.end - entry.begin));
  return entry;
}

void parse_metadata(const std::string& path, const json& value,
                    std::map<std::string, std::string>& metadata) {
  if (!value.is_object())
    throw IoError(fmt::format("{}: {}: expected an object", path, kSafetensorsMetadata));
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string())
      throw IoError(
          fmt::format("{}: {}: expected a string for '{}'", path, kSafetensorsMetadata, printable(key)));
    metadata[key] = text.get<std::string>();
  }
}

/// Every byte of data belongs to exactly one tensor.
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

  SafetensorsHeader header;
  header.data_offset = kLengthBytes + length;
  const size_t data_size = file.size() - header.data_offset;
  const json document = parse_json(path, text);
  for (const auto& [name, value] : document.items()) {
    if (name == kSafetensorsMetadata) {
      parse_metadata(path, value, header.metadata);
      continue;
    }
    header.tensors[name] =
        parse_tensor(fmt::format("{}: tensor '{}'", path, printable(name)), value, data_size);
    header.names.push_back(name);
  }
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
