// The choice of a teacher: which candidates are measured and on what, which one wins, and what a trainer
// makes of it.
#include "sotalign/teacher/choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/teacher/search.h"
#include "sotalign/train/trainer.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/temporary_directory.h"
#include "teacher/folds.h"

namespace sotalign {
namespace lib_teacher_choice_test {

using testing::random_normal;
using Floats = std::vector<float>;

constexpr int64_t kHidden = 4, kDx = 8, kDy = 6;

/// Unit rows that depend linearly on hidden rows of four values, plus noise.
Floats rows_of(const Floats& hidden, int64_t d, uint64_t map_seed, uint64_t noise_seed, float noise) {
  const int64_t n = static_cast<int64_t>(hidden.size()) / kHidden;
  const Floats map = random_normal(kHidden * d, map_seed);
  Floats rows = random_normal(n * d, noise_seed, noise);
  for (int64_t i = 0; i < n; ++i) {
    double squares = 0;
    for (int64_t j = 0; j < d; ++j) {
      for (int64_t h = 0; h < kHidden; ++h) rows[i * d + j] += hidden[i * kHidden + h] * map[h * d + j];
      squares += double(rows[i * d + j]) * double(rows[i * d + j]);
    }
    for (int64_t j = 0; j < d; ++j) rows[i * d + j] /= static_cast<float>(std::sqrt(squares));
  }
  return rows;
}

class TeacherChoiceTest : public testing::DeviceTest {
 protected:
  static constexpr int64_t kPairs = 15, kUnpaired = 80, kValidation = 40;

  Matrix<float> upload(const Floats& values, int64_t cols) {
    return {context, values.data(), static_cast<int64_t>(values.size()) / cols, cols};
  }
  TeacherRows rows(bool validation, bool with_unpaired = true) {
    TeacherRows rows{.pairs_x = a, .pairs_y = b, .unpaired_x = {}, .unpaired_y = {}};
    if (with_unpaired) rows.unpaired_x = x, rows.unpaired_y = y;
    if (validation) rows.validation_x = u, rows.validation_y = v;
    return rows;
  }
  TrainingData data() const {
    return {.pair_images = {host_a.data(), kPairs, kDx},
            .pair_texts = {host_b.data(), kPairs, kDy},
            .images = {host_x.data(), kUnpaired, kDx},
            .texts = {host_y.data(), kUnpaired, kDy},
            .validation_images = {host_u.data(), kValidation, kDx},
            .validation_texts = {host_v.data(), kValidation, kDy}};
  }
  double score(const Teacher& teacher, ConstMatrixF left, ConstMatrixF right) {
    Matrix<float> f(context, left.rows, teacher.dim(), "f"), g(context, right.rows, teacher.dim(), "g");
    teacher.project(context, Side::kX, left, f);
    teacher.project(context, Side::kY, right, g);
    return retrieval(context, f, g).mean_reciprocal_rank;
  }
  Teacher cca(double ridge) {
    return fit_teacher(context, a, b, {.ridge = ridge, .correlation_power = 0.5, .seed = 3});
  }
  SelfTraining training(double ridge, ConstMatrixF left, ConstMatrixF right) {
    SelfTrainingOptions own = self_training;
    own.ridge = ridge, own.seed = 3;
    return SelfTraining(context, left, right, x, y, own);
  }

