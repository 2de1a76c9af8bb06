// A trained alignment: maps raw embeddings of both modalities into a shared space, where cosines compare
// them. Modality x is "image" and y is "text", here and in files.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/eval/hubness.h"
#include "sotalign/nn/head.h"
#include "sotalign/nn/parameters.h"
#include "sotalign/nn/preprocess.h"
#include "sotalign/nn/row_set.h"
#include "sotalign/teacher/teacher.h"

namespace SOTALIGN_API sotalign {

/// A model's two maps: the trained heads, and the linear teacher that guided their training.
enum class Projection { kHeads, kTeacher };

/// The result of training: two heads, a teacher, or both, and the preprocessing of their inputs.
class Model {
 public:
  /// A model with heads, initialised from `seed`, and no teacher yet.
  Model(Context& context, const HeadOptions& image, const HeadOptions& text, uint64_t seed);
  /// A model with a teacher and no heads.
  Model(Context& context, Teacher teacher);

  /// Reads a file written by save(). Throws IoError naming the part that is missing, damaged, not finite or
  /// inconsistent.
  static Model load(Context& context, const std::string& path);
  /// Whether load() verified checksums. Files of sotalign 0.1 have none.
  bool verified() const { return verified_; }
  /// Writes weights, biases, means, teacher and bank to a safetensors file with checksums, and `notes` to its
  /// metadata, beside the formulas of embed() in words ("formula.heads", "formula.teacher", ...). Throws
  /// NumericalError, and writes nothing, if a weight, bias or mean is not finite, and InvalidArgument for a
  /// bank of another dimension than that of hubness_projection().
  void save(const std::string& path, const std::map<std::string, std::string>& notes = {}) const;

  bool has(Projection projection) const;
  int64_t input_dim(Side side) const;
  /// Columns of embed()'s output.
  int64_t dim(Projection projection) const;

  /// Maps raw embeddings x [n, input_dim] to unit rows out [n, dim], tile by tile; x and out must not
  /// overlap. Throws InvalidArgument if the shapes do not match or the model lacks the projection.
  void embed(Side side, Projection projection, ConstMatrixF x, MatrixF out) const;
  /// The same for rows that are preprocessed already.
  void embed_preprocessed(Side side, Projection projection, ConstMatrixF x, MatrixF out) const;

  /// Draws a bank (hubness_bank_rows()) from preprocessed unpaired rows, in the memory of the context, and
  /// embeds it. Throws InvalidArgument for a side without rows, and what embed() and HubnessCorrection throw.
  /// @param projection whose space the bank is for
  /// @param images [n, input_dim(Side::kX)]
  /// @param texts [m, input_dim(Side::kY)]
  /// @param options see HubnessOptions
  HubnessCorrection make_bank(Projection projection, const RowSet& images, const RowSet& texts,
                              const HubnessOptions& options = {}) const;
  /// The projection that `hubness` corrects: the heads, or the teacher if there are none.
  Projection hubness_projection() const;

  const Head& head(Side side) const { return heads_[side == Side::kX ? 0 : 1]; }

  Preprocessing image_preprocessing, text_preprocessing;  ///< empty until fitted
  ParameterSet parameters;  ///< 'image_head.*', 'text_head.*', 'log_scale', 'bias'; empty without heads
  std::optional<Teacher> teacher;
  /// A bank of unpaired training rows in the space of hubness_projection(). Valid for the weights that it was
  /// made with.
  std::optional<HubnessCorrection> hubness;

 private:
  explicit Model(Context& context) : context_(&context) {}
  /// Registers the tensors of both heads without allocating them.
  void add_heads(const HeadOptions& image, const HeadOptions& text);
  /// Throws unless embed() can map x to out.
  void check_embed(Side side, Projection projection, ConstMatrixF x, MatrixF out) const;

  Context* context_;
  std::vector<Head> heads_;  // none, or image and text
  bool verified_ = false;
};

}  // namespace sotalign
