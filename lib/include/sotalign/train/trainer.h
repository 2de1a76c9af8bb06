// Trains the alignment heads (Algorithm 1 of the paper):
//   loss = SigLIP(pairs) + divergence_weight * KLOT(K[f(Xb), g(Yb)] || K*[Xb, Yb])
// with unpaired images Xb and texts Yb sampled independently of each other. Weight 0 gives SAIL, the
// supervised baseline, which uses unpaired rows only for the means. Other divergences (loss/divergence.h) can
// replace KLOT, and other methods (train/method.h) the whole loss.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sotalign/eval/retrieval.h"
#include "sotalign/loss/divergence.h"
#include "sotalign/optim/optimizer.h"
#include "sotalign/optim/schedule.h"
#include "sotalign/ot/klot_memory.h"
#include "sotalign/sampling/batch_sampler.h"
#include "sotalign/teacher/choice.h"
#include "sotalign/teacher/search.h"
#include "sotalign/teacher/self_training.h"
#include "sotalign/train/method.h"
#include "sotalign/train/model.h"
#include "sotalign/train/row_memory.h"

namespace SOTALIGN_API sotalign {

namespace detail {
class BatchReader;
}
struct AllRows;

/// Raw float32 embeddings on the host. The trainer copies them, except for unpaired rows that it streams.
struct TrainingData {
  ConstMatrixF pair_images, pair_texts;   ///< [p, dx], [p, dy], paired row by row, p >= 2
  EmbeddingRows images = {}, texts = {};  ///< unpaired, [nx, dx], [ny, dy]; may be empty only if
                                          ///< the method needs none
  ConstMatrixF validation_images = {}, validation_texts = {};  ///< pairs held out from training; may be empty
};

/// Checksums of each matrix's shape and rows, in order, under the key of the program's option for it
/// ("pairs_images"). Checkpoints and sweeps compare them to detect changed data.
std::map<std::string, std::string> checksums_of(const TrainingData& data);

/// Initial weights of the heads.
enum class Initialization {
  /// kTeacher if the method starts from its teacher (SOTAlign with divergence_weight > 0 does), the heads are
  /// linear or residual, and `dim` is 0; else kRandom, since the baselines use no teacher.
  kAuto,
  kRandom,  ///< like PyTorch's nn.Linear: uniform between -1 / sqrt(in) and 1 / sqrt(in)
  /// The heads start as the teacher's projections, so training begins with its cosines. Only for linear heads
  /// and for residual ones, whose last layer then starts at zero.
  kTeacher,
};

/// Defaults chosen on validation pairs of flickr8k (500 pairs, 3700 unpaired) and emoji (200, 911); see
/// docs/results.md. Much larger data benefits from more steps and larger batches: the paper uses 2000 steps
/// of up to 32k rows.
struct TrainOptions {
  std::string method = "sotalign";   ///< see train/method.h
  OptionValues method_options = {};  ///< options that methods declare, by key
  /// Its seed is replaced by `seed` below.
  TeacherOptions teacher = {.kind = TeacherKind::kAuto, .ridge = 0.01, .correlation_power = 0.5};
  /// For the teachers kSelfTraining and kAuto, and the method self_training. Ridge, power, dimension and seed
  /// are the teacher's; a teacher's dimension of 0 leaves the one here.
  SelfTrainingOptions self_training = {};
  Initialization initialization = Initialization::kAuto;
  int64_t dim = 0;  ///< shared dimension; 0: the teacher's if the heads start from it, else 1024
  std::vector<int64_t> hidden = {};  ///< widths of the hidden layers of both heads; empty: linear heads
  Activation activation = Activation::kGelu;
  bool residual = false;  ///< adds a linear map around the hidden layers, see HeadOptions
  int64_t steps = 60;
  ScheduleOptions schedule = {.peak = 3e-4};
  double image_rate = 1.0, text_rate = 1.0;  ///< each head's learning rate, relative to the schedule's
  OptimizerOptions optimizer = {};
  int64_t batch_pairs = 10000;    ///< pairs per step, capped at the number of pairs
  int64_t batch_unpaired = 1200;  ///< unpaired images per step, and unpaired texts, each capped likewise
  /// Compares the student's affinity of the unpaired rows with the teacher's.
  DivergenceOptions divergence = {.epsilon_student = 0.1,
                                  .epsilon_teacher = 0.02,
                                  .student = {.tolerance = 1e-3, .relaxation = 1.3},
                                  .teacher = {.tolerance = 1e-3, .relaxation = 1.7}};
  /// Weight of the divergence, whichever it is; the default suits KLOT. For KLOT it is the paper's alpha
  /// times the batch size, because plans have total mass 1 here and mass 1 per row in the paper. The paper's
  /// 1e-3, 1e-4 and 1e-5 with 22,000 rows correspond to 22, 2.2 and 0.22.
  double divergence_weight = 30.0;
  /// How the divergence holds its affinities; std::nullopt: the fastest way that fits in affinity_memory_mib.
  /// InfoNCE and CKA store both affinities, 8 bytes per entry, and reject options that do not allow it.
  std::optional<KlotMemory> affinity_memory = std::nullopt;
  double affinity_memory_mib = 0;  ///< 0: 7/8 of the memory that is free when the trainer is constructed
  /// Where the unpaired rows are kept; std::nullopt: see plan_row_memory(). Both ways give the same bits.
  /// Streamed rows must outlive the trainer if they are in the memory of the host.
  std::optional<RowMemory> unpaired_memory = std::nullopt;
  /// Precision of the products of a step on CUDA: heads, affinities and gradients. Teacher, validation and
  /// embeddings are computed as the context says, by default in float32. The default changes the retrieval of
  /// a trained model by less than another seed does; see docs/gpu.md.
  ProductMath math = ProductMath::kTf32;
  uint64_t seed = 0;
};

/// A term that a method adds to SigLIP: it contributes weight * value to the loss.
struct TermValue {
  std::string name;
  double value = 0, weight = 0;
};

/// Metrics of a step, computed with the weights before its update.
struct StepMetrics {
  int64_t step = 0;  ///< counted from 1
  double loss = 0;
  std::optional<double> siglip = std::nullopt;  ///< methods without it leave it empty
  double learning_rate = 0;
  double logit_scale = 0, logit_bias = 0;
  std::optional<DivergenceResult> divergence =
      std::nullopt;                   ///< SOTAlign only; weighted by divergence_weight
  std::vector<TermValue> terms = {};  ///< other methods
};

/// Throws InvalidArgument for everything that Trainer rejects, except errors that only fitting the teacher
/// reveals. Fast, so a sweep checks all its runs before it trains the first.
void check_training(Context& context, const TrainingData& data, const TrainOptions& options);

/// What load_checkpoint() reports besides restoring the state.
struct CheckpointInfo {
  /// Whether checksums of file and data were verified. Files of sotalign 0.1 have none and identify data only
  /// by shapes and column means.
  bool verified = false;
  std::map<std::string, std::string> notes = {};  ///< as given to save_checkpoint()
};

/// Trains a model step by step. Its state can be saved and restored between steps.
class Trainer {
 public:
  /// Preprocesses the data, fits the teacher and initializes the heads. Throws InvalidArgument for invalid
  /// data or options. The context must outlive the trainer.
  Trainer(Context& context, const TrainingData& data, const TrainOptions& options);
  ~Trainer();
  Trainer(Trainer&&) noexcept;

