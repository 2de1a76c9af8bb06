// Training of the alignment heads (Algorithm 1 of the paper):
//   loss = SigLIP(pairs) + klot_weight * KLOT(K[f(Xb), g(Yb)] || K*[Xb, Yb])
// on the pairs and on unpaired images Xb and texts Yb that are sampled independently of each other. With
// klot_weight 0 this is SAIL, the supervised baseline: the unpaired rows are then used for the means alone.
// Another divergence (loss/divergence.h) may take the place of KLOT, and another method (train/method.h) that
// of the whole.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sotalign/eval/retrieval.h"
#include "sotalign/loss/divergence.h"
#include "sotalign/optim/optimizer.h"
#include "sotalign/optim/schedule.h"
#include "sotalign/ot/embedding_klot.h"
#include "sotalign/sampling/batch_sampler.h"
#include "sotalign/teacher/search.h"
#include "sotalign/train/method.h"
#include "sotalign/train/model.h"

namespace sotalign::detail {
struct AllRows;
class Objective;     // the loss of a method
class UnpairedRows;  // the unpaired rows of its steps
}  // namespace sotalign::detail

namespace SOTALIGN_API sotalign {

/// Raw embeddings on the host, float32; the trainer copies them to the device.
struct TrainingData {
  ConstMatrixF pair_images, pair_texts;  ///< [p, dx], [p, dy], row i belongs to row i, p >= 2
  ConstMatrixF images = {}, texts = {};  ///< unpaired, [nx, dx], [ny, dy]; may be empty only if
                                         ///< needs_unpaired() is false
  ConstMatrixF validation_images = {},
               validation_texts = {};  ///< pairs that are not trained on; may be empty
};

/// A checksum of each matrix's shape and rows, in order, under the key of the program's option for it
/// ("pairs_images"). Checkpoints and sweeps compare them to detect other data.
std::map<std::string, std::string> checksums_of(const TrainingData& data);

/// Where the weights of the heads start.
enum class Initialization {
  /// From the teacher if the method is SOTAlign with klot_weight > 0, the heads are linear or residual and
  /// `dim` is 0; else random: the baselines know no teacher.
  kAuto,
  kRandom,  ///< as PyTorch's nn.Linear: uniform with bound 1 / sqrt(in)
  /// The heads are the teacher's projections, so training begins with its cosines: linear heads, and residual
  /// ones, whose last layer then starts at zero.
  kTeacher,
};

/// The defaults were chosen on validation pairs of flickr8k (500 pairs, 3700 unpaired) and emoji (200, 911);
/// see the README. With many more pairs and rows, more steps and larger batches pay: the paper takes 2000
/// steps of up to 32k rows.
struct TrainOptions {
  Method method = Method::kSotalign;
  /// Its seed is the one below.
  TeacherOptions teacher = {.ridge = 0.01, .correlation_power = 0.5};
  Initialization initialization = Initialization::kAuto;
  int64_t dim = 0;  ///< of the shared space; 0: the teacher's if the heads start from it, else 1024
  std::vector<int64_t> hidden = {};  ///< hidden layers of both heads; none: linear heads
  Activation activation = Activation::kGelu;
  bool residual = false;  ///< a linear map around the hidden layers, see HeadOptions
  int64_t steps = 60;
  ScheduleOptions schedule = {.peak = 3e-4};
  double image_rate = 1.0, text_rate = 1.0;  ///< learning rate of a side's head, in units of the schedule's
  OptimizerOptions optimizer = {};
  int64_t batch_pairs = 10000;    ///< pairs in a step, at most all
  int64_t batch_unpaired = 1200;  ///< unpaired images, and as many texts, in a step; at most all
  /// Between the affinities of the unpaired rows, the learned and the teacher's.
  DivergenceKind divergence = DivergenceKind::kKlot;
  /// Of the divergence, whichever it is; the default suits KLOT. KLOT's is alpha of the paper times the
  /// batch: plans have mass 1 here, rows of mass 1 there. The paper's 1e-3, 1e-4 and 1e-5 with 22,000 rows
  /// are 22, 2.2 and 0.22.
  double klot_weight = 30.0;
  /// InfoNCE takes the epsilons, its temperatures, from here, too; CKA has no options.
  KlotOptions klot = {.epsilon_student = 0.1,
                      .epsilon_teacher = 0.02,
                      .student = {.tolerance = 1e-3},
                      .teacher = {.tolerance = 1e-3}};
  /// How KLOT holds its affinities. None: the fastest way that fits into klot_memory_mib. The other
  /// divergences store theirs in 8 bytes a pair of rows, and an option that forbids this is refused.
  std::optional<KlotMemory> klot_memory = std::nullopt;
  double klot_memory_mib = 0;  ///< 0: seven eighths of what is free when the trainer is made
  StructureMethod structure = {};
  NnclrMethod nnclr = {};
  SclipMethod sclip = {};
  uint64_t seed = 0;
};

/// The method that these options amount to: SOTAlign with klot_weight 0 is SAIL.
Method effective_method(const TrainOptions& options);

/// A term that a method adds to SigLIP: weight * value joins the loss.
struct TermValue {
  std::string name;
  double value = 0, weight = 0;
};

/// Metrics of one step, computed with the weights before its update.
struct StepMetrics {
  int64_t step = 0;  ///< counted from 1
  double loss = 0, siglip = 0;
  double learning_rate = 0;
  double logit_scale = 0, logit_bias = 0;
  std::optional<DivergenceResult> divergence = std::nullopt;  ///< of SOTAlign, with klot_weight
  std::vector<TermValue> terms = {};                          ///< of other methods
};

/// Throws InvalidArgument for everything that Trainer would refuse, except errors that only fitting the
/// teacher reveals. Takes no time, so a sweep can check all its runs before it trains the first.
void check_training(Context& context, const TrainingData& data, const TrainOptions& options);

/// What a checkpoint holds besides the state that it restores.
struct CheckpointInfo {
  /// Whether checksums of the file and of the data were compared: not for a file of sotalign 0.1, which has
  /// none and tells data apart by their shapes and column means alone.
  bool verified = false;
  std::map<std::string, std::string> notes = {};  ///< as given to save_checkpoint()
};

/// Trains a model, step by step. Its state can be saved and restored between steps.
class Trainer {
 public:
  /// Preprocesses the data, fits the teacher and initialises the heads. Throws InvalidArgument for data and
  /// options that do not fit. The context must outlive the trainer.
  Trainer(Context& context, const TrainingData& data, const TrainOptions& options);
  ~Trainer();
  Trainer(Trainer&&) noexcept;

