// Settings of the student, on top of the teacher that the defaults choose. Splits rows that are all pairs as
// `sotalign compare --validation 200` does, but with seeds of its own, and measures on rows that are test
// rows of none of the reported seeds 0, 1 and 2. Chooses the teacher once for each set, number of pairs and
// seed, then trains a student with every setting from it. The setting "default" gives the weights that the
// library's Trainer gives. On the CPU only. Leaves out sets with too few rows. Prints a line of JSON for each
// student, in percent:
//
//   teacher, last, best   before the first step, after the last, and at the step that the validation rows
//                         choose; "trained" is chosen likewise, but without step 0. Each has the mean
//                         reciprocal rank of the validation rows and of the measured rows, and MeanR@1 of
//                         the measured rows
//   ema, tail             with averages of the weights: exponential, and over the second half of the steps
//   q25, half, q75        a quarter, half and three quarters of the way from the first weights to the last
//   asif, kernel          of the affinities that these settings use
//   NAME_error            standard error of NAME less the teacher over the validation rows;
//                         half_error_best: of half less best
//
//   student_settings DATA SETS PAIRS SEEDS SETTINGS CACHE
//
// DATA/SET/images.npy and texts.npy are the rows. SETS, PAIRS, SEEDS and SETTINGS are lists with semicolons;
// "all" takes every setting. CACHE is a folder that keeps the chosen teachers for further calls.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/row_products.h"
#include "sotalign/sampling/batch_sampler.h"
#include "sotalign/teacher/choice.h"
#include "sotalign/train/siglip_term.h"
#include "sotalign/train/trainer.h"
#include "sotalign/train/unpaired_rows.h"
#include "train/teacher_heads.h"

