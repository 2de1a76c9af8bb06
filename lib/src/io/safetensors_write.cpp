#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/half.h"
#include "io/safetensors_checksums.h"
#include "io/safetensors_header.h"
#include "io/text.h"
#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"
#include "sotalign/io/atomic_file.h"
#include "sotalign/io/safetensors.h"

namespace sotalign {

namespace {
bool is_half(ElementType type) { return type == ElementType::kFloat16 || type == ElementType::kBfloat16; }

/// Converts `values` to float16 or bfloat16 in chunks, and calls `use` with each.
template <class Use>
void each_half(ElementType type, const float* values, int64_t count, Use&& use) {
  constexpr int64_t kChunk = 1 << 16;
  std::vector<uint16_t> chunk(static_cast<size_t>(std::min(count, kChunk)));
  for (int64_t first = 0; first < count; first += kChunk) {
    const size_t size = static_cast<size_t>(std::min(kChunk, count - first));
    std::transform(values + first, values + first + size, chunk.begin(),
                   type == ElementType::kFloat16 ? io::float_to_float16 : io::float_to_bfloat16);
    use(chunk.data(), size * sizeof(uint16_t));
  }
}
/// Calls `use` with the bytes of a tensor as the file stores them, in one or more pieces.
template <class Tensor, class Use>
void each_piece(const Tensor& tensor, Use&& use) {
  if (is_half(tensor.stored))
    each_half(tensor.stored, static_cast<const float*>(tensor.data), tensor.count, use);
  else if (tensor.count > 0)
    use(tensor.data, static_cast<size_t>(tensor.count * element_bytes(tensor.stored)));
}

// header_text() and checksums_of() throw nlohmann's exception for text that is not UTF-8.

template <class Tensor>
std::string header_text(const std::map<std::string, std::string>& metadata,
                        const std::vector<const Tensor*>& tensors) {
  std::string text = "{";
  const auto add = [&](const std::string& key, const nlohmann::ordered_json& value) {
    if (text.size() > 1) text += ',';
    text += nlohmann::json(key).dump();
    text += ':';
    text += value.dump();
  };
  if (!metadata.empty()) add(io::kSafetensorsMetadata, metadata);
  int64_t offset = 0;
  for (const Tensor* tensor : tensors) {
    const int64_t end = offset + tensor->count * element_bytes(tensor->stored);
    add(tensor->name, {{"dtype", io::safetensors_dtype(tensor->stored)},
                       {"shape", tensor->shape},
                       {"data_offsets", {offset, end}}});
    offset = end;
  }
  text += '}';
  return text;
}

template <class Tensor>
std::string checksums_of(const std::map<std::string, std::string>& metadata,
                         const std::vector<const Tensor*>& tensors) {
  io::HeaderChecksum header(metadata);
  std::map<std::string, std::string> sums;
  for (const Tensor* tensor : tensors) {
    header.add_tensor(tensor->name, io::safetensors_dtype(tensor->stored), tensor->shape);
    Checksum sum;
    each_piece(*tensor, [&](const void* bytes, size_t size) { sum.add(bytes, size); });
    sums[tensor->name] = sum.hex();
  }
  return nlohmann::json{{"header", header.hex()}, {"tensors", sums}}.dump();
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
  if (tensors_.size() == io::kMostSafetensorsTensors)
    throw InvalidArgument(
        fmt::format("{}: expected at most {} tensors in a file", label, io::kMostSafetensorsTensors));
  std::vector<int64_t> extents = shape;
  extents.push_back(element_bytes(stored));
  const std::optional<int64_t> bytes = try_product(extents);
  if (!bytes) throw InvalidArgument(fmt::format("{}: impossible shape {}", label, io::shape_text(shape)));
  const int64_t count = *bytes / element_bytes(stored);
  if (count > 0 && data == nullptr)
    throw InvalidArgument(fmt::format("{}: expected data, found null", label));
  if (!names_.insert(name).second)
    throw InvalidArgument(fmt::format("{}: expected each name once, found it twice", label));
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

  std::map<std::string, std::string> metadata = metadata_;
  std::string text;
  try {
    if (checksums_) metadata[io::kChecksumsKey] = checksums_of(metadata_, order);
    text = header_text(metadata, order);
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
  for (const Tensor* tensor : order)
    each_piece(*tensor, [&](const void* data, size_t bytes) { file.write(data, bytes); });
  file.commit();
}

}  // namespace sotalign
