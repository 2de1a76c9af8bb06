// What the two Sinkhorn solves of a training step cost, and what relaxation, starts from earlier potentials
// and a kept teacher's plan save. Trains SOTAlign from the plain teacher by the library's defaults, one
// thread, on the CPU. Times are CPU seconds of this thread. Prints a line of JSON for each result:
//
//   training_step solves DATA/SET PAIRS SEED [BATCH]
//     Solves the problems of every step of one run with each relaxation and start, and counts iterations.
//     Starts are column potentials, from which the row potentials follow:
//       zero      as in training
//       rows      those of the row's last solve, less their mean; rows that were never solved start at 0
//       anywhere  teacher only: those of one solve of all unpaired rows
//   training_step runs DATA/SET PAIRS SEED [BATCH]
//     Trains with each setting: iterations, seconds, and retrieval of held-out pairs after the last step.
//       plain     both relaxations 1, and the teacher's plan is computed in every step
//       default   the library's defaults, which keep the teacher's plan if every step has all rows
//       relaxed   the same without keeping it; only where it is kept
//
// DATA/SET/images.npy and texts.npy are rows that are all pairs. The split has PAIRS pairs, 400 pairs to
// measure (300 of fewer than 2000 rows), 200 more left out as for validation; the others are unpaired.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/linalg/row_products.h"
#include "sotalign/ot/sinkhorn.h"
#include "sotalign/sampling/batch_sampler.h"
#include "sotalign/train/trainer.h"

