// Linear teachers: projections Wx, Wy fitted on the pairs alone. The teacher affinity
// K*_ij = cosine((x_i - mean_x) Wx, (y_j - mean_y) Wy) is the product of two projected batches.
//
//   Teacher teacher = fit_teacher(context, a, b, {.kind = TeacherKind::kCca, .ridge = 0.1});
//   teacher.project(context, Side::kX, x, px);
//   teacher.project(context, Side::kY, y, py);
//   gemm(context, Op::kNone, Op::kTranspose, 1.0f, px, py, 0.0f, affinity);
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"

namespace SOTALIGN_API sotalign {

enum class TeacherKind {
  kCca,          ///< directions in which the sides agree most relative to their variance; closed form
  kProcrustes,   ///< rotations that give pairs the largest inner products; closed form
  kContrastive,  ///< linear maps without bias, trained with SigLIP on the pairs
};

/// "cca", "procrustes", "contrastive".
std::vector<std::string> teacher_names();
/// Throws InvalidArgument that lists the names.
TeacherKind parse_teacher_kind(const std::string& name);
std::string to_string(TeacherKind kind);

/// The modality that rows belong to: x is the first of the two (images), y the second (texts).
enum class Side { kX, kY };

/// Trains with Lion and a cosine schedule from learning_rate to 0, starting from random maps like those of
/// linear heads. The defaults were chosen on validation pairs of flickr8k and emoji.
struct ContrastiveOptions {
  int64_t steps = 60;
  double learning_rate = 3e-4;
  int64_t batch = 10000;  ///< pairs in a step, at most all
};

/// Cross-validation on the pairs chooses every number that is left open (std::nullopt, "auto" in the
/// program); see search.h. Each kind ignores the numbers of the others.
struct TeacherOptions {
  TeacherKind kind = TeacherKind::kCca;
  /// CCA: added to the eigenvalues of both covariances, whose sum is at most 1 for preprocessed rows. With 0,
  /// directions in which the pairs do not vary are dropped.
  std::optional<double> ridge = 0.1;
  /// Columns k of Wx and Wy; 0 takes as many as the pairs determine, at most 1024. Contrastive: any number, 0
  /// means 1024; cross-validation cannot choose it.
  std::optional<int64_t> dim = 0;
  /// CCA: column i of Wx and Wy is multiplied by correlations[i]^correlation_power. Above 0,
  /// directions with a higher correlation count more in the cosine; use it with a small ridge.
  std::optional<double> correlation_power = 0.0;
  ContrastiveOptions contrastive = {};
  uint64_t seed = 0;  ///< seeds cross-validation's folds, and the contrastive teacher's start and batches
};

/// Two linear maps, one for each modality, into a shared space.
struct Teacher {
  TeacherKind kind = TeacherKind::kCca;
  Buffer<float> mean_x;  ///< [dx], mean of the pairs as given to fit_teacher
  Buffer<float> mean_y;  ///< [dy]
  Matrix<float> wx;      ///< [dx, k]
  Matrix<float> wy;      ///< [dy, k]
  /// [k], descending: canonical correlations, for Procrustes the singular values of A0'B0; else empty.
  std::vector<double> correlations;

  int64_t dim() const { return wx.cols(); }

  /// out_i = (x_i - mean) W scaled to unit length, 0 where that is 0. x [rows, dx or dy], out [rows, k],
  /// disjoint. Throws InvalidArgument when the shapes do not fit.
  void project(Context& context, Side side, ConstMatrixF x, MatrixF out) const;
};

/// Fits a teacher on pairs: row i of a [p, dx] belongs to row i of b [p, dy], both preprocessed. First calls
/// search_teacher() if a number is left open.
///
/// CCA and Procrustes: all steps in double; the peak is about three double matrices [p, d] and four
/// [min(p, d), d], LAPACK's scratch included, d the larger of dx, dy. k is at most min(dx, dy, p - 1) and the
/// numerical rank of the cross-covariance. Contrastive: float; a step allocates nothing and waits for
/// nothing.
///
/// Throws InvalidArgument for a larger options.dim, other bad options, fewer than two pairs, unequal numbers
/// of rows, entries that are not finite, and pairs without common variation; NumericalError if the
/// contrastive loss is not finite.
Teacher fit_teacher(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options = {});

}  // namespace sotalign
