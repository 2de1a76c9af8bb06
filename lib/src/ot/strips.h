// Sources of an affinity's rows. The solver and the gradient pass of KLOT work on strips of rows. A stored
// affinity is a single strip; other sources compute each strip on request, in a buffer that the next strip
// overwrites.
#pragma once

#include <algorithm>

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"
#include "sotalign/ot/embeddings.h"
#include "sotalign/ot/fixed_point_matrix.h"
#include "sotalign/ot/solve_options.h"

namespace sotalign::detail {

class Strips {
 public:
  Strips(int64_t rows, int64_t height) : rows_(rows), height_(height) {}
  virtual ~Strips() = default;

  /// Rows per strip; the last strip may have fewer.
  int64_t height() const { return height_; }
  /// Whether the affinity is stored, so that strips cost nothing.
  virtual bool stored() const { return false; }
  /// For a group of several problems: elements from one problem's affinity to the next, or, for two problems
  /// in unrelated memory, the affinity of the second.
  virtual int64_t problem_stride() const { return 0; }
  virtual const float* second() const { return nullptr; }
  /// The strip that begins at row `begin`; valid until the next call.
  virtual ConstMatrixF strip(int64_t begin) const = 0;

  /// Calls visit(strip, its first row) for all strips, in order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (int64_t begin = 0; begin < rows_; begin += height_) visit(strip(begin), begin);
  }

 protected:
  int64_t rows_at(int64_t begin) const { return std::min(height_, rows_ - begin); }

 private:
  int64_t rows_, height_;
};

/// Stored affinities, as a single strip.
class StoredStrips final : public Strips {
 public:
  /// A group of one problem, or of several whose affinities are `problem_stride` elements apart.
  explicit StoredStrips(ConstMatrixF affinity, int64_t problem_stride = 0)
      : Strips(affinity.rows, affinity.rows), affinity_(affinity), problem_stride_(problem_stride) {}
  /// A group of two problems whose affinities have the same shape and stride.
  StoredStrips(ConstMatrixF first, ConstMatrixF second) : StoredStrips(first) { second_ = second.data; }
  bool stored() const override { return true; }
  int64_t problem_stride() const override { return problem_stride_; }
  const float* second() const override { return second_; }
  ConstMatrixF strip(int64_t) const override { return affinity_; }

 private:
  ConstMatrixF affinity_;
  int64_t problem_stride_;
  const float* second_ = nullptr;
};

/// K = x y', computed strip by strip.
class ProductStrips final : public Strips {
 public:
  /// `buffer` holds [height, y.rows].
  ProductStrips(Context& context, const Embeddings& embeddings, int64_t height, float* buffer)
      : Strips(embeddings.x.rows, height), context_(&context), embeddings_(embeddings), buffer_(buffer) {}
  ConstMatrixF strip(int64_t begin) const override;

 private:
  Context* context_;
  Embeddings embeddings_;
  float* buffer_;
};

/// An affinity in fixed point (kernels/fixed_point.h), decoded strip by strip.
class FixedPointStrips final : public Strips {
 public:
  /// `buffer` holds [height, columns].
  FixedPointStrips(Context& context, const FixedPointMatrix& matrix, int64_t height, float* buffer)
      : Strips(matrix.q.rows(), height), context_(&context), matrix_(matrix), buffer_(buffer) {}
  ConstMatrixF strip(int64_t begin) const override;

 private:
  Context* context_;
  const FixedPointMatrix& matrix_;
  float* buffer_;
};

/// How strips are computed, which decides how high they should be.
enum class StripOrigin { kProduct, kFixedPoint };
/// Rows per strip: `asked`, or if that is 0, as many as fit in cache. A product needs enough rows that
/// reading its right factor costs little compared with the arithmetic, even if the strip then leaves the
/// cache. Throws InvalidArgument if `asked` is negative.
int64_t strip_height(const Context& context, int64_t rows, int64_t cols, StripOrigin origin, int64_t asked);

/// Throws InvalidArgument for options that need a stored affinity: the scaling form and a ladder.
void check_form(const SolveOptions& options);

/// Throws InvalidArgument, with a message that begins with `name`, unless x and y give an affinity [rows,
/// cols].
void check_embeddings(const char* name, const Embeddings& embeddings, int64_t rows, int64_t cols);

}  // namespace sotalign::detail
