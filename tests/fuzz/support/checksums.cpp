#include "support/checksums.h"

#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "sotalign/io/safetensors.h"

namespace sotalign::fuzz {

namespace {

/// An in-memory file that the writer may replace.
const std::string& scratch_path() {
  static const std::string path = [] {
    std::string name = "/dev/shm/sotalign-fuzz-XXXXXX";
    const int fd = mkstemp(name.data());
    if (fd >= 0) close(fd);
    static const std::string kept = name;
    std::atexit([] { unlink(kept.c_str()); });
    return name;
  }();
  return path;
}

template <class T>
bool add(SafetensorsWriter& writer, const Tensor& tensor, std::vector<std::vector<T>>& kept) {
  std::vector<int64_t> shape;
  int64_t count = 1;
  for (const Json& extent : tensor.shape) {
    if (!extent.is_number_integer()) return false;
    shape.push_back(extent.get<int64_t>());
    if (shape.back() < 0 || __builtin_mul_overflow(count, shape.back(), &count)) return false;
  }
  if (static_cast<uint64_t>(count) != tensor.bytes.size() / sizeof(T)) return false;
  kept.emplace_back(static_cast<size_t>(count));
  if (count > 0) std::memcpy(kept.back().data(), tensor.bytes.data(), kept.back().size() * sizeof(T));
  writer.add(tensor.name, shape, kept.back().data());
  return true;
}

/// Returns false for content that the library does not write.
template <class Writer>
bool write_with_checksums(const TensorFile& file, const std::string& path) {
  Writer writer;
  std::vector<std::vector<float>> floats;
  std::vector<std::vector<double>> doubles;
  std::vector<std::vector<int64_t>> integers;
  for (const auto& [key, note] : file.metadata) {
    if (!note.is_string()) return false;
    if (key != "checksums") writer.set_metadata(key, note.template get<std::string>());
  }
  for (const Tensor& tensor : file.tensors) {
    const bool added = tensor.dtype == "F32"   ? add(writer, tensor, floats)
                       : tensor.dtype == "F64" ? add(writer, tensor, doubles)
                                               : tensor.dtype == "I64" && add(writer, tensor, integers);
    if (!added) return false;
  }
  if constexpr (requires { writer.add_checksums(); }) writer.add_checksums();
  writer.write(path);
  return true;
}

}  // namespace

Checksums choose_checksums(Dice& dice) {
  const size_t kind = dice.below(8);
  return kind == 0 ? Checksums::kStale : (kind < 3 ? Checksums::kRemade : Checksums::kOlderFormat);
}

void remove_checksums(TensorFile& file, Checksums checksums) {
  if (checksums != Checksums::kOlderFormat) return;
  std::erase_if(file.metadata, [](const auto& note) { return note.first == "checksums"; });
  Json* format = file.find_metadata("format");
  if (format == nullptr || !format->is_string()) return;
  std::string name = format->get<std::string>();
  if (name.ends_with("-2")) *format = name.replace(name.size() - 1, 1, "1");
}

std::string seal(std::string file, Checksums checksums) {
  if (checksums != Checksums::kRemade) return file;
  const std::optional<TensorFile> parts = take_apart(file);
  try {
    if (!parts || !write_with_checksums<SafetensorsWriter>(*parts, scratch_path())) return file;
  } catch (const std::exception&) {  // duplicate names, shapes that are text
    return file;
  }
  std::ifstream written(scratch_path(), std::ios::binary);
  return {std::istreambuf_iterator<char>(written), {}};
}

}  // namespace sotalign::fuzz