namespace {

using namespace sotalign;

constexpr uint64_t kFirstSeed = 100;    // of the splits here
constexpr uint64_t kReportedSeeds = 3;  // 0, 1 and 2
constexpr int64_t kValidation = 200, kValidateEvery = 10;
constexpr int64_t kLandmarks = 600;  // of kernels, on each side
constexpr float kEmaRate = 0.05f;

// --- settings ---

enum class Target { kTeacher, kAsif, kKernel };

struct Setting {
  TrainOptions options = {};
  Target target = Target::kTeacher;
  double target_share = 1;     // of `target` in K*; the rest is the teacher
  int64_t refresh = 0;         // steps after which the student's affinity takes part in K*; 0: never
  double refresh_share = 1;    // of the student in K* then
  bool pairs_in_klot = false;  // known pairs are rows of KLOT's batch, too
  double pair_bonus = 0;       // added to K* of known pairs
};

std::map<std::string, Setting> settings() {
  std::map<std::string, Setting> all;
  const auto add = [&](const std::string& name, const std::function<void(Setting&)>& change) {
    change(all[name]);
  };
  add("default", [](Setting&) {});
  for (const double w : {3.0, 10.0, 100.0, 300.0, 3000.0})
    add(fmt::format("weight {}", w), [w](Setting& s) { s.options.divergence_weight = w; });
  for (const double r : {3e-5, 1e-4, 6e-4})
    add(fmt::format("rate {:.0e}", r), [r](Setting& s) { s.options.schedule.peak = r; });
  for (const int64_t n : {15, 30, 120, 240})
    add(fmt::format("steps {}", n), [n](Setting& s) { s.options.steps = n; });
  for (const double e : {0.02, 0.05, 0.2})
    add(fmt::format("epsilon student {}", e), [e](Setting& s) { s.options.divergence.epsilon_student = e; });
  for (const double e : {0.01, 0.05, 0.1})
    add(fmt::format("epsilon teacher {}", e), [e](Setting& s) { s.options.divergence.epsilon_teacher = e; });
  for (const int64_t n : {600, 2400})
    add(fmt::format("batch {}", n), [n](Setting& s) { s.options.batch_unpaired = n; });
  add("dim 1024", [](Setting& s) { s.options.dim = 1024; });
  add("residual 1024", [](Setting& s) { s.options.hidden = {1024}, s.options.residual = true; });
  for (const double r : {3e-4, 1e-3})
    add(fmt::format("adamw {:.0e}", r), [r](Setting& s) {
      s.options.optimizer.kind = OptimizerKind::kAdamW;
      s.options.schedule.peak = r;
    });
  for (const double share : {0.5, 1.0})
    add(fmt::format("refresh 10, share {}", share),
        [share](Setting& s) { s.refresh = 10, s.refresh_share = share; });
  add("refresh 20, share 0.5", [](Setting& s) { s.refresh = 20, s.refresh_share = 0.5; });
  add("pairs in klot", [](Setting& s) { s.pairs_in_klot = true; });
  add("pairs in klot, bonus 0.5", [](Setting& s) { s.pairs_in_klot = true, s.pair_bonus = 0.5; });
  for (const double share : {0.5, 1.0}) {
    add(fmt::format("asif {}", share),
        [share](Setting& s) { s.target = Target::kAsif, s.target_share = share; });
    add(fmt::format("kernel {}", share),
        [share](Setting& s) { s.target = Target::kKernel, s.target_share = share; });
  }
  // Combinations.
  for (const int64_t n : {120, 240})
    add(fmt::format("steps {}, epsilon teacher 0.05", n),
        [n](Setting& s) { s.options.steps = n, s.options.divergence.epsilon_teacher = 0.05; });
  add("steps 120, epsilon teacher 0.05, pairs in klot", [](Setting& s) {
    s.options.steps = 120, s.options.divergence.epsilon_teacher = 0.05, s.pairs_in_klot = true;
  });
  add("steps 120, kernel 0.5",
      [](Setting& s) { s.options.steps = 120, s.target = Target::kKernel, s.target_share = 0.5; });
  add("rate 6e-4, epsilon teacher 0.05",
      [](Setting& s) { s.options.schedule.peak = 6e-4, s.options.divergence.epsilon_teacher = 0.05; });
  add("pairs in klot, epsilon teacher 0.05",
      [](Setting& s) { s.pairs_in_klot = true, s.options.divergence.epsilon_teacher = 0.05; });
  add("asif 0.5, pairs in klot, epsilon teacher 0.05", [](Setting& s) {
    s.target = Target::kAsif, s.target_share = 0.5;
    s.pairs_in_klot = true, s.options.divergence.epsilon_teacher = 0.05;
  });
  add("weight 100, rate 1e-4",
      [](Setting& s) { s.options.divergence_weight = 100, s.options.schedule.peak = 1e-4; });
  return all;
}

// --- rows ---

std::vector<int64_t> shuffled(std::vector<int64_t> values, uint64_t seed, const char* stream) {
  const RandomStream random(seed, stream_id(stream));
  std::sort(values.begin(), values.end(), [&](int64_t i, int64_t j) {
    const auto a = random.bits64(static_cast<uint64_t>(i)), b = random.bits64(static_cast<uint64_t>(j));
    return a != b ? a < b : i < j;
  });
  return values;
}

Matrix<float> take(Context& context, const HostMatrix& from, const std::vector<int64_t>& index) {
  std::vector<float> values;
  for (const int64_t i : index)
    values.insert(values.end(), from.view().row(i), from.view().row(i) + from.cols());
  return Matrix<float>(context, values.data(), static_cast<int64_t>(index.size()), from.cols());
}

struct Modality {
  Matrix<float> pairs, unpaired, validation, measured;
};

struct Rows {
  Modality x, y;
};

/// std::nullopt if there are too few rows.
std::optional<Rows> split(Context& context, const HostMatrix& x, const HostMatrix& y, int64_t pairs,
                          int64_t test, uint64_t seed) {
  std::vector<int64_t> all(static_cast<size_t>(x.rows()));
  std::iota(all.begin(), all.end(), 0);
  std::set<int64_t> reported;  // test rows of the reported splits
  for (uint64_t s = 0; s < kReportedSeeds; ++s) {
    const std::vector<int64_t> order = shuffled(all, s, "demo.split");
    reported.insert(order.begin() + pairs, order.begin() + pairs + test);
  }
  const std::vector<int64_t> order = shuffled(all, kFirstSeed + seed, "demo.split");
  std::vector<int64_t> measured, rest;
  for (const int64_t i : order)
    (static_cast<int64_t>(measured.size()) < test && !reported.contains(i) ? measured : rest).push_back(i);
  if (static_cast<int64_t>(measured.size()) < test ||
      static_cast<int64_t>(rest.size()) <= pairs + kValidation)
    return std::nullopt;
  const auto part = [&](int64_t from, int64_t count) {
    return std::vector<int64_t>(rest.begin() + from, rest.begin() + from + count);
  };
  const std::vector<int64_t> known = part(0, pairs), validation = part(pairs, kValidation),
                             unpaired(rest.begin() + pairs + kValidation, rest.end());
  const auto side = [&](const HostMatrix& m, const char* stream) {
    Modality s{take(context, m, known), take(context, m, shuffled(unpaired, kFirstSeed + seed, stream)),
               take(context, m, validation), take(context, m, measured)};
    const Preprocessing mean = fit_preprocessing(context, {s.pairs, s.unpaired});
    for (Matrix<float>* rows : {&s.pairs, &s.unpaired, &s.validation, &s.measured})
      preprocess(context, mean, *rows, *rows);
    return s;
  };
  return Rows{side(x, "demo.images"), side(y, "demo.texts")};
}

// --- measures ---

struct Score {
  double validation = 0, mrr = 0, r1 = 0;
  std::vector<double> pairs = {};  // reciprocal ranks of the validation pairs, mean of both directions
  std::string json() const {
    return fmt::format("{{\"validation\": {:.4f}, \"mrr\": {:.4f}, \"r1\": {:.4f}}}", 100 * validation,
                       100 * mrr, 100 * r1);
  }
};

Matrix<float> project(Context& context, const Teacher& teacher, Side side, const Matrix<float>& rows) {
  Matrix<float> out(context, rows.rows(), teacher.dim());
  teacher.project(context, side, rows, out);
  return out;
}

Score score_of(Context& context, const Rows& rows,
               const std::function<Matrix<float>(Side, const Matrix<float>&)>& map) {
  const RetrievalRanks ranks =
      retrieval_ranks(context, map(Side::kX, rows.x.validation), map(Side::kY, rows.y.validation));
  const RetrievalResult m =
      retrieval(context, map(Side::kX, rows.x.measured), map(Side::kY, rows.y.measured));
  Score s{0, m.mean_reciprocal_rank, m.mean_r1};
  for (size_t i = 0; i < ranks.image_to_text.size(); ++i) {
    s.pairs.push_back(0.5 / static_cast<double>(ranks.image_to_text[i]) +
                      0.5 / static_cast<double>(ranks.text_to_image[i]));
    s.validation += s.pairs.back() / static_cast<double>(ranks.image_to_text.size());
  }
  return s;
}

/// The standard error of the difference of two means over the same validation pairs.
double paired_error(const Score& a, const Score& b) {
  const auto n = static_cast<double>(a.pairs.size());
  double squares = 0;
  for (size_t i = 0; i < a.pairs.size(); ++i) {
    const double d = (a.pairs[i] - b.pairs[i]) - (a.validation - b.validation);
    squares += d * d;
  }
  return std::sqrt(squares / (n - 1) / n);
}

Score score(Context& context, const Rows& rows, const Teacher& teacher) {
  return score_of(context, rows,
                  [&](Side side, const Matrix<float>& m) { return project(context, teacher, side, m); });
}

Score score(Context& context, const Rows& rows, const Model& model) {
  return score_of(context, rows, [&](Side side, const Matrix<float>& m) {
    Matrix<float> out(context, m.rows(), model.head(side).options().output_dim);
    model.head(side).embed(context, model.parameters, m, out);
    return out;
  });
}

// --- K* of other kinds ---

/// The map of one side's rows to unit rows whose inner products are the affinity.
using Map = std::function<Matrix<float>(Side, const Matrix<float>&)>;

/// Similarities to the known pairs, negative ones cut, to a power (ASIF).
Matrix<float> profiles(Context& context, const Rows& rows, Side side, const Matrix<float>& m, double power) {
  const Matrix<float>& anchors = side == Side::kX ? rows.x.pairs : rows.y.pairs;
  Matrix<float> out(context, m.rows(), anchors.rows());
  cosines(context, m, anchors, out);
  std::vector<float> values = out.download();
  for (int64_t i = 0; i < out.rows(); ++i) {
    double squares = 0;
    for (int64_t j = 0; j < out.cols(); ++j) {
      float& v = values[i * out.cols() + j];
      v = v > 0 ? static_cast<float>(std::pow(v, power)) : 0;
      squares += static_cast<double>(v) * v;
    }
    for (int64_t j = 0; squares > 0 && j < out.cols(); ++j)
      values[i * out.cols() + j] /= static_cast<float>(std::sqrt(squares));
  }
  out.upload(values.data());
  return out;
}

/// The power is the one that retrieves best on the validation rows.
Map asif(Context& context, const Rows& rows, Score& best) {
  double best_power = 0;
  for (const double power : {1.0, 2.0, 4.0, 8.0}) {
    const Score s = score_of(context, rows, [&](Side side, const Matrix<float>& m) {
      return profiles(context, rows, side, m, power);
    });
    if (best_power == 0 || s.validation > best.validation) best = s, best_power = power;
  }
  return [&context, &rows, best_power](Side side, const Matrix<float>& m) {
    return profiles(context, rows, side, m, best_power);
  };
}

/// The teacher's own choice (CCA or self-training), on Gaussian kernels of landmarks: pairs, then unpaired
/// rows.
class Kernel {
 public:
  Kernel(Context& context, const Rows& rows, uint64_t seed) : context_(context) {
    for (const Side side : {Side::kX, Side::kY}) {
      const Modality& s = side == Side::kX ? rows.x : rows.y;
      const int64_t count =
          std::min<int64_t>(std::max(kLandmarks, s.pairs.rows()), s.pairs.rows() + s.unpaired.rows());
      Matrix<float> landmarks(context, count, s.pairs.cols());
      for (int64_t i = 0; i < count; ++i)
        context.copy_on_device(
            landmarks.view().row(i),
            i < s.pairs.rows() ? s.pairs.view().row(i) : s.unpaired.view().row(i - s.pairs.rows()),
            static_cast<size_t>(s.pairs.cols()) * sizeof(float));
      landmarks_.push_back(std::move(landmarks));
      means_.emplace_back();
      const Matrix<float> p = features(side, s.pairs), u = features(side, s.unpaired);
      means_.back() = fit_preprocessing(context, {p, u});
    }
    const auto f = [&](Side side, const Matrix<float>& m) { return map(side, m); };
    const Matrix<float> px = f(Side::kX, rows.x.pairs), py = f(Side::kY, rows.y.pairs),
                        ux = f(Side::kX, rows.x.unpaired), uy = f(Side::kY, rows.y.unpaired),
                        vx = f(Side::kX, rows.x.validation), vy = f(Side::kY, rows.y.validation);
    TrainOptions o;
    o.teacher.seed = seed;
    teacher_ = choose_teacher(context,
                              {.pairs_x = px,
                               .pairs_y = py,
                               .unpaired_x = ux,
                               .unpaired_y = uy,
                               .validation_x = vx,
                               .validation_y = vy},
                              o.teacher, o.self_training)
                   .teacher;
  }
  Matrix<float> operator()(Side side, const Matrix<float>& m) const {
    return project(context_, teacher_, side, map(side, m));
  }

