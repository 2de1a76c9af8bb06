#include "sotalign/teacher/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/teacher/search.h"
#include "teacher/folds.h"

namespace sotalign {

namespace {

constexpr double kRidgeFactors[] = {1.0, 0.3, 0.1};
constexpr double kNextRidge = 0.3;
constexpr int64_t kFolds = 3;

double mean_reciprocal_rank(Context& context, const Teacher& teacher, ConstMatrixF x, ConstMatrixF y,
                            const RetrievalOptions& options = {}) {
  Matrix<float> f(context, x.rows, teacher.dim(), "projections"),
      g(context, y.rows, teacher.dim(), "projections");
  teacher.project(context, Side::kX, x, f);
  teacher.project(context, Side::kY, y, g);
  return retrieval(context, f, g, options).mean_reciprocal_rank;
}

Teacher copy(Context& context, const Teacher& teacher) {
  const auto matrix = [&](const Matrix<float>& from) {
    Matrix<float> to(context, from.rows(), from.cols(), "teacher");
    context.copy_on_device(to.data(), from.data(),
                           static_cast<size_t>(from.rows() * from.cols()) * sizeof(float));
    return to;
  };
  const auto buffer = [&](const Buffer<float>& from) {
    Buffer<float> to(context, from.size());
    context.copy_on_device(to.data(), from.data(), static_cast<size_t>(from.size()) * sizeof(float));
    return to;
  };
  return {.kind = teacher.kind,
          .mean_x = buffer(teacher.mean_x),
          .mean_y = buffer(teacher.mean_y),
          .wx = matrix(teacher.wx),
          .wy = matrix(teacher.wy),
          .correlations = teacher.correlations};
}

class Chooser {
 public:
  Chooser(Context& context, const TeacherRows& rows, const TeacherOptions& options,
          const SelfTrainingOptions& self_training)
      : context_(context), rows_(rows), options_(options), self_training_(self_training) {
    options_.kind = TeacherKind::kCca;
  }

  ChosenTeacher by_validation() {
    for (const double factor : kRidgeFactors) {
      const double ridge = factor * *options_.ridge;
      Teacher teacher = fit(ridge);
      measure({.kind = TeacherKind::kCca, .ridge = ridge}, teacher);
      if (ridge == 0) break;
    }
    if (can_self_train()) {
      const double ridge = trials_[best_].ridge;
      self_train(ridge);
      if (ridge > 0) self_train(kNextRidge * ridge);
    }
    TeacherTrial& best = trials_[best_];
    std::string reason = fmt::format("{}, by the mean reciprocal rank of {} validation pairs: {:.3f}",
                                     describe(best), rows_.validation_x.rows, best.mean_reciprocal_rank);
    if (best_ != 0)
      reason += fmt::format("; {} {:.3f}", describe(trials_[0]), trials_[0].mean_reciprocal_rank);
    return finish(best, std::move(*teacher_), std::move(reason));
  }

  ChosenTeacher by_pairs() {
    TeacherTrial cca{.ridge = *options_.ridge},
        self{.kind = TeacherKind::kSelfTraining, .ridge = cca.ridge, .passes = self_training_.passes};
    if (!can_self_train()) return finish(cca, fit(cca.ridge), "CCA, for there are no unpaired rows");
    const std::vector<float> rows_x = detail::host_rows(context_, rows_.pairs_x),
                             rows_y = detail::host_rows(context_, rows_.pairs_y);
    const ConstMatrixF host_x(rows_x.data(), rows_.pairs_x.rows, rows_.pairs_x.cols),
        host_y(rows_y.data(), rows_.pairs_y.rows, rows_.pairs_y.cols);
    const std::vector<int64_t> groups = detail::group_pairs(host_x, host_y);
    const int64_t count = 1 + *std::max_element(groups.begin(), groups.end());
    if (count < kFewestGroups)
      return finish(cca, fit(cca.ridge),
                    fmt::format("CCA, for {} different pairs are too few to choose by", count));
    for (const detail::Fold& fold : detail::divide_pairs(groups, kFolds, options_.seed, 0))
      add_fold(fold, groups, cca, self);
    trials_ = {cca, self};
    for (TeacherTrial& trial : trials_) trial.mean_reciprocal_rank /= static_cast<double>(groups.size());
    const TeacherTrial& chosen =
        trials_[trials_[1].mean_reciprocal_rank > trials_[0].mean_reciprocal_rank ? 1 : 0];
    std::string reason = fmt::format(
        "{}, by {}-fold cross-validation on the pairs: mean reciprocal rank {:.3f} with CCA, {:.3f} with "
        "self-training",
        chosen.kind == TeacherKind::kCca ? "CCA" : "self-training", kFolds, trials_[0].mean_reciprocal_rank,
        trials_[1].mean_reciprocal_rank);
    if (chosen.kind == TeacherKind::kCca) return finish(chosen, fit(chosen.ridge), std::move(reason));
    SelfTraining training = begin(rows_.pairs_x, rows_.pairs_y, chosen.ridge);
    while (!training.finished()) {
      training.pass();
      passes_.push_back(training.last());
    }
    TeacherTrial done = chosen;
    done.passes = training.passes_done();
    return finish(done, training.take_teacher(), std::move(reason));
  }