  int64_t steps_done() const { return step_; }
  bool finished() const { return step_ >= options_.steps; }

  /// One step. Allocates only in the first step, and waits only if KLOT computes its affinities in strips
  /// (see EmbeddingKlot).
  void train_step();
  /// Metrics of the last step; waits for it.
  StepMetrics metrics() const;

  bool has_validation() const { return validation_images_.rows() > 0; }
  /// Retrieval on the validation pairs with the present weights, which are kept if their MeanR@1 is the best
  /// so far.
  RetrievalResult validate();
  RetrievalResult validate_teacher();
  int64_t best_step() const { return best_step_; }  ///< -1: validate() was never called
  double best_score() const { return best_score_; }

  /// The present weights, or those that validate() found best.
  const Model& model() const { return model_; }
  void restore_best();

  /// Everything that the remaining steps depend on besides data and options, a fingerprint of these, and
  /// `notes` of the caller. Throws NumericalError, and keeps an older file, if a number is not
  /// finite.
  void save_checkpoint(const std::string& path, const std::map<std::string, std::string>& notes = {});
  /// Continues bit for bit. Throws IoError, and does not change the trainer, for a damaged file and for a
  /// file of a trainer with other options or other rows, or the same rows in another order.
  CheckpointInfo load_checkpoint(const std::string& path);

  /// How KLOT's affinities are held, and why; none without KLOT.
  const std::optional<KlotMemoryPlan>& klot_memory() const { return klot_memory_; }

  /// The search for the teacher's open numbers; none if all were given.
  const std::optional<TeacherSearch>& teacher_search() const { return teacher_search_; }

  /// As given, with `teacher`, `initialization`, `dim` and `klot_memory` resolved.
  const TrainOptions& options() const { return options_; }

 private:
  Model build_model();
  detail::AllRows all_rows() const;
  std::string fingerprint() const;

  Context* context_;
  TrainOptions options_;
  int64_t step_ = 0;
  std::map<std::string, std::string> data_checksums_;

  // Preprocessed rows.
  Matrix<float> pair_images_, pair_texts_, images_, texts_, validation_images_, validation_texts_;

  std::optional<TeacherSearch> teacher_search_;
  Model model_;
  Optimizer optimizer_;
  std::vector<ParameterRange> ranges_;  // with rates of their own; none: all alike
  BatchSampler pair_sampler_;
  std::unique_ptr<detail::UnpairedRows> unpaired_;

  // Of one step. Rows of a batch: first those of the pairs, then the unpaired ones.
  Buffer<int64_t> pair_index_;
  Matrix<float> image_batch_, text_batch_;
  Activations image_activations_, text_activations_;
  Matrix<float> d_image_, d_text_;

  Buffer<float> best_values_;
  int64_t best_step_ = -1;
  double best_score_ = -1;

  // Last, since what KLOT may take is what all the others leave.
  std::unique_ptr<detail::Objective> objective_;
  std::optional<KlotMemoryPlan> klot_memory_;
};

}  // namespace sotalign