namespace {

using namespace sotalign;

constexpr int64_t kMostRows = 5000;  // of a set; the first ones

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// --- rows ---

std::vector<int64_t> shuffled(std::vector<int64_t> values, uint64_t seed, const char* stream) {
  const RandomStream random(seed, stream_id(stream));
  std::sort(values.begin(), values.end(), [&](int64_t i, int64_t j) {
    const auto a = random.bits64(static_cast<uint64_t>(i)), b = random.bits64(static_cast<uint64_t>(j));
    return a != b ? a < b : i < j;
  });
  return values;
}

HostMatrix take(const HostMatrix& from, const std::vector<int64_t>& index) {
  std::vector<float> values;
  for (const int64_t i : index)
    values.insert(values.end(), from.view().row(i), from.view().row(i) + from.cols());
  return HostMatrix(std::move(values), static_cast<int64_t>(index.size()), from.cols());
}

struct Split {
  HostMatrix pair_images, pair_texts, images, texts, test_images, test_texts;
  TrainingData data() const {
    return {.pair_images = pair_images.view(),
            .pair_texts = pair_texts.view(),
            .images = images.view(),
            .texts = texts.view(),
            .validation_images = test_images.view(),
            .validation_texts = test_texts.view()};
  }
};

Split split(const std::string& folder, int64_t pairs, uint64_t seed) {
  const HostMatrix x = read_matrix(folder + "/images.npy"), y = read_matrix(folder + "/texts.npy");
  std::vector<int64_t> all(static_cast<size_t>(std::min(x.rows(), kMostRows)));
  std::iota(all.begin(), all.end(), 0);
  const auto order = shuffled(all, seed, "demo.split");
  const auto part = [&](int64_t from, int64_t to) {
    return std::vector<int64_t>(order.begin() + from, order.begin() + to);
  };
  const int64_t rows = static_cast<int64_t>(order.size()), test = rows < 2000 ? 300 : 400,
                held_out = pairs + test + 200;
  if (held_out >= rows) throw InvalidArgument(fmt::format("{}: too few rows for {} pairs", folder, pairs));
  const auto known = part(0, pairs), measured = part(pairs, pairs + test), rest = part(held_out, rows);
  return {take(x, known),
          take(y, known),
          take(x, shuffled(rest, seed, "demo.images")),
          take(y, shuffled(rest, seed, "demo.texts")),
          take(x, measured),
          take(y, measured)};
}

TrainOptions options_of(uint64_t seed, int64_t batch) {
  TrainOptions o;
  o.teacher.kind = TeacherKind::kCca;
  o.seed = seed;
  if (batch > 0) o.batch_unpaired = batch;
  return o;
}

// --- solves ---

/// What one side's solves of a run add up to, with one relaxation and one kind of start.
struct Solves {
  double relaxation;
  std::string start;
  std::vector<double> kept = {};  // potentials by row; empty where the start needs none
  double iterations = 0, seconds = 0;
  int64_t at_limit = 0;
};

/// One side of KLOT, with unpaired rows in the shared space.
struct Problem {
  std::string name;
  double epsilon;
  SolveOptions solve;
  Matrix<float> images, texts;
  std::vector<Solves> solves = {};
};

Matrix<float> gather(Context& context, const Matrix<float>& from, const std::vector<int64_t>& index) {
  const int64_t batch = static_cast<int64_t>(index.size());
  Matrix<float> rows(context, batch, from.cols());
  gather_rows(context, from, index.data(), rows);
  return rows;
}

void solve(Context& context, const Problem& problem, Solves& s, const Matrix<float>& affinity,
           const std::vector<int64_t>& columns) {
  SolveOptions options = problem.solve;
  options.relaxation = s.relaxation;
  Sinkhorn sinkhorn(context, affinity.rows(), affinity.cols(),
                    {.epsilon = problem.epsilon, .symmetrize = Symmetrize::kYes, .solve = options});
  std::vector<double> start;
  for (const int64_t j : columns) start.push_back(s.kept.empty() ? 0 : s.kept[static_cast<size_t>(j)]);
  sinkhorn.set_start(0, start);
  const double begin = cpu_seconds();
  sinkhorn.solve(affinity);
  const SinkhornResult result = sinkhorn.results()[0];
  s.seconds += cpu_seconds() - begin;
  s.iterations += static_cast<double>(result.iterations);
  s.at_limit += result.status == SinkhornStatus::kIterationLimit;
  if (s.start != "rows") return;
  const std::vector<double> v = sinkhorn.column_potentials(0);
  const double mean = std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
  for (size_t j = 0; j < v.size(); ++j) s.kept[static_cast<size_t>(columns[j])] = v[j] - mean;
}

std::vector<double> potentials_of_all(Context& context, const Problem& problem) {
  const int64_t rows = problem.images.rows();
  Matrix<float> affinity(context, rows, rows);
  cosines(context, problem.images, problem.texts, affinity);
  Sinkhorn sinkhorn(context, rows, rows,
                    {.epsilon = problem.epsilon,
                     .symmetrize = Symmetrize::kYes,
                     .solve = {.iterations = 2000, .tolerance = 1e-5, .relaxation = 1.7}});
  sinkhorn.solve(affinity);
  return sinkhorn.column_potentials(0);
}

void count_solves(Context& context, const Split& rows, const TrainOptions& o, const std::string& cell) {
  Trainer trainer(context, rows.data(), o);
  const Model& model = trainer.model();
  Matrix<float> images(context, rows.images.data(), rows.images.rows(), rows.images.cols()),
      texts(context, rows.texts.data(), rows.texts.rows(), rows.texts.cols());
  preprocess(context, model.image_preprocessing, images, images);
  preprocess(context, model.text_preprocessing, texts, texts);
  const int64_t n = images.rows();
  const auto problem = [&](const std::string& name, double epsilon, const SolveOptions& solve, int64_t dim) {
    return Problem{name, epsilon, solve, Matrix<float>(context, n, dim), Matrix<float>(context, n, dim)};
  };
  Problem student = problem("student", o.divergence.epsilon_student, o.divergence.student,
                            model.dim(Projection::kHeads)),
          teacher =
              problem("teacher", o.divergence.epsilon_teacher, o.divergence.teacher, model.teacher->dim());
  model.teacher->project(context, Side::kX, images, teacher.images);
  model.teacher->project(context, Side::kY, texts, teacher.texts);
  const std::vector<double> anywhere = potentials_of_all(context, teacher);
  for (Problem* p : {&student, &teacher})
    for (const double relaxation : {1.0, 1.3, 1.5, 1.6, 1.7, 1.8}) {
      p->solves.push_back({relaxation, "zero"});
      p->solves.push_back({relaxation, "rows", std::vector<double>(static_cast<size_t>(n), 0.0)});
      if (p == &teacher) p->solves.push_back({relaxation, "anywhere", anywhere});
    }
  const BatchSampler image_sampler(n, o.batch_unpaired, o.seed, stream_id("sampler.images")),
      text_sampler(n, o.batch_unpaired, o.seed, stream_id("sampler.texts"));
  double step_seconds = 0;
  while (!trainer.finished()) {
    std::vector<int64_t> image_index, text_index;
    image_sampler.sample(trainer.steps_done(), image_index);
    text_sampler.sample(trainer.steps_done(), text_index);
    model.head(Side::kX).embed(context, model.parameters, images, student.images);
    model.head(Side::kY).embed(context, model.parameters, texts, student.texts);
    for (Problem* p : {&student, &teacher}) {
      Matrix<float> affinity(context, image_sampler.batch(), text_sampler.batch());
      cosines(context, gather(context, p->images, image_index), gather(context, p->texts, text_index),
              affinity);
      for (Solves& s : p->solves) solve(context, *p, s, affinity, text_index);
    }
    const double begin = cpu_seconds();
    trainer.train_step();
    step_seconds += cpu_seconds() - begin;
  }
  const auto steps = static_cast<double>(o.steps);
  for (const Problem* p : {&student, &teacher})
    for (const Solves& s : p->solves)
      fmt::print(
          "{{{}, \"batch\": {}, \"of\": {}, \"side\": \"{}\", \"epsilon\": {}, \"relaxation\": {}, "
          "\"start\": \"{}\", \"iterations\": {:.2f}, \"at_limit\": {}, \"solve_ms\": {:.3f}, "
          "\"step_ms\": {:.2f}}}\n",
          cell, image_sampler.batch(), n, p->name, p->epsilon, s.relaxation, s.start, s.iterations / steps,
          s.at_limit, 1e3 * s.seconds / steps, 1e3 * step_seconds / steps);
}

// --- runs ---

/// KLOT that computes the teacher's plan in every step.
class ForgetfulKlot : public EmbeddingDivergence {
 public:
  explicit ForgetfulKlot(std::unique_ptr<EmbeddingDivergence> klot) : klot_(std::move(klot)) {}
  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double scale) override {
    klot_->run(student, teacher, dx, dy, scale);
  }
  DivergenceResult result() const override { return klot_->result(); }