  int64_t steps_done() const { return step_; }
  bool finished() const { return step_ >= options_.steps; }

  /// Runs one step. With the method self_training, a step is a pass. Else only the first step allocates
  /// memory and checks its metrics(); later steps synchronize only if KLOT computes its affinities in strips
  /// (see EmbeddingKlot), and wait for rows that are streamed. Throws InvalidArgument once finished(), and
  /// IoError if streamed rows cannot be read or their files were changed.
  void train_step();
  /// Metrics of the last step; synchronizes. Throws NumericalError if the loss is not finite.
  StepMetrics metrics() const;

  bool has_validation() const { return validation_images_.rows() > 0; }
  /// Retrieval on the validation pairs with the current weights; keeps a copy of them if their mean
  /// reciprocal rank is the highest so far. Before the first step, heads that start from the teacher are the
  /// teacher.
  RetrievalResult validate();
  RetrievalResult validate_teacher();
  int64_t best_step() const { return best_step_; }   ///< -1: validate() was never called
  double best_score() const { return best_score_; }  ///< mean reciprocal rank

  /// The model with its current weights.
  const Model& model() const { return model_; }
  /// Restores the weights that validate() found best. Throws InvalidArgument if it was never called.
  void restore_best();

  /// A bank of the unpaired rows, see Model::make_bank(), with the current weights. std::nullopt if there are
  /// no unpaired images or no unpaired texts.
  std::optional<HubnessCorrection> make_bank(Projection projection, const HubnessOptions& options = {}) const;
  /// Puts such a bank of the heads into model(), until train_step(), restore_best() or load_checkpoint()
  /// changes the weights.
  void add_bank(const HubnessOptions& options = {});

