// A trained alignment: maps raw embeddings of either modality to rows whose cosines can be compared. Modality
// x is "image" and y is "text", here and in files.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/nn/head.h"
#include "sotalign/nn/parameters.h"
#include "sotalign/nn/preprocess.h"
#include "sotalign/teacher/teacher.h"

namespace SOTALIGN_API sotalign {

/// Which of a model's two maps: the trained heads or the linear teacher they were trained with.
enum class Projection { kHeads, kTeacher };

/// What training produces: two heads, the teacher, or both, with the preprocessing of their input.
class Model {
 public:
  /// A model with heads, initialised from `seed`, and no teacher yet.
  Model(Context& context, const HeadOptions& image, const HeadOptions& text, uint64_t seed);
  /// A model without heads, only a teacher.
  Model(Context& context, Teacher teacher);

  /// Reads a file that save() wrote. Throws IoError that names the part that is missing, damaged, not finite
  /// or inconsistent.
  static Model load(Context& context, const std::string& path);
  /// Whether load() compared checksums: not for a file of sotalign 0.1, which has none.
  bool verified() const { return verified_; }
  /// Writes weights, biases, means and teacher to a safetensors file with checksums, and `notes` to its
  /// metadata.
  void save(const std::string& path, const std::map<std::string, std::string>& notes = {}) const;

  bool has(Projection projection) const;
  int64_t input_dim(Side side) const;
  /// Columns of embed()'s result.
  int64_t dim(Projection projection) const;

  /// Unit rows [n, dim] of raw embeddings x [n, input_dim], in tiles; x and out do not overlap. Throws
  /// InvalidArgument when the shapes or the projection do not fit.
  void embed(Side side, Projection projection, ConstMatrixF x, MatrixF out) const;

  const Head& head(Side side) const { return heads_[side == Side::kX ? 0 : 1]; }

  Preprocessing image_preprocessing, text_preprocessing;  ///< empty: not fitted yet
  ParameterSet parameters;  ///< 'image_head.*', 'text_head.*', 'log_scale', 'bias'; empty without heads
  std::optional<Teacher> teacher;

 private:
  explicit Model(Context& context) : context_(&context) {}
  /// Registers their tensors; allocates nothing.
  void add_heads(const HeadOptions& image, const HeadOptions& text);

  Context* context_;
  std::vector<Head> heads_;  // none, or image and text
  bool verified_ = false;
};

}  // namespace sotalign