 private:
  Matrix<float> features(Side side, const Matrix<float>& m) const {
    const Matrix<float>& landmarks = landmarks_[side == Side::kX ? 0 : 1];
    Matrix<float> out(context_, m.rows(), landmarks.rows());
    cosines(context_, m, landmarks, out);
    // |x - l|^2 = 2 - 2 cos; of centred rows most are near 2. The width is 1.
    for (float* v = out.data(); v != out.data() + out.size(); ++v) *v = std::exp(*v - 1);
    return out;
  }
  Matrix<float> map(Side side, const Matrix<float>& m) const {
    Matrix<float> f = features(side, m);
    preprocess(context_, means_[side == Side::kX ? 0 : 1], f, f);
    return f;
  }
  Context& context_;
  std::vector<Matrix<float>> landmarks_;
  std::vector<Preprocessing> means_;
  Teacher teacher_;
};

// --- training ---

void append_rows(Matrix<float>& to, const Matrix<float>& a, const Matrix<float>& b) {
  std::copy(a.data(), a.data() + a.size(), to.data());
  std::copy(b.data(), b.data() + b.size(), to.data() + a.size());
}

/// [sqrt(1 - share) a, sqrt(share) b]: its inner products are the mixture of both affinities.
Matrix<float> mixture(Context& context, const Matrix<float>& a, const Matrix<float>& b, double share) {
  Matrix<float> out(context, a.rows(), a.cols() + b.cols());
  const auto wa = static_cast<float>(std::sqrt(1 - share)), wb = static_cast<float>(std::sqrt(share));
  for (int64_t i = 0; i < a.rows(); ++i) {
    float* row = out.view().row(i);
    for (int64_t j = 0; j < a.cols(); ++j) row[j] = wa * a.view().row(i)[j];
    for (int64_t j = 0; j < b.cols(); ++j) row[a.cols() + j] = wb * b.view().row(i)[j];
  }
  return out;
}

/// One set, number of pairs and seed.
class Unit {
 public:
  Unit(Context& context, Rows rows, uint64_t seed, const std::string& cache)
      : context_(context), rows_(std::move(rows)), seed_(seed), teacher_(teacher(cache)) {
    for (Modality* s : {&rows_.x, &rows_.y}) {
      all_.emplace_back(context, s->pairs.rows() + s->unpaired.rows(), s->pairs.cols());
      append_rows(all_.back(), s->pairs, s->unpaired);
    }
    teacher_score_ = score(context_, rows_, teacher_);
  }

