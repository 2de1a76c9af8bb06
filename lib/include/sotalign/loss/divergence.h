// The divergences between a student affinity K and a teacher affinity K* under one interface: KLOT
// (ot/klot.h) and, to compare it with, InfoNCE (loss/infonce.h) and CKA (loss/cka.h).
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
/// Throws InvalidArgument that lists the names.
DivergenceKind parse_divergence_kind(const std::string& name);
std::string to_string(DivergenceKind kind);

/// Which divergence, and the options of each kind.
struct DivergenceOptions {
  DivergenceKind kind = DivergenceKind::kKlot;
  KlotOptions klot = {};        ///< of KLOT alone
  InfoNceOptions infonce = {};  ///< of InfoNCE alone; CKA has no options
};

/// The value of a divergence.
struct DivergenceResult {
  DivergenceKind kind = DivergenceKind::kKlot;
  double value = 0;
  std::optional<KlotResult> klot = std::nullopt;  ///< the solves of KLOT
};

/// For affinities [rows, cols]. Sized once: further runs allocate nothing and copy nothing to the host. The
/// context outlives it.
class Divergence {
 public:
  /// Throws InvalidArgument for options and shapes that do not fit.
  Divergence(Context& context, int64_t rows, int64_t cols, const DivergenceOptions& options);
  ~Divergence();
  Divergence(Divergence&&) noexcept;
  Divergence& operator=(Divergence&&) noexcept;

  /// gradient = gradient_scale * dDivergence/dK, [rows, cols]; it may be the memory of `student` or of
  /// `teacher`, and an empty view (data null) asks for the value alone. Queued, not waited for. Throws
  /// InvalidArgument for shapes that do not fit.
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale = 1.0);

  /// Of the last run; waits for it.
  DivergenceResult result() const;
  DivergenceKind kind() const { return kind_; }

  class Implementation;  // in divergence.cpp

 private:
  DivergenceKind kind_;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sotalign
