// safetensors files: named tensors and string metadata, in the format of the Hugging Face library. Files are
// not trusted: opening one checks its whole header.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "sotalign/io/array.h"

namespace sotalign {
class SafetensorsFile;
}
namespace sotalign::io {
struct MatrixSource;
MatrixSource safetensors_matrix_source(const SafetensorsFile& file, const std::string& name);
}  // namespace sotalign::io

namespace SOTALIGN_API sotalign {

/// An open file. Copies share the mapping.
class SafetensorsFile {
 public:
  /// Throws IoError if the file cannot be read or its header breaks a rule of the format.
  static SafetensorsFile open(const std::string& path);

  /// The names of the tensors, in the order of their data in the file.
  const std::vector<std::string>& names() const;
  bool contains(const std::string& name) const;
  /// The following functions throw InvalidArgument, which lists the tensors, if the file has no tensor
  /// `name`.
  const std::vector<int64_t>& shape(const std::string& name) const;
  ElementType type(const std::string& name) const;

  /// All elements in C order. read_float() and read_double() throw IoError unless the tensor's type is
  /// float16, bfloat16, float32 or float64, read_int64() unless it is int64. Values are not checked.
  std::vector<float> read_float(const std::string& name) const;
  std::vector<double> read_double(const std::string& name) const;
  std::vector<int64_t> read_int64(const std::string& name) const;
  /// A two-dimensional tensor, checked like a matrix in a .npy file: see read_npy_matrix().
  HostMatrix read_matrix(const std::string& name) const;

  /// The metadata of the file, a map from strings to strings.
  const std::map<std::string, std::string>& metadata() const;

  /// Whether the file contains checksums, see SafetensorsWriter::add_checksums().
  bool has_checksums() const;
  /// Compares the checksums with the whole file. Throws IoError if a part is damaged, which the message
  /// names, or if the file has no checksums.
  void verify() const;
  /// Throws IoError if the file was written to after open(): values read from it may then be wrong.
  void require_unchanged() const;

 private:
  struct Impl;
  explicit SafetensorsFile(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  friend io::MatrixSource io::safetensors_matrix_source(const SafetensorsFile& file, const std::string& name);
  std::shared_ptr<const Impl> impl_;
};

/// Collects tensors and writes them to a file. Equal input gives equal bytes. Wider types come first, which
/// aligns every tensor in the file; among equally wide ones, the order of the calls decides.
///
///   SafetensorsWriter writer;
///   writer.add("weight", {rows, cols}, weight.data());
///   writer.set_metadata("step", "2000");
///   writer.write("model.safetensors");
class SafetensorsWriter {
 public:
  /// Adds a tensor. `data` points to the elements of `shape` in C order on the host, and must stay valid
  /// until write(), which reads them. Throws InvalidArgument for a name that is taken or reserved, for an
  /// impossible shape and for more tensors than the reader accepts (100,000).
  void add(const std::string& name, std::vector<int64_t> shape, const float* data);
  void add(const std::string& name, std::vector<int64_t> shape, const double* data);
  void add(const std::string& name, std::vector<int64_t> shape, const int64_t* data);
  /// Stores the values as float16 or bfloat16, rounded to nearest even, or unchanged as kFloat32.
  void add_as(ElementType stored, const std::string& name, std::vector<int64_t> shape, const float* data);

  /// Sets a metadata entry.
  void set_metadata(const std::string& key, const std::string& value);

  /// Makes write() add the metadata entry "checksums": JSON with the XXH3-64 of each tensor's bytes and of
  /// the rest of the header. SafetensorsFile::verify() compares them.
  void add_checksums() { checksums_ = true; }

  /// Writes the file through AtomicFile. Throws IoError, and InvalidArgument for names or metadata that are
  /// not UTF-8.
  void write(const std::string& path) const;

 private:
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;
    ElementType stored;
    const void* data;  // float32 where `stored` is float16 or bfloat16, else elements of `stored`
    int64_t count;
  };
  void add_tensor(const std::string& name, std::vector<int64_t> shape, ElementType stored, const void* data);

  std::vector<Tensor> tensors_;
  std::unordered_set<std::string> names_;
  std::map<std::string, std::string> metadata_;
  bool checksums_ = false;
};

}  // namespace sotalign
