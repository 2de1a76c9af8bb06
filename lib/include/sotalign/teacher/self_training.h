// Self-training of the CCA teacher by optimal transport: each pass matches unpaired rows of both sides by an
// entropic plan of the teacher's affinity, and fits the teacher again to the pairs and these soft matches.
//
//   SelfTraining training(context, a, b, x, y, {.passes = 12});
//   while (!training.finished()) training.pass();
//   training.teacher().project(context, Side::kX, rows, projected);
//
// With pairs A [p, dx], B [p, dy], unpaired rows X [nx, dx], Y [ny, dy], A0, B0, X0, Y0 the same less their
// means, and lam = c N / (p + c N), N = min(nx, ny), a pass computes from n rows of each side
//   K   = cosines of the rows projected by the current teacher
//   P   = Sinkhorn plan of K, uniform weights, total mass 1
//   Rxx, Ryy, Rxy <- (1 - rate) (Rxx, Ryy, Rxy) + rate (X0'X0 / n, Y0'Y0 / n, X0' P Y0)
//   Sxx = (1 - lam) A0'A0 / p + lam Rxx,  Syy likewise,  Sxy = (1 - lam) A0'B0 / p + lam Rxy
//   M   = (Sxx + ridge)^-1/2 Sxy (Syy + ridge)^-1/2 = U S V'
//   Wx  = (Sxx + ridge)^-1/2 U diag(S^power),  Wy = (Syy + ridge)^-1/2 V diag(S^power)
// and keeps the first dim columns of both.
// The first pass starts from CCA of the pairs and sets R. Covariances come from the rows that supply the
// cross-covariance, because their errors then cancel: covariances of all rows give a worse teacher.
//
// Self-training pays where pairs are few and unpaired rows many. It may lose to its first teacher where there
// are about 1000 pairs, where the ridge does not suit the data, or with many near-duplicates: compare both on
// validation pairs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sotalign/nn/row_set.h"
#include "sotalign/ot/sinkhorn.h"
#include "sotalign/teacher/teacher.h"