  std::string run(const Setting& setting) {
    const auto start = std::chrono::steady_clock::now();
    TrainOptions o = setting.options;
    o.seed = seed_;
    const int64_t pairs = rows_.x.pairs.rows();
    o.dim = std::max(o.dim, teacher_.dim());
    Model model(context_, detail::head_options(o, rows_.x.pairs.cols()),
                detail::head_options(o, rows_.y.pairs.cols()), seed_);
    detail::set_teacher_heads(model.parameters, o, teacher_);
    ParameterSet& parameters = model.parameters;
    Optimizer optimizer(context_, parameters.size(), o.optimizer);
    BatchSampler pair_sampler(pairs, o.batch_pairs, seed_, stream_id("sampler.pairs"));
    const auto unpaired =
        make_unpaired_rows({.context = context_,
                            .options = o,
                            .rows = {rows_.x.pairs, rows_.y.pairs, rows_.x.unpaired, rows_.y.unpaired},
                            .pairs = pairs});
    const int64_t n = pairs + unpaired->images(), m = pairs + unpaired->texts();
    const int64_t first = setting.pairs_in_klot ? 0 : pairs;  // of KLOT's rows in a batch
    Buffer<int64_t> pair_index(context_, pairs);
    Matrix<float> xb(context_, n, rows_.x.pairs.cols()), yb(context_, m, rows_.y.pairs.cols());
    Activations xa(context_, model.head(Side::kX), n), ya(context_, model.head(Side::kY), m);
    Matrix<float> dx(context_, n, o.dim), dy(context_, m, o.dim), kx(context_, n, o.dim),
        ky(context_, m, o.dim);
    SiglipTerm siglip(context_, pairs, pairs, pairs);
    const auto divergence =
        make_embedding_divergence(context_, n - first, m - first, o.divergence, KlotMemory::kStored);
    // K* of all rows, and of a batch.
    Matrix<float> tx = target(setting, Side::kX), ty = target(setting, Side::kY);

    const std::vector<float> initial = weights(parameters);
    std::vector<float> ema = initial, tail(initial.size());
    int64_t tail_count = 0, best_step = 0;
    Score best = score(context_, rows_, model), last, trained;  // trained: the best step after 0
    for (int64_t step = 0; step < o.steps; ++step) {
      if (setting.refresh > 0 && step > 0 && step % setting.refresh == 0) {
        tx = refreshed(setting, Side::kX, model), ty = refreshed(setting, Side::kY, model);
      }
      pair_sampler.sample(context_, step, pair_index.data());
      unpaired->pick(step, pair_index.data());
      gather(all_[0], pair_index.data(), unpaired->image_index(), unpaired->images(), xb);
      gather(all_[1], pair_index.data(), unpaired->text_index(), unpaired->texts(), yb);
      const ConstMatrixF f = model.head(Side::kX).forward(context_, parameters, xb, xa),
                         g = model.head(Side::kY).forward(context_, parameters, yb, ya);
      siglip.run(parameters, f.row_range(0, pairs), g.row_range(0, pairs), dx.view().row_range(0, pairs),
                 dy.view().row_range(0, pairs));
      const Matrix<float> bx = batch_target(setting, tx, pair_index.data(), unpaired->image_index(),
                                            unpaired->images()),
                          by = batch_target(setting, ty, pair_index.data(), unpaired->text_index(),
                                            unpaired->texts());
      divergence->run({f.row_range(first, n - first), g.row_range(first, m - first)},
                      {bx.view().row_range(first, n - first), by.view().row_range(first, m - first)},
                      kx.view().row_range(first, n - first), ky.view().row_range(first, m - first),
                      o.divergence_weight);
      add(dx, kx, pairs, first), add(dy, ky, pairs, first);
      model.head(Side::kX).backward(context_, parameters, xb, xa, dx);
      model.head(Side::kY).backward(context_, parameters, yb, ya, dy);
      optimizer.step(parameters.values(), parameters.gradients(), parameters.size(),
                     parameters.decayed_size(), learning_rate(o.schedule, step, o.steps));
      const float* w = parameters.values();
      for (size_t i = 0; i < ema.size(); ++i) ema[i] += kEmaRate * (w[i] - ema[i]);
      if (2 * (step + 1) > o.steps) {
        ++tail_count;
        for (size_t i = 0; i < tail.size(); ++i) tail[i] += (w[i] - tail[i]) / static_cast<float>(tail_count);
      }
      if ((step + 1) % kValidateEvery == 0 || step + 1 == o.steps) {
        last = score(context_, rows_, model);
        if (last.validation > best.validation) best = last, best_step = step + 1;
        if (last.validation > trained.validation) trained = last;
      }
    }
    const std::vector<float> final = weights(parameters);
    const auto score_with = [&](const std::vector<float>& w) {
      std::copy(w.begin(), w.end(), parameters.values());
      return score(context_, rows_, model);
    };
    /// Between the first and the last weights.
    const auto between = [&](float share_of_start) {
      std::vector<float> w(final.size());
      for (size_t i = 0; i < w.size(); ++i)
        w[i] = share_of_start * initial[i] + (1 - share_of_start) * final[i];
      return score_with(w);
    };
    const Score half = between(0.5f);
    const std::string averages = fmt::format(
        "\"ema\": {}, \"tail\": {}, \"q25\": {}, \"half\": {}, \"q75\": {}, "
        "\"half_error\": {:.4f}, \"half_error_best\": {:.4f}",
        score_with(ema).json(), score_with(tail).json(), between(0.75f).json(), half.json(),
        between(0.25f).json(), 100 * paired_error(half, teacher_score_), 100 * paired_error(half, best));
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    return fmt::format(
        "\"teacher\": {}, \"last\": {}, \"best\": {}, \"best_step\": {}, \"trained\": {}, "
        "\"last_error\": {:.4f}, \"trained_error\": {:.4f}, {}, \"seconds\": {:.1f}",
        teacher_score_.json(), last.json(), best.json(), best_step, trained.json(),
        100 * paired_error(last, teacher_score_), 100 * paired_error(trained, teacher_score_), averages,
        taken.count());
  }

