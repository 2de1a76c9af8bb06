// A file to write, or standard output.
#pragma once

#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "sotalign/core/matrix_view.h"
#include "sotalign/io/atomic_file.h"

namespace sotalign::app {

/// An output that appears as a whole, or not at all: an AtomicFile or, for "-", a temporary file without a
/// name, which commit() copies to standard output.
class Output {
 public:
  /// Throws IoError.
  explicit Output(const std::string& path);

  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Call it last, and at most once.
  void commit();

 private:
  std::optional<AtomicFile> file_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> kept_;
};

/// Writes a .npy file, float32. Throws IoError.
void write_matrix(const std::string& path, ConstMatrixF matrix);

}  // namespace sotalign::app
