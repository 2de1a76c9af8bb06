#include "support/model_mutations.h"

#include <string>
#include <vector>

#include "support/mutate_tensors.h"

namespace sotalign::fuzz {

namespace {

constexpr const char* kSides[] = {"image", "text"};

uint64_t count(const Json& head, const char* key) {
  return head.contains(key) && head[key].is_number_integer() ? head[key].get<uint64_t>() : 0;
}

/// Input, hidden layers, output; sizes that are not integers count as 0.
std::vector<uint64_t> widths(const Json& head) {
  std::vector<uint64_t> result = {count(head, "input_dim")};
  if (head.contains("hidden") && head["hidden"].is_array())
    for (const Json& width : head["hidden"])
      result.push_back(width.is_number_integer() ? width.get<uint64_t>() : 0);
  result.push_back(count(head, "output_dim"));
  return result;
}

bool residual(const Json& head) { return head.contains("residual") && head["residual"] == true; }

Json read_head(TensorFile& file, const char* side) {
  const Json* note = file.find_metadata(std::string(side) + "_head");
  if (note == nullptr || !note->is_string()) return {};
  Json head = Json::parse(note->get<std::string>(), nullptr, false);
  return head.is_object() ? head : Json();
}

void write_head(TensorFile& file, const char* side, const Json& head) {
  if (Json* note = file.find_metadata(std::string(side) + "_head"))
    *note = head.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// The number of elements in all tensors of a head, modulo 2^64: the result of an unchecked sum of products.
uint64_t wrapped_size(const Json& head) {
  const std::vector<uint64_t> w = widths(head);
  uint64_t total = residual(head) ? w.front() * w.back() : 0;
  for (size_t layer = 1; layer < w.size(); ++layer) total += w[layer] * w[layer - 1] + w[layer];
  return total;
}

/// The x with a x = 1 modulo 2^64, for odd a: each Newton iteration doubles the number of correct bits.
uint64_t inverse(uint64_t a) {
  uint64_t x = a;
  for (int i = 0; i < 6; ++i) x *= 2 - a * x;
  return x;
}

/// Chooses a hidden width that makes the sum of all sizes wrap to a small number. Code that multiplies
/// without a check then allocates too little and copies the whole first tensor. Random numbers would hardly
/// ever find such a width.
void wrap_total(Dice& dice, TensorFile& file) {
  const char* side = dice.pick(kSides);
  Json head = read_head(file, side);
  if (!head.is_object()) return;
  if (!head.contains("hidden") || !head["hidden"].is_array() || head["hidden"].size() < 2)
    head["hidden"] = {1 + dice.below(4), 1};
  const size_t position = 1 + dice.below(head["hidden"].size() - 1);
  Json& width = head["hidden"][position];
  const auto total = [&](uint64_t value) {
    width = value;
    uint64_t sum = 2;  // log_scale and bias
    for (const char* other : kSides) sum += wrapped_size(other == side ? head : read_head(file, other));
    return sum;
  };
  // The total is linear in each width: total(w) = total(0) + slope w.
  const uint64_t constant = total(0), slope = total(1) - constant;
  if (slope == 0) return;
  const int zeros = __builtin_ctzll(slope);
  if (zeros > 40) return;
  const uint64_t unit = uint64_t{1} << zeros;
  const uint64_t target = constant % unit + unit * dice.below(8);
  uint64_t value = ((target - constant) >> zeros) * inverse(slope >> zeros);
  // The total is invariant to adding 2^(64 - zeros) to the width, its size in bytes even to a quarter of
  // that.
  const int free_bits = zeros + (dice.one_in(2) ? 2 : 0);
  if (free_bits > 0) value = (value << free_bits >> free_bits) + (dice.next() << (64 - free_bits));
  width = value & 0x7fffffffffffffff;
  write_head(file, side, head);
}

void shape_tensor(Dice& dice, TensorFile& file, const std::string& name, const Json& shape, size_t most) {
  Tensor* tensor = file.find(name);
  if (tensor == nullptr) {
    file.tensors.push_back({.name = name, .dtype = "F32", .shape = shape, .bytes = ""});
    tensor = &file.tensors.back();
  }
  tensor->shape = shape;
  fit_bytes(dice, *tensor, most);
}

/// Gives every tensor the shape that the heads' description implies.
void fit_tensors(Dice& dice, TensorFile& file, size_t most) {
  for (const char* side : kSides) {
    const Json head = read_head(file, side);
    if (!head.is_object()) continue;
    const std::string name = side;
    const std::vector<uint64_t> w = widths(head);
    shape_tensor(dice, file, name + ".mean", {w.front()}, most);
    for (size_t layer = 1; layer < w.size() && layer < 20; ++layer) {
      const std::string prefix = name + "_head." + std::to_string(layer - 1);
      shape_tensor(dice, file, prefix + ".weight", {w[layer], w[layer - 1]}, most);
      shape_tensor(dice, file, prefix + ".bias", {w[layer]}, most);
    }
    if (residual(head)) shape_tensor(dice, file, name + "_head.residual.weight", {w.back(), w.front()}, most);
    const Tensor* weight = file.find("teacher." + name + ".weight");
    if (weight == nullptr || !weight->shape.is_array() || weight->shape.size() != 2) continue;
    const Json columns = weight->shape[1];  // copied: adding a tensor may move the others
    shape_tensor(dice, file, "teacher." + name + ".mean", {w.front()}, most);
    shape_tensor(dice, file, "teacher." + name + ".weight", {w.front(), columns}, most);
  }
}

void change_heads(Dice& dice, TensorFile& file) {
  constexpr const char* kKeys[] = {"input_dim", "hidden", "hidden", "output_dim", "activation", "residual"};
  const char* side = dice.pick(kSides);
  Json head = read_head(file, side);
  if (!head.is_object()) return;
  const std::string key = dice.pick(kKeys);
  if (key == "hidden" && !dice.one_in(4)) {
    Json& hidden = head[key];
    if (!hidden.is_array()) hidden = Json::array();
    hidden.push_back(dice.one_in(2) ? Json(1 + dice.below(5)) : hostile_integer(dice));
  } else if (key == "residual" || key == "activation") {
    head[key] =
        dice.one_in(2) ? Json(key == "residual" ? Json(true) : Json(dice.below(5))) : hostile_value(dice);
  } else {
    head[key] = dice.one_in(2) ? Json(1 + dice.below(20)) : hostile_value(dice);
  }
  write_head(file, side, head);
  if (dice.one_in(2)) return;
  // Both heads have the same output dimension.
  const char* other = side == kSides[0] ? kSides[1] : kSides[0];
  Json same = read_head(file, other);
  if (!same.is_object()) return;
  same["output_dim"] = head.contains("output_dim") ? head["output_dim"] : Json();
  write_head(file, other, same);
}

}  // namespace

void mutate_model(Dice& dice, TensorFile& file, size_t most) {
  const size_t kind = dice.below(8);
  if (kind == 0) {
    wrap_total(dice, file);
  } else if (kind < 6) {
    change_heads(dice, file);
  }
  if (!dice.one_in(5)) fit_tensors(dice, file, most / 4);
}

}  // namespace sotalign::fuzz
