// Writes a matrix some rows at a time, so that it need not fit into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sotalign/core/matrix_view.h"
#include "sotalign/io/array.h"

namespace SOTALIGN_API sotalign {

/// The kinds of files that hold a matrix.
enum class MatrixFormat {
  kNpy,
  kSafetensors,  ///< one tensor
};

/// kSafetensors for a path that ends with ".safetensors", else kNpy.
MatrixFormat matrix_format(const std::string& path);

/// The bytes of a safetensors file of one tensor, up to its first element. Throws InvalidArgument for a type
/// that the format lacks, for an impossible shape, and for a name that is not UTF-8 or reserved.
std::string safetensors_header(const std::string& name, ElementType type, const std::vector<int64_t>& shape);

/// Turns rows into the bytes of a file and hands them to a sink, in order.
///
///   AtomicFile file("shared.npy");
///   MatrixWriter writer({.rows = n, .cols = d}, [&](const void* bytes, size_t size) { file.write(bytes,
///   size); }); for (...) writer.add(rows); writer.finish(); file.commit();
class MatrixWriter {
 public:
  struct Options {
    MatrixFormat format = MatrixFormat::kNpy;
    ElementType type = ElementType::kFloat32;  ///< kFloat16 or kFloat32; float16 is rounded to nearest even
    int64_t rows = 0;
    int64_t cols = 0;
    std::string name = "embeddings";  ///< of the tensor in a safetensors file
  };
  using Sink = std::function<void(const void* bytes, size_t size)>;

  /// Writes the header. Throws InvalidArgument for another type, for an impossible shape and for a name that
  /// is not UTF-8 or reserved.
  MatrixWriter(const Options& options, Sink sink);
  /// Appends rows [n, cols] on the host. Throws InvalidArgument for more rows than the header says, and for
  /// values that float16 cannot hold.
  void add(ConstMatrixF rows);
  /// Throws InvalidArgument unless all rows have been added.
  void finish() const;

 private:
  Options options_;
  Sink sink_;
  int64_t added_ = 0;
};

}  // namespace sotalign