  /// What the target alone retrieves.
  std::string target_scores() {
    std::string text;
    for (const auto& [kind, name] : {std::pair{Target::kAsif, "asif"}, std::pair{Target::kKernel, "kernel"}})
      if (target_scores_.contains(kind))
        text += fmt::format(", \"{}\": {}", name, target_scores_[kind].json());
    return text;
  }

 private:
  Teacher teacher(const std::string& cache) {
    if (std::filesystem::exists(cache)) return std::move(*Model::load(context_, cache).teacher);
    TrainOptions o;
    o.teacher.seed = seed_;
    ChosenTeacher chosen = choose_teacher(context_,
                                          {.pairs_x = rows_.x.pairs,
                                           .pairs_y = rows_.y.pairs,
                                           .unpaired_x = rows_.x.unpaired,
                                           .unpaired_y = rows_.y.unpaired,
                                           .validation_x = rows_.x.validation,
                                           .validation_y = rows_.y.validation},
                                          o.teacher, o.self_training);
    Model model(context_, std::move(chosen.teacher));
    model.image_preprocessing.mean.resize(static_cast<size_t>(rows_.x.pairs.cols()));
    model.text_preprocessing.mean.resize(static_cast<size_t>(rows_.y.pairs.cols()));
    model.save(cache);
    return std::move(*model.teacher);
  }

