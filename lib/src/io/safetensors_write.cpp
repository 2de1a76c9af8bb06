#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/half.h"
#include "io/safetensors_header.h"
#include "io/text.h"
#include "sotalign/core/error.h"
#include "sotalign/io/atomic_file.h"
#include "sotalign/io/safetensors.h"

namespace sotalign {

namespace {
bool is_half(ElementType type) { return type == ElementType::kFloat16 || type == ElementType::kBfloat16; }

void write_half(AtomicFile& file, ElementType type, const float* values, int64_t count) {
  constexpr int64_t kChunk = 1 << 16;
  std::vector<uint16_t> chunk(static_cast<size_t>(std::min(count, kChunk)));
  for (int64_t first = 0; first < count; first += kChunk) {
    const size_t size = static_cast<size_t>(std::min(kChunk, count - first));
    std::transform(values + first, values + first + size, chunk.begin(),
                   type == ElementType::kFloat16 ? io::float_to_float16 : io::float_to_bfloat16);
    file.write(chunk.data(), size * sizeof(uint16_t));
  }
}
}  // namespace

void SafetensorsWriter::add(const std::string& name, std::vector<int64_t> shape, const float* data) {
  add_tensor(name, std::move(shape), ElementType::kFloat32, data);
}
void SafetensorsWriter::add(const std::string& name, std::vector<int64_t> shape, const double* data) {
  add_tensor(name, std::move(shape), ElementType::kFloat64, data);
}
void SafetensorsWriter::add(const std::string& name, std::vector<int64_t> shape, const int64_t* data) {
  add_tensor(name, std::move(shape), ElementType::kInt64, data);
}
void SafetensorsWriter::add_as(ElementType stored, const std::string& name, std::vector<int64_t> shape,
                               const float* data) {
  if (!is_half(stored) && stored != ElementType::kFloat32)
    throw InvalidArgument(fmt::format("tensor '{}': expected to store float16, bfloat16 or float32, found {}",
                                      io::printable(name), to_string(stored)));
  add_tensor(name, std::move(shape), stored, data);
}

void SafetensorsWriter::add_tensor(const std::string& name, std::vector<int64_t> shape, ElementType stored,
                                   const void* data) {
  const std::string label = fmt::format("tensor '{}'", io::printable(name));
  if (name == io::kSafetensorsMetadata) throw InvalidArgument(fmt::format("{}: the name is reserved", label));
  if (std::any_of(tensors_.begin(), tensors_.end(), [&](const Tensor& other) { return other.name == name; }))
    throw InvalidArgument(fmt::format("{}: expected each name once, found it twice", label));
  int64_t count = 1, bytes = 0;
  bool impossible = false;
  for (const int64_t size : shape) impossible |= size < 0 || __builtin_mul_overflow(count, size, &count);
  if (impossible || __builtin_mul_overflow(count, element_bytes(stored), &bytes))
    throw InvalidArgument(fmt::format("{}: impossible shape {}", label, io::shape_text(shape)));
  if (count > 0 && data == nullptr)
    throw InvalidArgument(fmt::format("{}: expected data, found null", label));
  tensors_.push_back({name, std::move(shape), stored, data, count});
}

void SafetensorsWriter::set_metadata(const std::string& key, const std::string& value) {
  metadata_[key] = value;
}

void SafetensorsWriter::write(const std::string& path) const {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : tensors_) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const Tensor* a, const Tensor* b) {
    return element_bytes(a->stored) > element_bytes(b->stored);
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata_.empty()) header[io::kSafetensorsMetadata] = metadata_;
  int64_t offset = 0;
  for (const Tensor* tensor : order) {
    const int64_t end = offset + tensor->count * element_bytes(tensor->stored);
    header[tensor->name] = {{"dtype", io::safetensors_dtype(tensor->stored)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    throw InvalidArgument(fmt::format("{}: expected names and metadata in UTF-8", path));
  }
  constexpr size_t kAlignment = 8;
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  if (text.size() > io::kMostSafetensorsHeader)
    throw InvalidArgument(fmt::format("{}: names and metadata need {} bytes, expected at most {}", path,
                                      text.size(), io::kMostSafetensorsHeader));

  AtomicFile file(path);
  const uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text.data(), text.size());
  for (const Tensor* tensor : order) {
    if (is_half(tensor->stored)) {
      write_half(file, tensor->stored, static_cast<const float*>(tensor->data), tensor->count);
    } else {
      file.write(tensor->data, static_cast<size_t>(tensor->count * element_bytes(tensor->stored)));
    }
  }
  file.commit();
}

}  // namespace sotalign
