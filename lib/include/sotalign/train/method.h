// Training methods by name: SOTAlign, the baselines, and self-training. All but the last train the heads f
// and g with SigLIP on the pairs (A, B) of a batch; they differ in how they use the batch's unpaired images X
// and texts Y.
//
// A method of your own is an Objective (train/objective.h). Once it is registered, trainers and programs know
// it, and its options:
//
//   register_method({.name = "mine", .title = "Mine", .needs_unpaired = true,
//                    .options = {{.key = "mine_weight", .help = "weight of my term", .initial = 1.0}},
//                    .make = [](const ObjectiveSetup& setup) { return std::make_unique<Mine>(setup); }});
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sotalign/core/context.h"
#include "sotalign/core/option.h"

namespace SOTALIGN_API sotalign {

class Objective;
class UnpairedRows;
struct ObjectiveSetup;
struct TrainingData;
struct TrainOptions;
struct TrainingPlan;
struct UnpairedSetup;

/// What the library knows about a method.
struct MethodInfo {
  std::string name;             ///< "sail_semi", as in options, metrics and checkpoints
  std::string title;            ///< its name in publications: "SAIL semi"
  bool needs_unpaired = false;  ///< unpaired images and texts
  /// What Initialization::kAuto chooses where the heads allow it. Only for such methods does
  /// TeacherKind::kAuto compare teachers; for the others it is kCca.
  bool starts_from_teacher = false;
  std::vector<OptionInfo> options = {};  ///< besides those of TrainOptions; read them with method_option()
  /// Makes the loss.
  std::function<std::unique_ptr<Objective>(const ObjectiveSetup&)> make;
  /// Chooses the unpaired rows of each step. Without this function they are random batches, or none if the
  /// method needs none.
  std::function<std::unique_ptr<UnpairedRows>(const UnpairedSetup&)> make_unpaired = nullptr;
  /// Throws InvalidArgument for options that do not fit each other or the data. Each value's type and range
  /// is already checked.
  std::function<void(Context&, const TrainingData&, const TrainOptions&)> check = nullptr;
  /// What follows the title in a run's heading: "weight 10". Without this function, nothing does.
  std::function<std::string(const TrainOptions&)> describe = nullptr;
  /// Whether Objective::run() sets the heads' weights itself, without gradients. The trainer then makes no
  /// batches and no updates: a Step has no rows, and may allocate and synchronize.
  bool closed_form = false;
  /// Sets options that follow from others, such as steps and dim, for embeddings of these dimensions.
  std::function<void(TrainOptions&, int64_t image_dim, int64_t text_dim)> resolve = nullptr;
  /// Adds the objective's buffers and products to a plan (train/plan.h) whose step and options are set.
  /// Without this function, plans do not know them.
  std::function<void(const Context&, TrainingPlan&)> plan = nullptr;
  /// Sets the unpaired rows of a step of the plan, and adds the buffers of make_unpaired.
  std::function<void(TrainingPlan&)> plan_unpaired = nullptr;
  /// The name of the method that takes this one's place for some options, else this one's name.
  std::function<std::string(const TrainOptions&)> instead = nullptr;
};

/// Adds a method. Register before other threads use the library. Throws InvalidArgument for an incomplete
/// entry, a name that is taken, and an option that another method declares differently.
void register_method(MethodInfo info);

/// The built-in methods, in this order, then the registered ones:
///   sotalign        SigLIP + divergence_weight D(K[f(X), g(Y)] || K*[X, Y]), with the teacher's affinity K*
///                   and a divergence D, by default KLOT; see train/trainer.h. Weight 0 is sail.
///   sail            SigLIP alone, without unpaired rows.
///   sail_semi       SigLIP with the unpaired rows as additional negatives: [A; X] against [B; Y].
///   structure       SigLIP + weight/2 (J(A, f(A)) + J(B, g(B))), where J is the divergence between a batch's
///                   neighbourhoods in the encoder's space and in the shared space (loss/structure.h).
///   structure_semi  SigLIP + weight/2 (J([A; X], f([A; X])) + J([B; Y], g([B; Y]))).
///   nnclr           SigLIP + image_weight SigLIP(f(N(A)), g(B)) + text_weight SigLIP(f(A), g(N(B))), where N
///                   replaces each row by a random one of its nearest unpaired rows in the encoder's space.
///   sclip           SigLIP + weight/2 (mean over X of CE(T, softmax(t f(X) g(B)')) + the same for Y over A),
///                   with SigLIP's logit scale t and pseudo-labels T from the similarities of X and A in the
///                   encoder's space (loss/pseudo_labels.h).
///   self_training   No gradients: the heads are the maps of the self-trained teacher, and a step is a pass
///                   (teacher/self_training.h).
std::vector<std::string> method_names();
/// Throws InvalidArgument, listing the names, for an unknown one. The reference stays valid.
const MethodInfo& find_method(const std::string& name);
/// The method that trains with these options: options.method, or what it names in its place (see
/// MethodInfo::instead). Throws InvalidArgument for an unknown one.
const MethodInfo& effective_method(const TrainOptions& options);

/// The options of all methods, each once, in the order of the methods.
std::vector<OptionInfo> declared_method_options();
/// The value of an option that a method declares: the one in options.method_options, else its default. T is
/// int64_t, double or std::string. Throws InvalidArgument for an unknown key or another type.
template <class T>
T method_option(const TrainOptions& options, const std::string& key);
/// Checks options.method_options: throws InvalidArgument for unknown keys, wrong types and values out of
/// range.
void check_method_options(const TrainOptions& options);

}  // namespace sotalign
