#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "cli/notes.h"
#include "cli/threads.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

void add_machine_options(OptionTable& table, Machine& machine) {
  table.section("Machine");
  table.add("device", &machine.device, "auto, cpu, cuda or cuda:INDEX", Role::kMachine);
  table.common();
  table.add("threads", &machine.threads, "CPU threads; 0: all cores. Same threads, same bits",
            Role::kMachine);
  table.add("force_threads", &machine.force_threads, "Allow more threads than cores: slow, but the same bits",
            Role::kMachine);
  table.add("quiet", &machine.quiet, "Print only errors", Role::kMachine);
}

void add_data_options(OptionTable& table, DataPaths& paths, Role role) {
  table.section("Embeddings (.npy, .safetensors or file.safetensors:TENSOR, one row each)");
  const auto add = [&](const char* key, Target path, const char* help) {
    table.add(key, std::move(path), help, role);
    table.common();
  };
  add("pairs_images", &paths.pairs_images, "Images of the pairs");
  add("pairs_texts", &paths.pairs_texts, "Texts of the pairs, row by row");
  add("images", &paths.images, "Unpaired images: a file, several files, or a pattern such as 'images-*.npy'");
  add("texts", &paths.texts, "Unpaired texts, likewise");
  add("val_images", &paths.val_images, "Images of the validation pairs");
  add("val_texts", &paths.val_texts, "Texts of the validation pairs");
}

void add_bank_option(OptionTable& table, int64_t& bank) {
  table.add("hubness_bank", AtMost{&bank, kMostBank},
            "Unpaired rows of each side, at most, that the model keeps to correct hubness\n"
            "with (eval --hubness); 0: none");
  table.added_later();
}

void add_hubness_options(OptionTable& table, Target kind, HubnessOptions& options) {
  table.add("hubness", std::move(kind),
            "Correct hubness, rows near to everything, with a bank of unpaired training\n"
            "rows: dual bank Sinkhorn, inverted softmax or CSLS");
  table.add("hubness_temperature", &options.temperature,
            "dbs and inverted_softmax: the cosines are divided by it");
  table.add("hubness_neighbours", &options.neighbours, "csls: nearest rows of the bank");
}

void add_teacher_options(OptionTable& table, TeacherOptions& options) {
  table.section("Teacher");
  table.add("teacher",
            choice(&options.kind, {{"cca", TeacherKind::kCca},
                                   {"procrustes", TeacherKind::kProcrustes},
                                   {"contrastive", TeacherKind::kContrastive},
                                   {"self_training", TeacherKind::kSelfTraining},
                                   {"auto", TeacherKind::kAuto}}),
            "Linear maps fitted to the pairs; contrastive: trained with SigLIP;\n"
            "self_training: CCA, fitted again to soft matches of unpaired rows; auto: CCA or\n"
            "self-training, whichever retrieves better, with --ridge, 0.3 or 0.1 of it");
  table.common();
  table.add("ridge", AutoOr<double>{&options.ridge},
            "CCA: added to the eigenvalues of both covariances. auto, here and below:\n"
            "chosen by cross-validation on the pairs");
  table.add("teacher_dim", AutoOr<int64_t>{&options.dim, kMostWidth},
            "Teacher dimension; 0: as many as the pairs determine, at most 1024");
  table.add("correlation_power", AutoOr<double>{&options.correlation_power},
            "CCA: above 0, directions with a higher correlation count more");
  table.add("teacher_steps", AtMost{&options.contrastive.steps, kMostSteps}, "Contrastive: training steps");
  table.add("teacher_learning_rate", &options.contrastive.learning_rate,
            "Contrastive: peak learning rate, with cosine decay to 0");
  table.add("teacher_batch", &options.contrastive.batch, "Contrastive: pairs per step, at most all");
}

