#include "support/mutate_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "support/checksums.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace sotalign::fuzz {

namespace {

/// libFuzzer's own mutations, which use the dictionary and the comparisons traced in the library.
void mutate_bytes(std::string& bytes, size_t more) {
  const size_t size = bytes.size();
  bytes.resize(size + more);
  bytes.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(bytes.data()), size, bytes.size()));
}

void mutate_note(Dice& dice, TensorFile& file) {
  if (file.metadata.empty() || dice.one_in(20)) {
    file.metadata.emplace_back(hostile_name(dice), hostile_number_text(dice));
    return;
  }
  auto& [key, note] = dice.pick(file.metadata);
  Json inner = note.is_string() ? Json::parse(note.get<std::string>(), nullptr, false) : Json();
  if (inner.is_structured() && !dice.one_in(8)) {
    change_somewhere(dice, inner);
    note = inner.dump(-1, ' ', false, Json::error_handler_t::replace);
    return;
  }
  switch (dice.below(6)) {
    case 0:
      note = hostile_value(dice);
      break;
    case 1:
      file.metadata.emplace_back(key, note);  // duplicate key
      break;
    case 2:
      std::swap(note, dice.pick(file.metadata).second);
      break;
    case 3:
      if (note.is_string()) {
        std::string text = note.get<std::string>();
        mutate_bytes(text, 16);
        note = text;
      }
      break;
    default:
      note = hostile_number_text(dice);
  }
}

void mutate_shape(Dice& dice, Tensor& tensor) {
  if (!tensor.shape.is_array() || dice.one_in(12)) {
    tensor.shape = dice.one_in(2) ? Json::array({dice.below(9)}) : hostile_value(dice);
  } else if (tensor.shape.empty() || dice.one_in(5)) {
    tensor.shape.push_back(dice.one_in(2) ? Json(1) : hostile_integer(dice));
  } else if (dice.one_in(5)) {
    tensor.shape.erase(dice.below(tensor.shape.size()));
  } else {
    tensor.shape[dice.below(tensor.shape.size())] =
        dice.one_in(2) ? Json(dice.below(40)) : hostile_value(dice);
  }
}

void mutate_tensor(Dice& dice, TensorFile& file, size_t most) {
  constexpr const char* kTypes[] = {"F16", "BF16", "F32", "F64",     "I8",  "I64",
                                    "U64", "BOOL", "F4",  "F8_E4M3", "C64", "f32"};
  if (file.tensors.empty()) {
    file.tensors.push_back({.name = hostile_name(dice), .dtype = "F32", .shape = {1}, .bytes = "1234"});
    return;
  }
  Tensor& tensor = dice.pick(file.tensors);
  switch (dice.below(12)) {
    case 0:
      tensor.dtype = dice.one_in(8) ? hostile_value(dice) : Json(dice.pick(kTypes));
      break;
    case 1:
    case 2:
      mutate_shape(dice, tensor);
      break;
    case 3:
      tensor.name = dice.one_in(2) ? hostile_name(dice) : dice.pick(file.tensors).name;
      return;
    case 4:
      std::swap(tensor.name, dice.pick(file.tensors).name);
      return;
    case 5:
      std::swap(tensor, dice.pick(file.tensors));
      return;
    case 6:
      file.tensors.erase(file.tensors.begin() + (&tensor - file.tensors.data()));
      return;
    case 7:
      tensor.offsets =
          dice.one_in(2) ? Json{hostile_integer(dice), hostile_integer(dice)} : hostile_value(dice);
      return;
    case 8:
      mutate_bytes(tensor.bytes, 8);
      return;
    default:
      spoil_element(dice, tensor);
      return;
  }
  if (!dice.one_in(6)) fit_bytes(dice, tensor, most);
}

void mutate_frame(Dice& dice, TensorFile& file) {
  switch (dice.below(4)) {
    case 0:
      file.padding = std::string(dice.below(64), ' ');
      break;
    case 1:
      file.trailing = std::string(dice.below(16), 'x');
      break;
    case 2:
      file.header_length = hostile_integer(dice).is_number_unsigned() ? dice.next() >> dice.below(64) : 0;
      break;
    default:
      if (!file.tensors.empty() && !file.tensors.back().bytes.empty()) file.tensors.back().bytes.pop_back();
  }
}

template <class Float>
void store(std::string& bytes, size_t index, double value) {
  const auto number = static_cast<Float>(value);
  std::memcpy(bytes.data() + index * sizeof number, &number, sizeof number);
}

}  // namespace

void spoil_element(Dice& dice, Tensor& tensor) {
  const size_t size = element_size(tensor.dtype);
  const size_t count = size == 0 ? 0 : tensor.bytes.size() / size;
  if (count == 0) return;
  using Limits = std::numeric_limits<double>;
  constexpr double kFloats[] = {
      Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), 3e38, -1e30, 1e-45, 0, 70000};
  const double value = dice.pick(kFloats);
  const size_t index = dice.below(count);
  if (size == 4) {
    store<float>(tensor.bytes, index, value);
  } else if (size == 8) {
    store<double>(tensor.bytes, index, dice.one_in(2) ? value : 1e300);
  } else if (size == 2) {
    store<uint16_t>(tensor.bytes, index,
                    dice.one_in(2) ? 0x7c00 : 0x7f80);  // infinities of float16 and bfloat16
  } else {
    tensor.bytes[index] = static_cast<char>(dice.next());
  }
}

void mutate_file(Dice& dice, TensorFile& file, size_t most) {
  const size_t kind = dice.below(20);
  if (kind < 8) {
    mutate_note(dice, file);
  } else if (kind < 19) {
    mutate_tensor(dice, file, most);
  } else {
    mutate_frame(dice, file);
  }
}

size_t mutate_tensors(uint8_t* data, size_t size, size_t max_size, unsigned seed, Coordinated coordinated) {
  Dice dice(seed);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::optional<TensorFile> file = take_apart(bytes);
  if (!file || dice.one_in(50)) return LLVMFuzzerMutate(data, size, max_size);
  const Checksums checksums = choose_checksums(dice);
  remove_checksums(*file, checksums);
  for (size_t changes = 1 + dice.below(4); changes > 0; --changes) {
    if (coordinated != nullptr && dice.one_in(2)) {
      coordinated(dice, *file, max_size);
    } else {
      mutate_file(dice, *file, max_size);
    }
  }
  const std::string result = seal(put_together(*file), checksums);
  if (result.size() > max_size) return size;
  std::memcpy(data, result.data(), result.size());
  return result.size();
}

}  // namespace sotalign::fuzz
