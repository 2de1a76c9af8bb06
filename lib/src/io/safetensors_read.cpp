#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/element.h"
#include "io/host_matrix.h"
#include "io/safetensors_checksums.h"
#include "io/safetensors_header.h"
#include "io/text.h"
#include "sotalign/core/error.h"
#include "sotalign/io/json_text.h"
#include "sotalign/io/safetensors.h"

namespace sotalign {

struct SafetensorsFile::Impl {
  std::shared_ptr<const io::MappedFile> file;
  io::SafetensorsHeader header;

  const io::TensorEntry& find(const std::string& name) const {
    const auto found = header.tensors.find(name);
    if (found != header.tensors.end()) return found->second;
    constexpr size_t kMostShown = 10;
    std::string there;
    for (size_t i = 0; i < std::min(header.names.size(), kMostShown); ++i)
      there += (i > 0 ? ", " : "") + io::printable(header.names[i]);
    if (header.names.size() > kMostShown) there += ", ...";
    throw InvalidArgument(fmt::format("{}: no tensor '{}', found {}", file->path(), io::printable(name),
                                      there.empty() ? "none" : there));
  }
  std::string label(const std::string& name) const {
    return fmt::format("{}: tensor '{}'", file->path(), io::printable(name));
  }
  const io::TensorEntry& find_float(const std::string& name) const {
    const io::TensorEntry& entry = find(name);
    if (!io::is_float(entry.type))
      throw IoError(fmt::format("{}: expected F16, BF16, F32 or F64, found {}", label(name), entry.dtype));
    return entry;
  }
  const char* data(const io::TensorEntry& entry) const {
    return file->data() + header.data_offset + entry.begin;
  }

  template <class T>
  std::vector<T> read(const std::string& name) const {
    const io::TensorEntry& entry = find_float(name);
    return io::with_float_element(entry.type, [&](auto element) {
      using Element = decltype(element);
      using Stored = typename Element::Stored;
      const char* source = data(entry);
      std::vector<T> values((entry.end - entry.begin) / sizeof(Stored));
      const int64_t count = static_cast<int64_t>(values.size());
#pragma omp parallel for simd schedule(static) if (parallel : count > (1 << 16))
      for (int64_t i = 0; i < count; ++i)
        values[static_cast<size_t>(i)] = static_cast<T>(Element::decode(io::load<Stored>(source, i)));
      return values;
    });
  }
};

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  const auto impl = std::make_shared<Impl>();
  impl->file = std::make_shared<const io::MappedFile>(path);
  impl->header = io::parse_safetensors_header(*impl->file);
  return SafetensorsFile(impl);
}

const std::vector<std::string>& SafetensorsFile::names() const { return impl_->header.names; }
bool SafetensorsFile::contains(const std::string& name) const {
  return impl_->header.tensors.find(name) != impl_->header.tensors.end();
}
const std::vector<int64_t>& SafetensorsFile::shape(const std::string& name) const {
  return impl_->find(name).shape;
}
ElementType SafetensorsFile::type(const std::string& name) const { return impl_->find(name).type; }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const { return impl_->header.metadata; }

bool SafetensorsFile::has_checksums() const { return metadata().contains(io::kChecksumsKey); }

void SafetensorsFile::verify() const {
  const std::string& path = impl_->file->path();
  if (!has_checksums()) throw IoError(fmt::format("{}: expected checksums, found none", path));
  const std::string& text = metadata().at(io::kChecksumsKey);
  check_json_text(text, fmt::format("{}: checksums", path), 2);
  const nlohmann::json sums = nlohmann::json::parse(text);
  const auto compare = [&](const nlohmann::json& object, const std::string& key, const std::string& found,
                           const std::string& what) {
    if (!object.is_object() || !object.contains(key) || object[key] != found)
      throw IoError(fmt::format("{}: {}: damaged, its checksum is not the one in the file", path, what));
  };
  io::HeaderChecksum header(metadata());
  for (const std::string& name : names()) {
    const io::TensorEntry& entry = impl_->find(name);
    header.add_tensor(name, entry.dtype, entry.shape);
  }
  compare(sums, "header", header.hex(), "header");
  const nlohmann::json no_sums, &tensors = sums.contains("tensors") ? sums["tensors"] : no_sums;
  for (const std::string& name : names()) {
    const io::TensorEntry& entry = impl_->find(name);
    compare(tensors, name, checksum({impl_->data(entry), entry.end - entry.begin}),
            fmt::format("tensor '{}'", io::printable(name)));
  }
}

void SafetensorsFile::require_unchanged() const { impl_->file->require_unchanged(); }

std::vector<float> SafetensorsFile::read_float(const std::string& name) const {
  return impl_->read<float>(name);
}
std::vector<double> SafetensorsFile::read_double(const std::string& name) const {
  return impl_->read<double>(name);
}

std::vector<int64_t> SafetensorsFile::read_int64(const std::string& name) const {
  const io::TensorEntry& entry = impl_->find(name);
  if (entry.type != ElementType::kInt64)
    throw IoError(fmt::format("{}: expected I64, found {}", impl_->label(name), entry.dtype));
  std::vector<int64_t> values((entry.end - entry.begin) / sizeof(int64_t));
  if (!values.empty()) std::memcpy(values.data(), impl_->data(entry), entry.end - entry.begin);
  return values;
}

io::MatrixSource io::safetensors_matrix_source(const SafetensorsFile& file, const std::string& name) {
  const TensorEntry& entry = file.impl_->find_float(name);
  return {.file = file.impl_->file,
          .label = file.impl_->label(name),
          .data = file.impl_->data(entry),
          .type = entry.type,
          .order = StorageOrder::kC,
          .shape = entry.shape};
}

HostMatrix SafetensorsFile::read_matrix(const std::string& name) const {
  return io::to_host_matrix(io::safetensors_matrix_source(*this, name));
}

}  // namespace sotalign