namespace {

std::vector<std::pair<std::string, std::string>> named(const std::vector<std::string>& names) {
  std::vector<std::pair<std::string, std::string>> pairs;
  pairs.reserve(names.size());
  for (const std::string& name : names) pairs.emplace_back(name, name);
  return pairs;
}

/// Adds the options that methods or divergences declare, each once; help texts start with the first one's
/// title.
template <class Info>
void add_declared_options(OptionTable& table, const std::vector<std::string>& names,
                          const Info& (*find)(const std::string&), OptionValues& values) {
  std::set<std::string> added;
  for (const std::string& name : names) {
    const Info& info = find(name);
    for (const OptionInfo& option : info.options) {
      if (!added.insert(option.key).second) continue;
      table.add(option.key, Declared{&values, option}, fmt::format("{}: {}", info.title, option.help));
    }
  }
}

/// The flags of the solver apply to both plans, except that each has a relaxation of its own.
void add_plan_options(OptionTable& table, double& epsilon_student, double& epsilon_teacher,
                      SolveOptions& student, SolveOptions& teacher, Symmetrize& symmetrize) {
  table.section("Optimal transport");
  table.add("epsilon_student", &epsilon_student,
            "Entropic regularisation of the student's plan; temperature of InfoNCE");
  table.add("epsilon_teacher", &epsilon_teacher, "The same for the teacher's plan");
  add_solver_options(table, student, symmetrize, [&] {
    // It comes first: the flags and keys of one plan replace its value.
    table.add("relaxation", ForBoth{&student.relaxation, &teacher.relaxation},
              "Over-relaxation of the updates of both plans, in (0, 2); 1: plain Sinkhorn;\n"
              "auto: as the next two say");
    table.add("relaxation_student", &student.relaxation, "The same for the student's plan alone");
    table.added_later();
    table.add("relaxation_teacher", &teacher.relaxation, "The same for the teacher's plan alone");
    table.added_later();
  });
  table.after_set([&student, &teacher] {
    const double relaxation = teacher.relaxation;
    teacher = student;
    teacher.relaxation = relaxation;
  });
}

}  // namespace

void add_self_training_options(OptionTable& table, SelfTrainingOptions& options) {
  table.section("Self-training (teacher or method)");
  const auto add = [&](const char* key, Target target, const char* help) {
    table.add(key, std::move(target), help);
    table.added_later();
  };
  add("self_training_passes", AtMost{&options.passes, kMostSteps}, "Passes; each fits the teacher again");
  add("self_training_batch", &options.batch, "Unpaired rows of each side in a pass, at most all");
  add("self_training_weight", &options.unpaired_weight, "How many pairs an unpaired row counts for");
  add("self_training_rate", &options.rate, "Weight of the latest pass in the running averages, up to 1");
  add("self_training_epsilon", &options.epsilon, "Entropic regularisation of the plan");
}

void add_klot_options(OptionTable& table, KlotOptions& o) {
  add_plan_options(table, o.epsilon_student, o.epsilon_teacher, o.student, o.teacher, o.symmetrize);
}

void add_divergence_choice(OptionTable& table, const std::string& key, DivergenceOptions& o) {
  std::vector<std::string> compared;
  for (const std::string& name : divergence_names()) {
    const DivergenceInfo& info = find_divergence(name);
    compared.push_back(fmt::format("{}: {}", info.title, info.summary));
  }
  table.add(key, choice(&o.name, named(divergence_names())),
            fmt::format("What is compared. {}", fmt::join(compared, "; ")));
}

void add_divergence_options(OptionTable& table, DivergenceOptions& o) {
  add_declared_options(table, divergence_names(), find_divergence, o.values);
  add_plan_options(table, o.epsilon_student, o.epsilon_teacher, o.student, o.teacher, o.symmetrize);
}