  static std::vector<float> weights(const ParameterSet& parameters) {
    return {parameters.values(), parameters.values() + parameters.size()};
  }

  /// Rows of a batch: the pairs, then the unpaired rows, whose indices count from the first unpaired row.
  void gather(const Matrix<float>& all, const int64_t* pair_index, const int64_t* index, int64_t count,
              MatrixF out) {
    const int64_t pairs = rows_.x.pairs.rows();
    gather_rows(context_, all.view().row_range(0, pairs), pair_index, out.row_range(0, pairs));
    gather_rows(context_, all.view().row_range(pairs, all.rows() - pairs), index,
                out.row_range(pairs, count));
  }

  const Map& map_of(Target kind) {
    if (!maps_.contains(kind)) {
      if (kind == Target::kAsif) {
        maps_[kind] = asif(context_, rows_, target_scores_[kind]);
      } else {
        const auto kernel = std::make_shared<Kernel>(context_, rows_, seed_);
        maps_[kind] = [kernel](Side side, const Matrix<float>& m) { return (*kernel)(side, m); };
        target_scores_[kind] = score_of(context_, rows_, maps_[kind]);
      }
    }
    return maps_[kind];
  }

  Matrix<float> target(const Setting& setting, Side side) {
    const Matrix<float>& all = all_[side == Side::kX ? 0 : 1];
    Matrix<float> linear = project(context_, teacher_, side, all);
    if (setting.target == Target::kTeacher) return linear;
    Matrix<float> other = map_of(setting.target)(side, all);
    return setting.target_share == 1 ? std::move(other)
                                     : mixture(context_, linear, other, setting.target_share);
  }