 private:
  bool can_self_train() const {
    return !rows_.unpaired_x.empty() && !rows_.unpaired_y.empty() && self_training_.passes > 0;
  }

  static std::string describe(const TeacherTrial& trial) {
    return trial.kind == TeacherKind::kCca
               ? fmt::format("CCA with ridge {:.4g}", trial.ridge)
               : fmt::format("{} passes of self-training with ridge {:.4g}", trial.passes, trial.ridge);
  }

  Teacher fit(double ridge) { return fit(rows_.pairs_x, rows_.pairs_y, ridge); }
  Teacher fit(ConstMatrixF x, ConstMatrixF y, double ridge) {
    TeacherOptions options = options_;
    options.ridge = ridge;
    return fit_teacher(context_, x, y, options);
  }

  SelfTraining begin(ConstMatrixF x, ConstMatrixF y, double ridge) {
    SelfTrainingOptions options = with_teacher_options(self_training_, options_);
    options.ridge = ridge;
    return SelfTraining(context_, x, y, rows_.unpaired_x, rows_.unpaired_y, options);
  }

  /// Adds the trial; true if it is the best so far, whose teacher is then kept.
  bool measure(TeacherTrial trial, const Teacher& teacher) {
    trial.mean_reciprocal_rank =
        mean_reciprocal_rank(context_, teacher, rows_.validation_x, rows_.validation_y);
    trials_.push_back(trial);
    const bool better =
        trials_.size() == 1 || trial.mean_reciprocal_rank > trials_[best_].mean_reciprocal_rank;
    if (better) {
      best_ = trials_.size() - 1;
      teacher_ = copy(context_, teacher);
    }
    return better;
  }

  void self_train(double ridge) {
    SelfTraining training = begin(rows_.pairs_x, rows_.pairs_y, ridge);
    std::vector<PassReport> passes;
    double highest = -1;
    int64_t since = 0;  // passes since the highest score of this training
    while (!training.finished() && since < kPatience) {
      try {
        training.pass();
      } catch (const NumericalError&) {
        return;
      }
      passes.push_back(training.last());
      const bool best =
          measure({.kind = TeacherKind::kSelfTraining, .ridge = ridge, .passes = training.passes_done()},
                  training.teacher());
      if (best) passes_ = passes;
      const double score = trials_.back().mean_reciprocal_rank;
      since = score > highest ? 0 : since + 1;
      highest = std::max(highest, score);
    }
  }

  /// Adds the reciprocal ranks of the pairs left out.
  void add_fold(const detail::Fold& fold, const std::vector<int64_t>& groups, TeacherTrial& cca,
                TeacherTrial& self) {
    const Matrix<float> x = detail::take_rows(context_, rows_.pairs_x, fold.kept),
                        y = detail::take_rows(context_, rows_.pairs_y, fold.kept),
                        left_x = detail::take_rows(context_, rows_.pairs_x, fold.left_out),
                        left_y = detail::take_rows(context_, rows_.pairs_y, fold.left_out);
    RetrievalOptions retrieval;
    for (const int64_t pair : fold.left_out) retrieval.image_ids.push_back(groups[static_cast<size_t>(pair)]);
    retrieval.text_ids = retrieval.image_ids;
    const auto score = [&](const Teacher& teacher) {
      return mean_reciprocal_rank(context_, teacher, left_x, left_y, retrieval) *
             static_cast<double>(fold.left_out.size());
    };
    try {
      SelfTraining training = begin(x, y, self.ridge);
      const double before = score(training.teacher());
      for (int64_t pass = 0; pass < std::min(kFoldPasses, self_training_.passes); ++pass) training.pass();
      cca.mean_reciprocal_rank += before;
      self.mean_reciprocal_rank += score(training.teacher());
    } catch (const InvalidArgument&) {  // the kept pairs do not vary: this fold decides nothing
    } catch (const NumericalError&) {   // likewise
    }
  }

  ChosenTeacher finish(const TeacherTrial& chosen, Teacher teacher, std::string reason) {
    TeacherChoice choice{
        .options = options_, .self_training = self_training_, .trials = trials_, .reason = std::move(reason)};
    choice.options.kind = chosen.kind;
    choice.options.ridge = chosen.ridge;
    if (chosen.kind == TeacherKind::kSelfTraining) {
      choice.self_training.passes = chosen.passes;
      choice.passes = std::move(passes_);
    }
    return {.teacher = std::move(teacher), .choice = std::move(choice)};
  }

  Context& context_;
  const TeacherRows& rows_;
  TeacherOptions options_;
  const SelfTrainingOptions& self_training_;
  std::vector<TeacherTrial> trials_;
  size_t best_ = 0;
  std::optional<Teacher> teacher_;
  std::vector<PassReport> passes_;
};

}  // namespace

ChosenTeacher choose_teacher(Context& context, const TeacherRows& rows, const TeacherOptions& options,
                             const SelfTrainingOptions& self_training) {
  Chooser chooser(context, rows, options, self_training);
  return rows.validation_x.rows > 0 ? chooser.by_validation() : chooser.by_pairs();
}

}  // namespace sotalign