void add_method_options(OptionTable& table, TrainOptions& train) {
  table.section("Method");
  table.add("method", choice(&train.method, named(method_names())),
            "SOTAlign, one of the baselines, or self-training of the teacher");
  table.common();
  add_teacher_options(table, train.teacher);
  add_self_training_options(table, train.self_training);

  table.section("Model");
  table.add("initialization",
            choice(&train.initialization, {{"auto", Initialization::kAuto},
                                           {"random", Initialization::kRandom},
                                           {"teacher", Initialization::kTeacher}}),
            "Initial weights of the heads; auto: teacher for linear or residual heads of\n"
            "SOTAlign with divergence_weight > 0 and dim 0, else random");
  table.add("dim", AtMost{&train.dim, kMostWidth},
            "Dimension of the shared space; 0: the teacher's if the heads start\nfrom it, else 1024");
  table.add("hidden", ListAtMost{&train.hidden, 64, kMostWidth},
            "Widths of the hidden layers of both heads; none: linear heads");
  table.add("activation",
            choice(&train.activation, {{"gelu", Activation::kGelu},
                                       {"relu", Activation::kRelu},
                                       {"tanh", Activation::kTanh},
                                       {"none", Activation::kNone}}),
            "Activation between layers");
  table.add("residual", &train.residual, "Add a learned linear map around the hidden layers");

  table.section("Optimisation");
  table.add("steps", AtMost{&train.steps, kMostSteps}, "Training steps");
  table.common();
  table.add("batch_pairs", &train.batch_pairs, "Pairs per step, at most all");
  table.add("batch_unpaired", &train.batch_unpaired, "Unpaired images, and as many texts, per step");
  table.add("learning_rate", &train.schedule.peak, "Peak learning rate");
  table.add("image_rate", &train.image_rate, "Learning rate of the image head, as a multiple of that");
  table.add("text_rate", &train.text_rate, "The same for the text head");
  table.add("schedule",
            choice(&train.schedule.kind,
                   {{"cosine", ScheduleKind::kCosine}, {"constant", ScheduleKind::kConstant}}),
            "Learning rate schedule");
  table.add("warmup_steps", &train.schedule.warmup_steps, "Steps of linear warmup of the learning rate");
  table.add("final_fraction", &train.schedule.final_fraction, "Where cosine ends, as a fraction of the peak");
  table.add("optimizer",
            choice(&train.optimizer.kind, {{"lion", OptimizerKind::kLion}, {"adamw", OptimizerKind::kAdamW}}),
            "");
  table.add("beta1", &train.optimizer.beta1, "Default 0.9");
  table.add("beta2", &train.optimizer.beta2, "Default 0.99 for lion, 0.999 for adamw");
  table.add("adam_epsilon", &train.optimizer.epsilon, "Added to the denominator of adamw");
  table.add("weight_decay", &train.optimizer.weight_decay, "Decoupled weight decay, not applied to biases");
  table.add(
      "math",
      choice(&train.math,
             {{"fp32", ProductMath::kFp32}, {"tf32", ProductMath::kTf32}, {"bf16", ProductMath::kBf16}}),
      "CUDA: precision of the factors in a step's matrix products. The CPU takes fp32");
  table.added_later();

  const char* divergence = "Divergence between the student's and the teacher's affinity of unpaired rows";
  table.section(divergence);
  add_divergence_choice(table, "divergence", train.divergence);
  table.common();
  table.add("divergence_weight", &train.divergence_weight,
            "Weight of the divergence; 0 is SAIL, the supervised baseline. For KLOT: the\n"
            "paper's alpha times the unpaired batch (there, each row of a plan has mass 1)");
  table.common();
  table.formerly("klot_weight");
  add_divergence_options(table, train.divergence);
  table.section(divergence);
  table.add("affinity_memory",
            choice(&train.affinity_memory, {{"auto", std::nullopt},
                                            {"stored", KlotMemory::kStored},
                                            {"fixed16", KlotMemory::kFixed16},
                                            {"streamed", KlotMemory::kStreamed}}),
            "How the divergence holds its affinities: in float32 or, for KLOT, in 16-bit fixed\n"
            "point or recomputed in each iteration; auto: the first of these that fits");
  table.formerly("klot_memory");
  table.add("affinity_memory_mib", &train.affinity_memory_mib,
            "Memory limit for auto, in MiB; 0: most of the free memory");
  table.formerly("klot_memory_mib");
  table.section("Baselines");
  add_declared_options(table, method_names(), find_method, train.method_options);
}

