// safetensors files: named tensors and a map of strings, as written by the Hugging Face library. Nothing in a
// file is trusted: the header is checked in full when the file is opened.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "sotalign/io/array.h"

namespace sotalign {

/// An open file. Copies share the mapping.
class SafetensorsFile {
 public:
  /// Throws IoError if the file cannot be read or its header breaks a rule of the format.
  static SafetensorsFile open(const std::string& path);

  /// In the order of their data in the file.
  const std::vector<std::string>& names() const;
  bool contains(const std::string& name) const;
  /// The following throw InvalidArgument, which lists what there is, if the file has no tensor `name`.
  const std::vector<int64_t>& shape(const std::string& name) const;
  ElementType type(const std::string& name) const;

  /// All elements in C order. Throw IoError unless the type is a float type (float16, bfloat16, float32,
  /// float64), or int64. Values are not checked: a tensor may hold anything.
  std::vector<float> read_float(const std::string& name) const;
  std::vector<double> read_double(const std::string& name) const;
  std::vector<int64_t> read_int64(const std::string& name) const;
  /// A tensor of two dimensions, checked like a matrix from a .npy file: see read_npy_matrix.
  HostMatrix read_matrix(const std::string& name) const;

  const std::map<std::string, std::string>& metadata() const;

  /// Whether the file carries checksums, see SafetensorsWriter::add_checksums().
  bool has_checksums() const;
  /// Compares them with the whole file. Throws IoError that names the damaged part, or says that
  /// the file has no checksums.
  void verify() const;
  /// Throws IoError if the file was written to since open(): what was read from it may be anything.
  void require_unchanged() const;

 private:
  struct Impl;
  explicit SafetensorsFile(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

/// Collects tensors and writes them in one go. Equal input gives equal bytes. Tensors are written in the
/// order in which they were added, except that wider types come first so that each one is aligned in the
/// file.
///
///   SafetensorsWriter writer;
///   writer.add("weight", {rows, cols}, weight.data());
///   writer.set_metadata("step", "2000");
///   writer.write("model.safetensors");
class SafetensorsWriter {
 public:
  /// `data` holds the elements of `shape` in C order and is read by write(), until when it must live.
  /// Throws InvalidArgument for a name that is taken or reserved, for an impossible shape and for more
  /// tensors than the reader takes (100,000).
  void add(const std::string& name, std::vector<int64_t> shape, const float* data);
  void add(const std::string& name, std::vector<int64_t> shape, const double* data);
  void add(const std::string& name, std::vector<int64_t> shape, const int64_t* data);
  /// Stored as float16 or bfloat16, rounded to nearest even; kFloat32 stores the values as they are.
  void add_as(ElementType stored, const std::string& name, std::vector<int64_t> shape, const float* data);

  void set_metadata(const std::string& key, const std::string& value);

  /// write() adds the metadata "checksums": JSON with the XXH3-64 of each tensor's bytes and of all the rest
  /// of the header. SafetensorsFile::verify() compares them.
  void add_checksums() { checksums_ = true; }

  /// Through AtomicFile. Throws IoError, and InvalidArgument for names or metadata that are not UTF-8.
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