  const Floats pairs = random_normal(kPairs * kHidden, 1), unpaired = random_normal(kUnpaired * kHidden, 2),
               held_out = random_normal(kValidation * kHidden, 3);
  const Floats host_a = rows_of(pairs, kDx, 11, 21, 0.6f), host_b = rows_of(pairs, kDy, 12, 22, 0.6f),
               host_x = rows_of(unpaired, kDx, 11, 23, 0.6f), host_y = rows_of(unpaired, kDy, 12, 24, 0.6f),
               host_u = rows_of(held_out, kDx, 11, 25, 0.6f), host_v = rows_of(held_out, kDy, 12, 26, 0.6f);
  Matrix<float> a = upload(host_a, kDx), b = upload(host_b, kDy), x = upload(host_x, kDx),
                y = upload(host_y, kDy), u = upload(host_u, kDx), v = upload(host_v, kDy);
  const TeacherOptions asked{.kind = TeacherKind::kAuto, .ridge = 0.05, .correlation_power = 0.5, .seed = 3};
  const SelfTrainingOptions self_training{.passes = 7, .batch = 50, .correlation_power = 0.5};
};

TEST_P(TeacherChoiceTest, ValidationPairsMeasureEveryCandidate) {
  const ChosenTeacher chosen = choose_teacher(context, rows(true), asked, self_training);
  const std::vector<TeacherTrial>& trials = chosen.choice.trials;

  std::vector<TeacherTrial> expected;
  for (const double ridge : {0.05, 0.3 * 0.05, 0.1 * 0.05})
    expected.push_back({TeacherKind::kCca, ridge, 0, score(cca(ridge), u, v)});
  const auto by_score = [](const TeacherTrial& l, const TeacherTrial& r) {
    return l.mean_reciprocal_rank < r.mean_reciprocal_rank;
  };
  const double ridge = std::max_element(expected.begin(), expected.end(), by_score)->ridge;
  for (const double own : {ridge, 0.3 * ridge}) {
    SelfTraining passes = training(own, a, b);
    std::vector<double> scores;
    for (int64_t pass = 1; pass <= self_training.passes; ++pass) {
      passes.pass();
      scores.push_back(score(passes.teacher(), u, v));
      expected.push_back({TeacherKind::kSelfTraining, own, pass, scores.back()});
      if (scores.end() - std::max_element(scores.begin(), scores.end()) > kPatience) break;
    }
  }
  ASSERT_EQ(trials.size(), expected.size());
  for (size_t i = 0; i < trials.size(); ++i) {
    EXPECT_EQ(trials[i].kind, expected[i].kind) << i;
    EXPECT_EQ(trials[i].ridge, expected[i].ridge) << i;
    EXPECT_EQ(trials[i].passes, expected[i].passes) << i;
    EXPECT_EQ(trials[i].mean_reciprocal_rank, expected[i].mean_reciprocal_rank) << i;
  }
  const TeacherTrial& best = *std::max_element(expected.begin(), expected.end(), by_score);
  ASSERT_EQ(best.kind, TeacherKind::kSelfTraining);  // these rows are made for it
  EXPECT_EQ(chosen.choice.options.kind, best.kind);
  EXPECT_EQ(chosen.choice.options.ridge, best.ridge);
  EXPECT_EQ(chosen.choice.self_training.passes, best.passes);
  EXPECT_EQ(static_cast<int64_t>(chosen.choice.passes.size()), best.passes);
  EXPECT_EQ(chosen.choice.passes.back().pass, best.passes);
  SelfTraining again = training(best.ridge, a, b);
  for (int64_t pass = 0; pass < best.passes; ++pass) again.pass();
  EXPECT_EQ(chosen.teacher.wx.download(), again.teacher().wx.download());
  EXPECT_EQ(chosen.teacher.wy.download(), again.teacher().wy.download());
  EXPECT_EQ(chosen.teacher.mean_x.download(), again.teacher().mean_x.download());
  EXPECT_EQ(chosen.teacher.mean_y.download(), again.teacher().mean_y.download());
  EXPECT_CONTAINS(chosen.choice.reason, "passes of self-training");
  EXPECT_CONTAINS(chosen.choice.reason, "40 validation pairs");
}

TEST_P(TeacherChoiceTest, UnpairedRowsThatMisleadAreLeftOut) {
  // Texts of another world: matching them to the images teaches nothing.
  y = upload(rows_of(random_normal(kUnpaired * kHidden, 9), kDy, 77, 78, 0.1f), kDy);
  SelfTrainingOptions trusting = self_training;
  trusting.unpaired_weight = 3;
  for (const bool validation : {true, false}) {
    const ChosenTeacher chosen = choose_teacher(context, rows(validation), asked, trusting);
    EXPECT_EQ(chosen.choice.options.kind, TeacherKind::kCca) << validation;
    EXPECT_TRUE(chosen.choice.passes.empty());
    EXPECT_EQ(chosen.choice.self_training, trusting);
    EXPECT_EQ(chosen.teacher.wx.download(), cca(*chosen.choice.options.ridge).wx.download());
  }
}

TEST_P(TeacherChoiceTest, WithoutValidationPairsTheFoldsDecide) {
  const ChosenTeacher chosen = choose_teacher(context, rows(false), asked, self_training);
  std::vector<int64_t> groups(kPairs);
  std::iota(groups.begin(), groups.end(), 0);
  double before = 0, after = 0;
  const auto take = [](const Floats& from, int64_t cols, const std::vector<int64_t>& rows) {
    Floats taken;
    for (const int64_t i : rows)
      taken.insert(taken.end(), from.begin() + i * cols, from.begin() + (i + 1) * cols);
    return taken;
  };
  for (const detail::Fold& fold : detail::divide_pairs(groups, 3, 3, 0)) {
    const Matrix<float> left = upload(take(host_a, kDx, fold.kept), kDx),
                        right = upload(take(host_b, kDy, fold.kept), kDy),
                        left_out = upload(take(host_a, kDx, fold.left_out), kDx),
                        right_out = upload(take(host_b, kDy, fold.left_out), kDy);
    SelfTraining passes = training(0.05, left, right);
    const auto weight = static_cast<double>(fold.left_out.size());
    before += weight * score(passes.teacher(), left_out, right_out);
    for (int64_t pass = 0; pass < kFoldPasses; ++pass) passes.pass();
    after += weight * score(passes.teacher(), left_out, right_out);
  }
  ASSERT_EQ(chosen.choice.trials.size(), 2u);
  EXPECT_DOUBLE_EQ(chosen.choice.trials[0].mean_reciprocal_rank, before / kPairs);
  EXPECT_DOUBLE_EQ(chosen.choice.trials[1].mean_reciprocal_rank, after / kPairs);
  ASSERT_GT(after, before);
  EXPECT_EQ(chosen.choice.options.kind, TeacherKind::kSelfTraining);
  EXPECT_EQ(chosen.choice.options.ridge, 0.05);
  SelfTraining all = training(0.05, a, b);
  while (!all.finished()) all.pass();
  EXPECT_EQ(chosen.teacher.wx.download(), all.teacher().wx.download());
  EXPECT_EQ(chosen.choice.self_training.passes, 7);
  EXPECT_CONTAINS(chosen.choice.reason, "3-fold cross-validation");
}

TEST_P(TeacherChoiceTest, CcaWhereNothingCanBeCompared) {
  const auto reason = [&](const TeacherRows& some) {
    const ChosenTeacher chosen = choose_teacher(context, some, asked, self_training);
    EXPECT_EQ(chosen.choice.options.kind, TeacherKind::kCca);
    EXPECT_EQ(chosen.choice.options.ridge, 0.05);
    EXPECT_TRUE(chosen.choice.trials.empty());
    return chosen.choice.reason;
  };
  EXPECT_CONTAINS(reason(rows(false, false)), "no unpaired rows");
  // Fifteen pairs, but only nine different ones.
  Floats left = host_a, right = host_b;
  for (int64_t i = 9; i < kPairs; ++i) {
    std::copy_n(left.begin(), kDx, left.begin() + i * kDx);
    std::copy_n(right.begin(), kDy, right.begin() + i * kDy);
  }
  const Matrix<float> repeated_a = upload(left, kDx), repeated_b = upload(right, kDy);
  TeacherRows some = rows(false);
  some.pairs_x = repeated_a, some.pairs_y = repeated_b;
  EXPECT_CONTAINS(reason(some), "9 different pairs");
  // Validation pairs still choose the ridge.
  const ChosenTeacher chosen = choose_teacher(context, rows(true, false), asked, self_training);
  EXPECT_EQ(chosen.choice.trials.size(), 3u);
  EXPECT_EQ(chosen.choice.options.kind, TeacherKind::kCca);
}

TEST_P(TeacherChoiceTest, RefusesRowsThatAreNotFinite) {
  Floats bad = host_a;
  bad[5] = std::numeric_limits<float>::quiet_NaN();
  const Matrix<float> matrix = upload(bad, kDx);
  for (const bool validation : {true, false}) {
    TeacherRows some = rows(validation);
    some.pairs_x = matrix;
    EXPECT_THROW(choose_teacher(context, some, asked, self_training), InvalidArgument) << validation;
  }
}

TEST_P(TeacherChoiceTest, ATrainerKeepsWhatItChose) {
  TrainOptions train{
      .teacher = asked, .self_training = self_training, .steps = 3, .batch_unpaired = 40, .seed = 3};
  Trainer trainer(context, data(), train);
  ASSERT_TRUE(trainer.teacher_choice().has_value());
  EXPECT_EQ(trainer.options().teacher.kind, trainer.teacher_choice()->options.kind);
  EXPECT_EQ(trainer.options().self_training.passes, trainer.teacher_choice()->self_training.passes);
  ASSERT_EQ(trainer.options().teacher.kind, TeacherKind::kSelfTraining);
  // Its options give the same teacher without a choice.
  Trainer again(context, data(), trainer.options());
  EXPECT_FALSE(again.teacher_choice().has_value());
  EXPECT_EQ(again.model().teacher->wx.download(), trainer.model().teacher->wx.download());
  EXPECT_EQ(again.model().teacher->wy.download(), trainer.model().teacher->wy.download());
  // SAIL uses no teacher, so nothing is compared.
  train.method = "sail";
  Trainer sail(context, data(), train);
  EXPECT_FALSE(sail.teacher_choice().has_value());
  EXPECT_EQ(sail.options().teacher.kind, TeacherKind::kCca);
}

TEST_P(TeacherChoiceTest, AStudentThatOnlyGetsWorseLeavesTheTeacher) {
  for (const char* method : {"sotalign", "self_training"}) {
    TrainOptions train{.method = method, .self_training = self_training, .steps = 4, .batch_unpaired = 40};
    train.schedule.peak = 100;  // destroys the weights
    if (train.method == "self_training") train.self_training.unpaired_weight = 0;
    Trainer trainer(context, data(), train);
    const RetrievalResult teacher = trainer.validate_teacher(), start = trainer.validate();
    EXPECT_EQ(start.mean_reciprocal_rank, teacher.mean_reciprocal_rank) << method;
    EXPECT_EQ(trainer.best_score(), start.mean_reciprocal_rank) << method;
    while (!trainer.finished()) {
      trainer.train_step();
      trainer.validate();
    }
    EXPECT_EQ(trainer.best_step(), 0) << method;
    trainer.restore_best();
    EXPECT_EQ(trainer.validate().mean_reciprocal_rank, teacher.mean_reciprocal_rank) << method;
  }
}

SOTALIGN_ON_EVERY_DEVICE(TeacherChoiceTest);

}  // namespace lib_teacher_choice_test
}  // namespace sotalign