namespace SOTALIGN_API sotalign {

/// How a pass holds its affinity [n, m].
enum class PlanMemory {
  kAuto,    ///< stored up to 2^27 entries, else streamed: a function of the shape alone, as bits depend on it
  kStored,  ///< in float32, with the density of the scaling form: 8 bytes per entry
  kStreamed,  ///< not at all: every iteration computes the product again, strip by strip
};

/// The settings of SelfTraining. Defaults chosen on flickr8k, flickr8k_eff and wordnet with 100 pairs.
struct SelfTrainingOptions {
  int64_t passes = 12;
  int64_t batch = 2500;          ///< unpaired rows of each side in a pass; all of a side if it has fewer
  double unpaired_weight = 0.3;  ///< c: how many pairs an unpaired row counts for; 0 ignores unpaired rows
  double rate = 0.5;             ///< in (0, 1], weight of the latest pass in the running averages
  double epsilon = 0.05;         ///< of the plan, in units of cosines
  SolveOptions solve = {.iterations = 500, .tolerance = 1e-3};
  double ridge = 0.01;  ///< added to the eigenvalues of Sxx and Syy; see TeacherOptions::ridge
  double correlation_power = 0.5;
  int64_t dim = 512;  ///< most columns of Wx and Wy; the rank limits them, too. 0: at most 1024
  /// Above 0, finished() is also true once the change of a pass is at most this (see PassReport::change).
  /// With fresh rows in every pass the change settles at a value above 0, which depends on batch and rate.
  double change_tolerance = 0;
  PlanMemory memory = PlanMemory::kAuto;
  int64_t strip_rows = 0;  ///< of a streamed affinity; 0 picks a height that suits the device
  uint64_t seed = 0;       ///< decides which rows a pass draws
  bool operator==(const SelfTrainingOptions&) const = default;
};

/// The options with the ridge, power and seed of a teacher, and its dimension unless that is 0. Throws
/// std::bad_optional_access if one of them is open.
SelfTrainingOptions with_teacher_options(SelfTrainingOptions options, const TeacherOptions& teacher);

/// The same options, with the kind kCca, the first teacher, in place of kSelfTraining and kAuto.
TeacherOptions first_teacher_options(TeacherOptions options);

/// What a pass did.
struct PassReport {
  int64_t pass = 0;         ///< counted from 1; 0 means that there was none
  SinkhornResult sinkhorn;  ///< iterations, marginal errors and status of the solve
  /// <P, K> + epsilon H(P), H(P) = -sum P log P, by its dual -epsilon (mean u + mean v); equal at
  /// convergence.
  double transport = 0;
  /// exp(mean entropy of a row of the plan, scaled to sum 1): between 1, a matching, and the number of
  /// columns. Measured on the first 256 rows of the batch, or on the first strip if that has fewer.
  double effective_matches = 0;
  double correlation_sum = 0;  ///< sum of the new teacher's canonical correlations
  /// |K_new - K_old| / max(|K_new|, |K_old|), Frobenius norms, of the first 256 x 256 rows of the batch under
  /// the new and the old teacher: 0 if nothing changed, at most 2. Rotations of the shared space do not
  /// count. Its cost does not grow with the batch.
  double change = 0;
};

/// Runs self-training pass by pass. The context must outlive it.
///
/// A pass allocates and synchronizes. With n rows of each side and k columns of the teacher it takes about
/// n^2 (k + dy) + n (dx^2 + dy^2 + dx dy) + 10 (dx^3 + dy^3) multiplications. Between passes, the object
/// holds the covariances of the pairs and the running averages in double: [dx, dx], [dy, dy] and [dx, dy] of
/// each. Where a pass takes all rows of a side, their covariance is computed once, and its inverse Cholesky
/// factor kept, too: [dx, dx] or [dy, dy]. A pass needs about as much again, n rows of both sides three times
/// over, and the affinity (see PlanMemory).
///
/// Deterministic: the same inputs, options, device and number of threads give the same bits.
class SelfTraining {
 public:
  /// Fits the first teacher, CCA of the pairs: row i of pairs_x [p, dx] and row i of pairs_y [p, dy]. All
  /// rows are preprocessed (see preprocess()).
  /// @param unpaired_x [nx, dx], streamed or in the context's memory, which must stay valid and unchanged
  /// @param unpaired_y [ny, dy], likewise; in any order
  /// Throws InvalidArgument for shapes that do not match, fewer than two pairs, no unpaired rows, entries
  /// that are not finite, pairs without common variation, options out of range, and for streamed affinities
  /// with the scaling form or a ladder.
  SelfTraining(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y, const RowSet& unpaired_x,
               const RowSet& unpaired_y, const SelfTrainingOptions& options = {});
  ~SelfTraining();
  SelfTraining(SelfTraining&&) noexcept;
  SelfTraining& operator=(SelfTraining&&) noexcept;

  /// Runs one pass, also after finished(). Seed and pass alone decide which rows it draws: without
  /// replacement, and rows repeat only once fewer than `batch` rows of their side are left. A solve that
  /// misses its tolerance is no error: see last().sinkhorn.status. Throws NumericalError if the solve or a
  /// decomposition diverges; teacher() and last() are then those of the previous pass, and further passes are
  /// not meaningful.
  void pass();
  int64_t passes_done() const;
  /// Whether options.passes are done, or the change has fallen to options.change_tolerance.
  bool finished() const;
  /// The report of the last pass.
  const PassReport& last() const;

  /// The teacher of the last pass. Its kind is kCca, so that models are saved and read as before; its means
  /// are those of the pairs before the first pass, then (1 - lam) mean of the pairs + lam mean of all
  /// unpaired rows.
  const Teacher& teacher() const;
  /// Hands the teacher over and ends the training: only destruction and assignment are valid afterwards.
  Teacher take_teacher();
  /// lam, in [0, 1]: the share of unpaired rows in the covariances.
  double unpaired_share() const;

  /// Everything that changes from pass to pass: "report" (the last one), and after the first pass "xx"
  /// [dx * dx], "yy" [dy * dy] and "xy" [dx * dy], the running averages R.
  std::map<std::string, std::vector<double>> state() const;
  /// Continues from a state, in a new object with the same inputs and options: the following passes give the
  /// same bits as without the interruption. Throws InvalidArgument, and changes nothing, for a state that
  /// does not fit, and if this object has done a pass.
  void restore(const std::map<std::string, std::vector<double>>& state);

 private:
  class Implementation;  // in lib/src/teacher/self_training
  std::unique_ptr<Implementation> implementation_;
};

/// Runs SelfTraining to its end and returns the teacher.
Teacher self_train(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y, const RowSet& unpaired_x,
                   const RowSet& unpaired_y, const SelfTrainingOptions& options = {});

}  // namespace sotalign
