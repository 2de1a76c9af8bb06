#include "sotalign/io/embeddings.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string_view>

#include "io/find_matrix.h"
#include "io/mapped_file.h"
#include "io/npy_header.h"
#include "io/safetensors_header.h"
#include "io/text.h"
#include "sotalign/core/error.h"
#include "sotalign/io/safetensors.h"

namespace sotalign {

namespace {

io::MatrixSource only_matrix(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  std::string matrices;
  int64_t count = 0;
  const std::string* last = nullptr;
  for (const std::string& name : file.names()) {
    if (file.shape(name).size() != 2) continue;
    constexpr int64_t kMostShown = 10;
    if (count < kMostShown) matrices += (count > 0 ? ", " : "") + io::printable(name);
    if (count == kMostShown) matrices += ", ...";
    ++count;
    last = &name;
  }
  if (count == 1) return io::safetensors_matrix_source(file, *last);
  if (count == 0)
    throw IoError(fmt::format("{}: expected a two-dimensional tensor, found none among {} tensors", path,
                              file.names().size()));
  throw IoError(fmt::format("{}: expected one two-dimensional tensor, found {}; choose one by {}:NAME: {}",
                            path, count, path, matrices));
}

}  // namespace

io::MatrixSource io::find_matrix(const std::string& path) {
  constexpr std::string_view kSeparator = ".safetensors:";
  const size_t separator = path.find(kSeparator);
  std::error_code ignored;
  if (separator != std::string::npos && !std::filesystem::exists(path, ignored)) {
    const size_t end = separator + kSeparator.size();
    return safetensors_matrix_source(SafetensorsFile::open(path.substr(0, end - 1)), path.substr(end));
  }
  const auto file = std::make_shared<const MappedFile>(path);
  const std::string_view bytes(file->data(), file->size());
  if (bytes.starts_with("\x93NUMPY") || path.ends_with(".npy")) return npy_matrix_source(file);
  if ((bytes.size() > 8 && bytes[8] == '{') || path.ends_with(".safetensors")) return only_matrix(path);
  throw IoError(fmt::format("{}: expected a .npy or .safetensors file, found {}", path,
                            bytes.starts_with("PK") ? "a zip archive (.npz or a PyTorch file)" : "neither"));
}

HostMatrix read_matrix(const std::string& path) { return io::to_host_matrix(io::find_matrix(path)); }

}  // namespace sotalign