  Matrix<float> refreshed(const Setting& setting, Side side, const Model& model) {
    const Matrix<float>& all = all_[side == Side::kX ? 0 : 1];
    Matrix<float> student(context_, all.rows(), model.head(side).options().output_dim);
    model.head(side).embed(context_, model.parameters, all, student);
    if (setting.refresh_share == 1) return student;
    return mixture(context_, target(setting, side), student, setting.refresh_share);
  }

  Matrix<float> batch_target(const Setting& setting, const Matrix<float>& all, const int64_t* pair_index,
                             const int64_t* index, int64_t count) {
    const int64_t pairs = rows_.x.pairs.rows();
    Matrix<float> batch(context_, pairs + count, all.cols());
    gather(all, pair_index, index, count, batch);
    if (setting.pair_bonus == 0) return batch;
    Matrix<float> wide(context_, batch.rows(), batch.cols() + pairs);
    for (int64_t i = 0; i < batch.rows(); ++i) {
      std::copy(batch.view().row(i), batch.view().row(i) + batch.cols(), wide.view().row(i));
      if (i < pairs) wide.view().row(i)[batch.cols() + i] = static_cast<float>(std::sqrt(setting.pair_bonus));
    }
    return wide;
  }

  /// Rows [first, n) of d: SigLIP's gradient of the pairs, and KLOT's.
  static void add(Matrix<float>& d, const Matrix<float>& k, int64_t pairs, int64_t first) {
    const int64_t from = pairs * d.cols();
    std::copy(k.data() + from, k.data() + k.size(), d.data() + from);
    for (int64_t i = first * d.cols(); i < from; ++i) d.data()[i] += k.data()[i];
  }

