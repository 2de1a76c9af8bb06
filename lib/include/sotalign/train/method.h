// The methods of training: SOTAlign, and the baselines that it is compared with. In each of them the heads f
// and g learn from SigLIP on the pairs (A, B) of a batch. They differ in how they use the batch's unpaired
// images X and texts Y.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/loss/pseudo_labels.h"

namespace SOTALIGN_API sotalign {

enum class Method {
  /// SigLIP + klot_weight KLOT(K[f(X), g(Y)] || K*[X, Y]), K* the teacher's; see train/trainer.h.
  kSotalign,
  /// SigLIP alone: no unpaired rows.
  kSail,
  /// SigLIP with the unpaired rows as further negatives: [A; X] against [B; Y].
  kSailSemi,
  /// SigLIP + weight/2 (J(A, f(A)) + J(B, g(B))), J the distance between the neighbourhoods of a batch's
  /// rows in the shared space and those in the encoder's space (loss/structure.h).
  kStructure,
  /// SigLIP + weight/2 (J([A; X], f([A; X])) + J([B; Y], g([B; Y]))).
  kStructureSemi,
  /// SigLIP + image_weight SigLIP(f(N(A)), g(B)) + text_weight SigLIP(f(A), g(N(B))), N(.) a random one of
  /// each row's nearest unpaired rows in the encoder's space.
  kNnclr,
  /// SigLIP + weight/2 (mean over X of CE(T, softmax(t f(X) g(B)')) + the same of Y over A), t the scale of
  /// SigLIP and T labels computed from the similarities of X and A in the encoder's space
  /// (loss/pseudo_labels.h).
  kSclip,
};

/// "sotalign", "sail", "sail_semi", "structure", "structure_semi", "nnclr", "sclip".
std::vector<std::string> method_names();
/// Throws InvalidArgument that lists the names.
Method parse_method(const std::string& name);
std::string to_string(Method method);
/// Its name in publications: "SOTAlign", "SAIL semi", "S-CLIP".
std::string title(Method method);
/// Whether it requires unpaired images and texts.
bool needs_unpaired(Method method);

/// Options of kStructure and kStructureSemi.
struct StructureMethod {
  double weight = 10.0;
  double temperature = 0.07;  ///< of the softmaxes, > 0
  /// Steps in which the weight rises linearly: weight (step + 1) / warmup_steps.
  int64_t warmup_steps = 0;
};

/// Options of kNnclr.
struct NnclrMethod {
  int64_t neighbours = 5;  ///< candidates for each row, at most the number of unpaired rows
  double image_weight = 1.0, text_weight = 1.0;
};

/// Options of kSclip.
struct SclipMethod {
  double weight = 1.0;
  PseudoLabels labels = PseudoLabels::kOt;
  double epsilon = 0.05;  ///< of the plan or the softmax, > 0; hard labels do not use it
};

}  // namespace sotalign