  /// Saves the state that the remaining steps need besides data and options, a fingerprint of both, and the
  /// caller's `notes`. Throws NumericalError, and keeps an existing file, if a value is not finite.
  void save_checkpoint(const std::string& path, const std::map<std::string, std::string>& notes = {});
  /// Restores a saved state; training then continues bit for bit. Throws IoError, and leaves the trainer
  /// unchanged, if the file is damaged or belongs to other options, other rows or another order of the rows.
  CheckpointInfo load_checkpoint(const std::string& path);

  /// Where the unpaired rows are kept, and why.
  const RowMemoryPlan& row_memory() const { return row_memory_; }

  /// How KLOT holds its affinities, and why; std::nullopt without KLOT.
  const std::optional<KlotMemoryPlan>& affinity_memory() const { return affinity_memory_; }

  /// The search for the teacher's open options; std::nullopt if none was open.
  const std::optional<TeacherSearch>& teacher_search() const { return teacher_search_; }

  /// What was chosen and why, if the teacher's kind was kAuto.
  const std::optional<TeacherChoice>& teacher_choice() const { return teacher_choice_; }

  /// What self-training of the teacher did, pass by pass; empty for other teachers.
  const std::vector<PassReport>& teacher_passes() const { return teacher_passes_; }

  /// The given options, with `steps`, `teacher`, `self_training`, `initialization`, `dim` and
  /// `affinity_memory` resolved.
  const TrainOptions& options() const { return options_; }

 private:
  Teacher build_teacher();
  Model build_model(const TrainingData& data);
  std::unique_ptr<detail::BatchReader> make_reader() const;
  AllRows all_rows() const;
  std::string fingerprint() const;

  Context* context_;
  TrainOptions options_;
  int64_t step_ = 0;
  std::map<std::string, std::string> data_checksums_;

  RowMemoryPlan row_memory_;
  // Preprocessed rows.
  Matrix<float> pair_images_, pair_texts_, validation_images_, validation_texts_;
  RowSet images_, texts_;

  std::optional<TeacherSearch> teacher_search_;
  std::optional<TeacherChoice> teacher_choice_;
  std::vector<PassReport> teacher_passes_;
  Model model_;
  Optimizer optimizer_;
  std::vector<ParameterRange> ranges_;  // with separate learning rates; empty: one rate for all
  BatchSampler pair_sampler_;
  std::unique_ptr<UnpairedRows> unpaired_;
  std::unique_ptr<detail::BatchReader> reader_;  // of streamed unpaired rows, else null

  // Buffers of a step. A batch holds the rows of its pairs, then its unpaired rows.
  Buffer<int64_t> pair_index_;
  Matrix<float> image_batch_, text_batch_;
  Activations image_activations_, text_activations_;
  Matrix<float> d_image_, d_text_;

  Buffer<float> best_values_;
  int64_t best_step_ = -1;
  double best_score_ = -1;
  bool best_by_recall_ = false;  // a run of sotalign 0.1 goes on as it began

  // Constructed last: KLOT may use the memory that all other members leave free.
  std::unique_ptr<Objective> objective_;
  std::optional<KlotMemoryPlan> affinity_memory_;
};

}  // namespace sotalign
