// Divergences between a student affinity K and a teacher affinity K*, chosen by name: KLOT (ot/klot.h) and,
// for comparison, InfoNCE (loss/infonce.h) and CKA (loss/cka.h).
//
//   const auto divergence = make_divergence(context, n, m, {.name = "infonce"});
//   divergence->run(k, k_teacher, gradient);
//   const double value = divergence->result().value;
//
// A divergence of your own derives from Divergence. Once it is registered, trainers and programs know it:
//
//   register_divergence({.name = "mine", .title = "Mine", .summary = "squared differences",
//                        .make = [](Context& context, int64_t rows, int64_t cols, const DivergenceOptions&) {
//                          return std::make_unique<Mine>(context, rows, cols);
//                        }});
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/core/option.h"
#include "sotalign/ot/embeddings.h"
#include "sotalign/ot/klot.h"
#include "sotalign/ot/klot_memory.h"

namespace SOTALIGN_API sotalign {

/// Which divergence, and its options. Each divergence ignores what it does not use.
struct DivergenceOptions {
  std::string name = "klot";
  /// KLOT: entropic regularisation of the student's and the teacher's plan. InfoNCE: softmax temperatures.
  double epsilon_student = 0.05;
  double epsilon_teacher = 0.01;
  /// For divergences that solve transport problems; see KlotOptions.
  Symmetrize symmetrize = Symmetrize::kYes;
  SolveOptions student = {}, teacher = {};
  OptionValues values = {};  ///< options that DivergenceInfo::options declares

  /// The part that KLOT uses.
  KlotOptions klot() const {
    return {.epsilon_student = epsilon_student,
            .epsilon_teacher = epsilon_teacher,
            .symmetrize = symmetrize,
            .student = student,
            .teacher = teacher};
  }
};

/// The value of a divergence, and for KLOT how its solves ended.
struct DivergenceResult {
  std::string name;  ///< "klot"
  double value = 0;
  std::optional<KlotResult> klot = std::nullopt;  ///< for KLOT only
};

/// A divergence of affinities of one shape [rows, cols]. Runs after the first allocate nothing and copy
/// nothing to the host.
class Divergence {
 public:
  virtual ~Divergence() = default;

  /// gradient = gradient_scale * dDivergence/dK, [rows, cols]. It may overwrite `student` or `teacher`; if it
  /// is empty (data null), only the value is computed. Queues its work and returns. Throws InvalidArgument if
  /// shapes do not match.
  virtual void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient,
                   double gradient_scale = 1.0) = 0;

  /// Waits for the last run and returns its result.
  virtual DivergenceResult result() const = 0;
};

/// A divergence of the affinities K = X Y' and K* = X* Y*' of embeddings, for batches of one shape. Runs
/// after the first allocate nothing.
class EmbeddingDivergence {
 public:
  virtual ~EmbeddingDivergence() = default;

  /// dx = gradient_scale * dDivergence/dX, [rows, d], and dy = gradient_scale * dDivergence/dY, [cols, d].
  /// Neither may overlap any embeddings. Throws InvalidArgument if shapes do not match.
  virtual void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
                   double gradient_scale = 1.0) = 0;

  /// Says that all later runs have the same teacher's embeddings, so that what depends on them alone may be
  /// computed once. Changes no bit of a result.
  virtual void keep_teacher() {}

  /// Waits for the last run and returns its result.
  virtual DivergenceResult result() const = 0;
};

/// What the library knows about a divergence.
struct DivergenceInfo {
  std::string name;     ///< "klot", as in options, metrics and checkpoints
  std::string title;    ///< "KLOT"
  std::string summary;  ///< what it compares, for help texts: "transport plans"
  bool uses_epsilons = false;
  bool uses_solver = false;  ///< solves transport problems
  std::vector<OptionInfo> options = {};
  /// Makes a divergence of affinities [rows, cols]. Throws InvalidArgument for an empty shape and for options
  /// out of range. The context outlives the divergence.
  std::function<std::unique_ptr<Divergence>(Context&, int64_t rows, int64_t cols, const DivergenceOptions&)>
      make;
  /// Makes one of embeddings that can do without stored affinities. Without this function, both affinities
  /// are stored and given to the divergence above.
  std::function<std::unique_ptr<EmbeddingDivergence>(Context&, int64_t rows, int64_t cols,
                                                     const DivergenceOptions&, KlotMemory)>
      make_on_embeddings = nullptr;
};

/// Adds a divergence. Register before other threads use the library. Throws InvalidArgument for an incomplete
/// entry, a name that is taken, and an option that another divergence declares differently.
void register_divergence(DivergenceInfo info);
/// "klot", "infonce", "cka", then the registered ones.
std::vector<std::string> divergence_names();
/// Throws InvalidArgument, listing the names, for an unknown one. The reference stays valid.
const DivergenceInfo& find_divergence(const std::string& name);

/// The value of an option that a divergence declares: the given one, else its default. T is int64_t, double
/// or std::string. Throws InvalidArgument for an unknown key or another type.
template <class T>
T divergence_option(const DivergenceOptions& options, const std::string& key);

/// Throws InvalidArgument for an unknown name, unknown options, an empty shape and options out of range. The
/// context must outlive the divergence.
std::unique_ptr<Divergence> make_divergence(Context& context, int64_t rows, int64_t cols,
                                            const DivergenceOptions& options);
/// The same for embeddings. Only divergences with make_on_embeddings look at `memory`; others store their
/// affinities, 8 bytes per entry.
std::unique_ptr<EmbeddingDivergence> make_embedding_divergence(Context& context, int64_t rows, int64_t cols,
                                                               const DivergenceOptions& options,
                                                               KlotMemory memory = KlotMemory::kStored);

}  // namespace sotalign
