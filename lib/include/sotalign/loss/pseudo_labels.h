// Caption-level pseudo-labels (S-CLIP, Mo et al. 2023). An unpaired row has no partner in the other modality,
// but the paired rows near it in its own modality do. Its target is a distribution over the paired rows; the
// loss is the cross-entropy between this target and the softmax of the row's student similarities to the
// partners of the paired rows.
//
//   PseudoLabelTargets targets(context, n, p, {.kind = PseudoLabels::kOt});
//   targets.run(unpaired_images, paired_images, t);           // rows of the frozen encoder
//   cosines of f(unpaired images) and g(paired texts) -> k
//   soft_cross_entropy_of_cosines(context, k, t, log_scale, {}, {.grad_k = k, ...});
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/ot/sinkhorn.h"

namespace SOTALIGN_API sotalign {

/// How the target of an unpaired row is computed.
enum class PseudoLabels {
  kHard,  ///< 1 at the nearest paired row; among equally near ones, at the lowest index
  kSoft,  ///< softmax(cosines / epsilon) along the row
  kOt,    ///< the row of the entropic transport plan between the unpaired and the paired rows of the batch
};

/// "hard", "soft", "ot".
std::vector<std::string> pseudo_label_names();
/// Throws InvalidArgument for an unknown name; the message lists the known ones.
PseudoLabels parse_pseudo_labels(const std::string& name);
std::string to_string(PseudoLabels kind);

/// The settings of PseudoLabelTargets.
struct PseudoLabelOptions {
  PseudoLabels kind = PseudoLabels::kOt;
  double epsilon = 0.01;     ///< > 0; for kSoft and kOt
  int64_t iterations = 100;  ///< for kOt; see SolveOptions
  double tolerance = 1e-6;   ///< for kOt; see SolveOptions
};

/// The targets of `rows` unpaired rows over `cols` paired rows. Runs after the first allocate nothing and
/// copy nothing to the host. The context must outlive it.
class PseudoLabelTargets {
 public:
  /// Throws InvalidArgument for an empty shape and for options out of range.
  PseudoLabelTargets(Context& context, int64_t rows, int64_t cols, const PseudoLabelOptions& options = {});
  /// Bytes that such an object allocates for its vectors.
  static int64_t memory_bytes(int64_t rows, int64_t cols, PseudoLabels kind);
  ~PseudoLabelTargets();
  PseudoLabelTargets(PseudoLabelTargets&&) noexcept;
  PseudoLabelTargets& operator=(PseudoLabelTargets&&) noexcept;

  /// Computes the targets; each row has mass 1. Queues its work and returns. Throws InvalidArgument if shapes
  /// do not match.
  /// @param unpaired [rows, d], finite, unit rows
  /// @param paired [cols, d], finite, unit rows of the same modality
  /// @param targets [rows, cols], output; overlaps neither input
  void run(ConstMatrixF unpaired, ConstMatrixF paired, MatrixF targets);

  /// Waits for the last run and returns how its solve ended; nothing unless the kind is kOt.
  std::optional<SinkhornResult> transport() const;
  PseudoLabels kind() const { return options_.kind; }

 private:
  Context* context_;
  int64_t rows_, cols_;
  PseudoLabelOptions options_;
  std::unique_ptr<detail::SinkhornSolver> solver_;  // for kOt only
  Buffer<float> inverse_epsilon_;                   // [1]
  Buffer<double> log_mass_;                         // [rows], log 1
  Buffer<double> row_, column_;                     // potentials, [rows] and [cols]
};

/// The settings of soft_cross_entropy_of_cosines().
struct SoftCrossEntropyOptions {
  float weight = 1.0f;  ///< multiplies the gradients, not the value
  /// Adds to grad_log_scale instead of overwriting it: several losses share log_scale.
  bool add_grad_log_scale = false;
};

/// Where soft_cross_entropy_of_cosines() writes its results, in the context's memory.
struct SoftCrossEntropyOutput {
  MatrixF grad_k = {};              ///< [rows, cols]; may overwrite K or the targets
  double* value = nullptr;          ///< [1]
  float* grad_log_scale = nullptr;  ///< [1]
};

/// With t = exp(log_scale):  value = -(1/rows) sum_ij T_ij log softmax_j(t K_ij),  and its gradients with
/// respect to K and log_scale. Queues its work and copies nothing to the host. A NaN in K, in the targets or
/// in log_scale makes the value NaN. Throws InvalidArgument if shapes do not match or the weight is not
/// finite.
/// @param k [rows, cols], cosines
/// @param targets [rows, cols], rows of mass 1; treated as constants
/// @param log_scale [1], in the context's memory
void soft_cross_entropy_of_cosines(Context& context, ConstMatrixF k, ConstMatrixF targets,
                                   const float* log_scale, const SoftCrossEntropyOptions& options,
                                   const SoftCrossEntropyOutput& output);

}  // namespace sotalign