 private:
  std::unique_ptr<EmbeddingDivergence> klot_;
};

void register_forgetful_klot() {
  DivergenceInfo info = find_divergence("klot");
  info.name = "forgetful_klot";
  info.make_on_embeddings = [](Context& context, int64_t rows, int64_t cols, const DivergenceOptions& o,
                               KlotMemory memory) {
    return std::make_unique<ForgetfulKlot>(
        find_divergence("klot").make_on_embeddings(context, rows, cols, o, memory));
  };
  register_divergence(info);
}

void train(Context& context, const Split& rows, TrainOptions o, const std::string& setting,
           const std::string& cell) {
  if (setting != "default") o.divergence.name = "forgetful_klot";
  if (setting == "plain") o.divergence.student.relaxation = o.divergence.teacher.relaxation = 1;
  Trainer trainer(context, rows.data(), o);
  double seconds = 0, student = 0, teacher = 0, value = 0;
  int64_t at_limit = 0;
  while (!trainer.finished()) {
    const double begin = cpu_seconds();
    trainer.train_step();
    seconds += cpu_seconds() - begin;
    const KlotResult klot = trainer.metrics().divergence->klot.value();
    student += static_cast<double>(klot.student.iterations);
    teacher += static_cast<double>(klot.teacher.iterations);
    at_limit += klot.teacher.status == SinkhornStatus::kIterationLimit;
    value = klot.value;
  }
  const RetrievalResult r = trainer.validate();
  const auto steps = static_cast<double>(o.steps);
  fmt::print(
      "{{{}, \"of\": {}, \"setting\": \"{}\", \"student_iterations\": {:.2f}, "
      "\"teacher_iterations\": {:.2f}, \"teacher_at_limit\": {}, \"step_ms\": {:.2f}, \"klot\": {:.5f}, "
      "\"mean_r1\": {:.3f}, \"mrr\": {:.3f}}}\n",
      cell, rows.images.rows(), setting, student / steps, teacher / steps, at_limit, 1e3 * seconds / steps,
      value, 100 * r.mean_r1, 100 * r.mean_reciprocal_rank);
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4 || arguments.size() > 5 || (arguments[0] != "solves" && arguments[0] != "runs"))
    throw InvalidArgument("usage: training_step solves|runs DATA/SET PAIRS SEED [BATCH]");
  const std::string& folder = arguments[1];
  const int64_t pairs = std::stoll(arguments[2]), batch = arguments.size() > 4 ? std::stoll(arguments[4]) : 0;
  const uint64_t seed = std::stoull(arguments[3]);
  Context context({}, 1);
  const std::string cell = fmt::format("\"set\": \"{}\", \"pairs\": {}, \"seed\": {}",
                                       folder.substr(folder.rfind('/') + 1), pairs, seed);
  const Split rows = split(folder, pairs, seed);
  const TrainOptions o = options_of(seed, batch);
  if (arguments[0] == "solves") {
    count_solves(context, rows, o, cell);
    return 0;
  }
  register_forgetful_klot();
  const bool all_rows = rows.images.rows() <= o.batch_unpaired;
  for (const std::string setting : {"plain", "relaxed", "default"})
    if (setting != "relaxed" || all_rows) train(context, rows, o, setting, cell);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "training_step: {}\n", error.what());
    return 2;
  }
}
