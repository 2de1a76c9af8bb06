// One interface to the divergences between a student affinity K and a teacher affinity K*: KLOT (ot/klot.h)
// and, for comparison, InfoNCE (loss/infonce.h) and CKA (loss/cka.h).
//
//   Divergence divergence(context, n, m, {.kind = DivergenceKind::kInfoNce});
//   divergence.run(k, k_teacher, gradient);
//   const double value = divergence.result().value;
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/loss/cka.h"
#include "sotalign/loss/infonce.h"
#include "sotalign/ot/klot.h"

namespace SOTALIGN_API sotalign {

enum class DivergenceKind { kKlot, kInfoNce, kCka };

/// "klot", "infonce", "cka".
std::vector<std::string> divergence_names();
/// Throws InvalidArgument for an unknown name; the message lists the known ones.
DivergenceKind parse_divergence_kind(const std::string& name);
std::string to_string(DivergenceKind kind);

/// Which divergence, and the options of each kind.
struct DivergenceOptions {
  DivergenceKind kind = DivergenceKind::kKlot;
  KlotOptions klot = {};        ///< for KLOT only
  InfoNceOptions infonce = {};  ///< for InfoNCE only; CKA has no options
};

/// The value of a divergence, and for KLOT how its solves ended.
struct DivergenceResult {
  DivergenceKind kind = DivergenceKind::kKlot;
  double value = 0;
  std::optional<KlotResult> klot = std::nullopt;  ///< for KLOT only
};

/// A divergence of affinities [rows, cols]. Runs after the first allocate nothing and copy nothing to the
/// host. The context must outlive it.
class Divergence {
 public:
  /// Throws InvalidArgument for an empty shape and for options out of range.
  Divergence(Context& context, int64_t rows, int64_t cols, const DivergenceOptions& options);
  ~Divergence();
  Divergence(Divergence&&) noexcept;
  Divergence& operator=(Divergence&&) noexcept;

  /// gradient = gradient_scale * dDivergence/dK, [rows, cols]. It may overwrite `student` or `teacher`; if it
  /// is empty (data null), only the value is computed. Queues its work and returns. Throws InvalidArgument if
  /// shapes do not match.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// Waits for the last run and returns its result.
  DivergenceResult result() const;
  DivergenceKind kind() const { return kind_; }

  class Implementation;  // in divergence.cpp

 private:
  DivergenceKind kind_;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sotalign
