// Linear teachers: projections Wx, Wy fitted to the pairs alone. The teacher affinity
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
#include "sotalign/core/side.h"

namespace SOTALIGN_API sotalign {

enum class TeacherKind {
  kCca,          ///< directions of maximal correlation between the sides; closed form
  kProcrustes,   ///< rotations that maximize the inner products of pairs; closed form
  kContrastive,  ///< linear maps without bias, trained with SigLIP on the pairs
  /// CCA, fitted again to soft matches of unpaired rows; see self_training.h. Only an option: the teacher
  /// that it gives has kind kCca, and fit_teacher(), which sees no unpaired rows, refuses it.
  kSelfTraining,
  kAuto,  ///< CCA or self-training, by their scores; see choice.h. Likewise only an option.
};

/// "cca", "procrustes", "contrastive", "self_training", "auto".
std::vector<std::string> teacher_names();
/// Throws InvalidArgument, listing the names, for an unknown one.
TeacherKind parse_teacher_kind(const std::string& name);
std::string to_string(TeacherKind kind);

/// Trains with Lion and a cosine schedule from learning_rate to 0, from random weights like those of linear
/// heads. Defaults chosen on validation pairs of flickr8k and emoji.
struct ContrastiveOptions {
  int64_t steps = 60;
  double learning_rate = 3e-4;
  int64_t batch = 10000;  ///< pairs per step, capped at the number of pairs
};

/// Cross-validation on the pairs chooses every option left open (std::nullopt, "auto" in the program); see
/// search.h. Each kind ignores the options of the others.
struct TeacherOptions {
  TeacherKind kind = TeacherKind::kCca;
  /// CCA: added to the eigenvalues of both covariances, whose sum is at most 1 for preprocessed rows. 0 is
  /// allowed: directions in which the pairs do not vary are dropped.
  std::optional<double> ridge = 0.1;
  /// Columns k of Wx and Wy; 0 takes as many as the pairs determine, at most 1024. Contrastive: any number, 0
  /// means 1024; cross-validation cannot choose it.
  std::optional<int64_t> dim = 0;
  /// CCA: scales column i of Wx and Wy by correlations[i]^correlation_power. Above 0, directions with a
  /// higher correlation count more in the cosine; combine it with a small ridge.
  std::optional<double> correlation_power = 0.0;
  ContrastiveOptions contrastive = {};
  uint64_t seed = 0;  ///< for the cross-validation folds and the contrastive teacher's weights and batches
};

/// Two linear maps, one per modality, into a shared space.
struct Teacher {
  TeacherKind kind = TeacherKind::kCca;
  Buffer<float> mean_x;  ///< [dx], mean of the pairs given to fit_teacher()
  Buffer<float> mean_y;  ///< [dy]
  Matrix<float> wx;      ///< [dx, k]
  Matrix<float> wy;      ///< [dy, k]
  /// [k], descending: canonical correlations (CCA) or singular values of A0'B0 (Procrustes); else empty.
  std::vector<double> correlations;

  int64_t dim() const { return wx.cols(); }

  /// out_i = (x_i - mean) W, scaled to unit length; zero rows stay zero. x [rows, dx or dy] and out [rows, k]
  /// must not overlap. Throws InvalidArgument if the shapes do not match.
  void project(Context& context, Side side, ConstMatrixF x, MatrixF out) const;
};

/// Fits a teacher to pairs: row i of a [p, dx] and row i of b [p, dy], both preprocessed. Calls
/// search_teacher() first if any option is open.
///
/// CCA and Procrustes: double precision throughout; peak memory is about three double matrices [p, d] and
/// four [min(p, d), d], including LAPACK's scratch, with d = max(dx, dy). k is at most min(dx, dy, p - 1) and
/// at most the numerical rank of the cross-covariance. Contrastive: float; a step neither allocates nor
/// synchronizes.
///
/// Throws InvalidArgument for a larger options.dim, other invalid options, fewer than two pairs, different
/// numbers of rows, non-finite entries, and pairs without common variation; NumericalError if the contrastive
/// loss is not finite.
Teacher fit_teacher(Context& context, ConstMatrixF a, ConstMatrixF b, const TeacherOptions& options = {});

}  // namespace sotalign
