#include "support/npy_file.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "support/hostile.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace sotalign::fuzz {

namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);

/// The value after a key, up to the comma or brace that ends it, outside brackets and quotes.
std::string value_after(std::string_view header, size_t at) {
  int depth = 0;
  char quote = 0;
  const size_t first = at;
  for (; at < header.size(); ++at) {
    const char c = header[at];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == '(' || c == '[') {
      ++depth;
    } else if (c == ')' || c == ']') {
      --depth;
    } else if (depth == 0 && (c == ',' || c == '}')) {
      break;
    }
  }
  return std::string(header.substr(first, at - first));
}

std::string* find(NpyFile& file, std::string_view key) {
  for (auto& [name, value] : file.entries)
    if (name.find(key) != std::string::npos) return &value;
  return nullptr;
}

/// The sizes in a tuple's text; skips what is not a number.
std::vector<uint64_t> sizes_in(std::string_view text) {
  std::vector<uint64_t> result;
  for (size_t at = 0; at < text.size();) {
    uint64_t size = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), size);
    if (error == std::errc()) result.push_back(size);
    at = std::max(at + 1, static_cast<size_t>(end - text.data()));
  }
  return result;
}

void fit_data(NpyFile& file, size_t most) {
  const std::string *descr = find(file, "descr"), *shape = find(file, "shape");
  if (descr == nullptr || shape == nullptr) return;
  const size_t digit = descr->find_first_of("1248");
  size_t size = digit == std::string::npos ? 0 : static_cast<size_t>((*descr)[digit] - '0');
  for (const uint64_t extent : sizes_in(*shape))
    if (__builtin_mul_overflow(size, extent, &size) || size > most) return;
  file.data.resize(size, '\x3c');
}

std::string shape_text(Dice& dice) {
  std::string text = "(";
  const size_t dimensions = dice.one_in(30) ? 70 : dice.below(4);
  for (size_t i = 0; i < dimensions; ++i)
    text += (dice.one_in(4) ? hostile_integer(dice).dump() : std::to_string(dice.below(9))) +
            (dice.one_in(12) ? "L" : "") + (i + 1 < dimensions || dice.one_in(2) ? ", " : "");
  return text + (dice.one_in(20) ? "" : ")");
}

void mutate_entry(Dice& dice, NpyFile& file) {
  constexpr const char* kTypes[] = {"'<f2'", "'<f4'",   "'<f8'", "'<i1'", "'<i2'", "'<i4'",
                                    "'<i8'", "'|u1'",   "'<u2'", "'<u4'", "'<u8'", "'>f4'",
                                    "'f4'",  "'|O'",    "'<c8'", "'|b1'", "''",    "[('a', '<f4')]",
                                    "[[[[",  "\"<f4\"", "None",  "'<f4"};
  constexpr const char* kKeys[] = {"'descr'", "'fortran_order'", "'shape'", "\"shape\"", "'other'", "''",
                                   "shape"};
  if (file.entries.empty() || dice.one_in(12)) {
    file.entries.emplace_back(dice.pick(kKeys), dice.one_in(2) ? dice.pick(kTypes) : shape_text(dice));
    return;
  }
  auto& [key, value] = dice.pick(file.entries);
  if (dice.one_in(10)) {
    key = dice.pick(kKeys);
  } else if (dice.one_in(12)) {
    std::swap(value, dice.pick(file.entries).second);
  } else if (key.find("descr") != std::string::npos) {
    value = dice.pick(kTypes);
  } else if (key.find("order") != std::string::npos) {
    value = dice.one_in(8) ? "Truer" : (dice.one_in(2) ? "True" : "False");
  } else if (!dice.one_in(8)) {
    value = shape_text(dice);
  } else {
    value.resize(value.size() + 8);
    value.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(value.data()), value.size() - 8, value.size()));
  }
}

}  // namespace

std::optional<NpyFile> take_npy_apart(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 12) return std::nullopt;
  NpyFile file;
  file.major = static_cast<uint8_t>(bytes[6]), file.minor = static_cast<uint8_t>(bytes[7]);
  uint32_t length = 0;
  const size_t width = file.major == 1 ? 2 : 4;
  std::memcpy(&length, bytes.data() + 8, width);
  const std::string_view rest = bytes.substr(8 + width);
  const std::string_view header = rest.substr(0, length);
  file.data = rest.substr(header.size());
  for (size_t at = header.find('{'); at < header.size();) {
    const size_t colon = header.find(':', at + 1);
    if (colon == std::string_view::npos) break;
    std::string key(header.substr(at + 1, colon - at - 1));
    const std::string value = value_after(header, colon + 1);
    file.entries.emplace_back(std::move(key), value);
    at = colon + 1 + value.size();
  }
  return file;
}

std::string put_together(const NpyFile& file) {
  std::string header = "{";
  for (const auto& [key, value] : file.entries) header += key + ":" + value + ",";
  header += "}" + file.after + "\n";
  const uint32_t length = file.header_length.value_or(static_cast<uint32_t>(header.size()));
  std::string result(kMagic);
  result += static_cast<char>(file.major);
  result += static_cast<char>(file.minor);
  result.append(reinterpret_cast<const char*>(&length), file.major == 1 ? 2 : 4);
  return result + header + file.data;
}

void mutate_npy(Dice& dice, NpyFile& file, size_t most) {
  switch (dice.below(12)) {
    case 0:
      file.major = static_cast<uint8_t>(dice.below(5)), file.minor = dice.one_in(6) ? 1 : 0;
      break;
    case 1:
      file.after = dice.one_in(3) ? std::string(dice.below(4), '}') : std::string(dice.below(100), ' ');
      break;
    case 2:
      if (dice.one_in(4)) file.header_length = static_cast<uint32_t>(dice.next() >> dice.below(64));
      break;
    case 3: {
      const uint32_t infinite = dice.one_in(2) ? 0x7fc00000 : 0x7f800000;
      if (file.data.size() >= 4)
        std::memcpy(file.data.data() + dice.below(file.data.size() / 4) * 4, &infinite, sizeof infinite);
      return;
    }
    case 4:
      file.data.resize(file.data.size() + 8);
      file.data.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(file.data.data()), file.data.size() - 8,
                                        file.data.size()));
      return;
    default:
      mutate_entry(dice, file);
  }
  if (!dice.one_in(6)) fit_data(file, most);
}

}  // namespace sotalign::fuzz