void add_train_options(OptionTable& table, TrainConfig& config) {
  add_data_options(table, config.data, Role::kPath);
  table.section("Output");
  table.add("out", &config.out, "Directory of this run, created by the command", Role::kDirectory);
  table.common();
  table.add("validate_every", &config.validate_every, "Steps between validations; 0: only at the end");
  table.add("checkpoint_every", &config.checkpoint_every, "Steps between checkpoints; 0: only at the end",
            Role::kMachine);
  table.add("log_every", &config.log_every, "Steps between lines of metrics.jsonl", Role::kMachine);
  add_bank_option(table, config.hubness_bank);
  table.add("val_captions", &config.val_captions,
            "Text file with one line for each validation text, to show in report.html", Role::kPath);
  table.added_later();
  table.add("val_thumbnails", &config.val_thumbnails,
            "Folder with small images of the validation images, named by the row: 7.jpg,\n"
            "or .png, .webp, .gif, .svg; at most 1 MiB each",
            Role::kDirectory);
  table.added_later();
  add_machine_options(table, config.machine);
  table.add("unpaired_memory",
            choice<std::optional<RowMemory>>(
                &config.train.unpaired_memory,
                {{"auto", std::nullopt}, {"stored", RowMemory::kStored}, {"streamed", RowMemory::kStreamed}}),
            "Unpaired rows: stored in memory, or streamed, read from their files for each\n"
            "step; auto: stored up to 1 GiB on a CPU, 1/4 of the free memory of a GPU.\n"
            "The bits are the same",
            Role::kMachine);
  table.added_later();
  table.section("Randomness");
  table.add("seed", &config.train.seed, "Seed of initial weights and batches");
  table.common();
  add_method_options(table, config.train);
}

void add_projection_option(OptionTable& table, Projection& projection) {
  table.add("projection",
            choice(&projection, {{"heads", Projection::kHeads}, {"teacher", Projection::kTeacher}}),
            "Maps to use: the trained heads, or the linear teacher");
}

Context make_context(const Machine& machine) {
  if (machine.quiet) hide_hints();
  const Device device = parse_device(machine.device);
  const int64_t threads =
      start_threads({.asked = machine.threads, .forced = machine.force_threads}, machine.quiet);
  // Clamped to the range of int, so that the library reports what it accepts.
  return Context(device, static_cast<int>(std::clamp<int64_t>(threads, -1, 1 << 20)));
}

Context make_training_context(const Machine& machine) {
  Context context = make_context(machine);
  context.load_libraries();
  return context;
}

std::string describe_device(const Context& context, const Machine& machine) {
  const std::string name = to_string(context.device());
  if (context.device().kind == DeviceKind::kCuda) {
    const std::vector<CudaDevice> devices = cuda_support().devices;
    return fmt::format("{}, {}", name, devices.at(static_cast<size_t>(context.device().index)).name);
  }
  const std::string threads =
      fmt::format("{}, {} thread{}", name, context.threads(), context.threads() == 1 ? "" : "s");
  return machine.device == "auto" ? fmt::format("{} ({})", threads, cuda_support().unusable) : threads;
}

void check_epsilons(double student, double teacher) {
  const auto check = [](const char* flag, double epsilon) {
    if (!(epsilon > 0))
      throw InvalidArgument(fmt::format("{}: expected a number > 0, found {}", flag, epsilon));
  };
  check("--epsilon-student", student);
  check("--epsilon-teacher", teacher);
}

void require_few_seeds(const char* key, const std::vector<int64_t>& seeds) {
  constexpr size_t kMost = 1000;
  if (seeds.empty()) throw InvalidArgument(fmt::format("{}: expected at least one, found none", key));
  if (seeds.size() > kMost)
    throw InvalidArgument(fmt::format("{}: expected at most {}, found {}", key, kMost, seeds.size()));
}

void require(const std::vector<Needed>& options) {
  std::vector<std::string> missing;
  for (const Needed& option : options)
    if (!option.given) missing.push_back(flag_of(option.key));
  if (missing.empty()) return;
  const std::string last = missing.back();
  missing.pop_back();
  throw InvalidArgument(missing.empty()
                            ? fmt::format("{} is required", last)
                            : fmt::format("{} and {} are required", fmt::join(missing, ", "), last));
}

void require(const std::string& value, const char* key) { require({{value, key}}); }

void require_both(const Needed& a, const Needed& b) {
  if (a.given == b.given) return;
  const Needed &given = a.given ? a : b, &missing = a.given ? b : a;
  throw InvalidArgument(fmt::format("{} is required with {}", flag_of(missing.key), flag_of(given.key)));
}

void require_at_least(const char* key, int64_t value, int64_t least) {
  if (value < least)
    throw InvalidArgument(fmt::format("{}: expected at least {}, found {}", key, least, value));
}

}  // namespace sotalign::app
