#include "support/tensor_file.h"

#include <algorithm>
#include <cstring>

namespace sotalign::fuzz {

namespace {

constexpr size_t kLengthBytes = 8;

std::string quoted(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}
std::string dumped(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <class Pairs>
Json* find_key(Pairs& pairs, std::string_view key) {
  const auto found =
      std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == key; });
  return found == pairs.end() ? nullptr : &found->second;
}

/// The part of the data that the offsets select, cut at the end of the data.
std::string slice(std::string_view data, const Json& offsets) {
  if (!offsets.is_array() || offsets.size() != 2) return "";
  if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) return "";
  const auto begin = offsets[0].get<uint64_t>(), end = offsets[1].get<uint64_t>();
  if (begin >= end || end > data.size()) return "";
  return std::string(data.substr(begin, end - begin));
}

}  // namespace

Json* TensorFile::find_metadata(std::string_view key) { return find_key(metadata, key); }

Tensor* TensorFile::find(std::string_view name) {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

std::optional<TensorFile> take_apart(std::string_view file) {
  if (file.size() < kLengthBytes) return std::nullopt;
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > file.size() - kLengthBytes) return std::nullopt;
  const std::string_view text = file.substr(kLengthBytes, length), data = file.substr(kLengthBytes + length);
  const Json header = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!header.is_object()) return std::nullopt;
  TensorFile result;
  for (const auto& item : header.items()) {
    const std::string& name = item.key();
    const Json& value = item.value();
    if (!value.is_object()) continue;
    if (name == "__metadata__") {
      for (const auto& [key, note] : value.items()) result.metadata.emplace_back(key, note);
    } else {
      const auto member = [&](const char* key) { return value.contains(key) ? value[key] : Json(); };
      result.tensors.push_back({.name = name,
                                .dtype = member("dtype"),
                                .shape = member("shape"),
                                .bytes = slice(data, member("data_offsets"))});
    }
  }
  return result;
}

std::string put_together(const TensorFile& file) {
  std::string header = "{", data;
  const auto separate = [&] { header += header.back() == '{' ? "" : ","; };
  if (!file.metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : file.metadata) separate(), header += quoted(key) + ":" + dumped(value);
    header += "}";
  }
  for (const Tensor& tensor : file.tensors) {
    separate();
    const Json offsets = {data.size(), data.size() + tensor.bytes.size()};
    header += quoted(tensor.name) + ":{\"dtype\":" + dumped(tensor.dtype) +
              ",\"shape\":" + dumped(tensor.shape) +
              ",\"data_offsets\":" + dumped(tensor.offsets.value_or(offsets)) + "}";
    data += tensor.bytes;
  }
  header += "}" + file.padding;
  const uint64_t length = file.header_length.value_or(header.size());
  std::string result(kLengthBytes, '\0');
  std::memcpy(result.data(), &length, kLengthBytes);
  return result + header + data + file.trailing;
}

size_t element_size(const Json& dtype) {
  if (!dtype.is_string()) return 0;
  const auto name = dtype.get<std::string>();
  for (const auto& [known, size] : {std::pair{"64", 8}, {"32", 4}, {"16", 2}, {"8", 1}, {"BOOL", 1}})
    if (name.ends_with(known)) return static_cast<size_t>(size);
  return 0;
}

void fit_bytes(Dice& dice, Tensor& tensor, size_t most) {
  size_t size = element_size(tensor.dtype);
  if (!tensor.shape.is_array()) return;
  for (const Json& extent : tensor.shape) {
    if (!extent.is_number_unsigned()) return;
    if (__builtin_mul_overflow(size, extent.get<uint64_t>(), &size) || size > most) return;
  }
  const size_t old = tensor.bytes.size();
  tensor.bytes.resize(size);
  // A byte 0x3c everywhere is a small positive number in every float type.
  if (size > old) std::memset(tensor.bytes.data() + old, dice.one_in(16) ? 0 : 0x3c, size - old);
}

}  // namespace sotalign::fuzz
