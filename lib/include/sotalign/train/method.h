// Training methods: SOTAlign and the baselines. All of them train the heads f and g with SigLIP on the pairs
// (A, B) of a batch; they differ in how they use the batch's unpaired images X and texts Y.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/loss/pseudo_labels.h"

namespace SOTALIGN_API sotalign {

enum class Method {
  /// SigLIP + klot_weight KLOT(K[f(X), g(Y)] || K*[X, Y]), with the teacher's affinity K*; see
  /// train/trainer.h.
  kSotalign,
  /// SigLIP alone, without unpaired rows.
  kSail,
  /// SigLIP with the unpaired rows as additional negatives: [A; X] against [B; Y].
  kSailSemi,
  /// SigLIP + weight/2 (J(A, f(A)) + J(B, g(B))), where J is the divergence between a batch's neighbourhoods
  /// in the encoder's space and in the shared space (loss/structure.h).
  kStructure,
  /// SigLIP + weight/2 (J([A; X], f([A; X])) + J([B; Y], g([B; Y]))).
  kStructureSemi,
  /// SigLIP + image_weight SigLIP(f(N(A)), g(B)) + text_weight SigLIP(f(A), g(N(B))), where N replaces each
  /// row by a random one of its nearest unpaired rows in the encoder's space.
  kNnclr,
  /// SigLIP + weight/2 (mean over X of CE(T, softmax(t f(X) g(B)')) + the same for Y over A), with SigLIP's
  /// logit scale t and pseudo-labels T from the similarities of X and A in the encoder's space
  /// (loss/pseudo_labels.h).
  kSclip,
};

/// "sotalign", "sail", "sail_semi", "structure", "structure_semi", "nnclr", "sclip".
std::vector<std::string> method_names();
/// Throws InvalidArgument, listing the names, for an unknown one.
Method parse_method(const std::string& name);
std::string to_string(Method method);
/// The method's name in publications: "SOTAlign", "SAIL semi", "S-CLIP".
std::string title(Method method);
/// Whether the method needs unpaired images and texts.
bool needs_unpaired(Method method);

/// Options of kStructure and kStructureSemi.
struct StructureMethod {
  double weight = 10.0;
  double temperature = 0.07;  ///< softmax temperature, > 0
  /// Steps of linear warmup: step = 0, 1, ... uses weight (step + 1) / warmup_steps.
  int64_t warmup_steps = 0;
};

/// Options of kNnclr.
struct NnclrMethod {
  int64_t neighbours = 5;  ///< candidates per row, at most the number of unpaired rows
  double image_weight = 1.0, text_weight = 1.0;
};

/// Options of kSclip.
struct SclipMethod {
  double weight = 1.0;
  PseudoLabels labels = PseudoLabels::kOt;
  double epsilon = 0.05;  ///< regularization of the plan or softmax temperature, > 0; hard labels ignore it
};

}  // namespace sotalign