  Context& context_;
  Rows rows_;
  uint64_t seed_;
  Teacher teacher_;
  std::vector<Matrix<float>> all_;  // of each side: pairs, then unpaired rows
  Score teacher_score_;
  std::map<Target, Map> maps_;
  std::map<Target, Score> target_scores_;
};

std::vector<std::string> list(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ';');) parts.push_back(part);
  return parts;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 6)
    throw InvalidArgument("usage: student_settings DATA SETS PAIRS SEEDS SETTINGS CACHE");
  const std::map<std::string, Setting> known = settings();
  std::vector<std::string> names = list(arguments[4]);
  if (names == std::vector<std::string>{"all"}) {
    names.clear();
    for (const auto& entry : known) names.push_back(entry.first);
  }
  for (const std::string& name : names)
    if (!known.contains(name)) throw InvalidArgument(fmt::format("setting: found '{}'", name));
  Context context;
  for (const std::string& seed : list(arguments[3]))
    for (const std::string& set : list(arguments[1])) {
      const HostMatrix x = read_matrix(fmt::format("{}/{}/images.npy", arguments[0], set)),
                       y = read_matrix(fmt::format("{}/{}/texts.npy", arguments[0], set));
      const int64_t test = set == "emoji" || set == "shopclip" ? 300 : 400;  // as compare_sets.py
      for (const std::string& pairs : list(arguments[2])) {
        const uint64_t number = std::stoull(seed);
        std::optional<Rows> rows = split(context, x, y, std::stoll(pairs), test, number);
        if (!rows) continue;
        Unit unit(context, std::move(*rows), kFirstSeed + number,
                  fmt::format("{}/{}_{}_{}.safetensors", arguments[5], set, pairs, seed));
        for (const std::string& name : names) {
          const std::string result = unit.run(known.at(name));
          fmt::print("{{\"set\": \"{}\", \"pairs\": {}, \"seed\": {}, \"setting\": \"{}\", {}{}}}\n", set,
                     pairs, number, name, result, unit.target_scores());
          std::fflush(stdout);
        }
      }
    }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "student_settings: {}\n", error.what());
    return 2;
  }
}
