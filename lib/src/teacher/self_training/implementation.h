#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/teacher/self_training.h"
#include "teacher/reduced.h"
#include "teacher/self_training/plan_product.h"
#include "teacher/self_training/rows.h"

namespace sotalign {

/// See self_training.h. The parts are in the files of this folder.
class SelfTraining::Implementation {
 public:
  Implementation(Context& context, ConstMatrixF pairs_x, ConstMatrixF pairs_y, const RowSet& unpaired_x,
                 const RowSet& unpaired_y, const SelfTrainingOptions& options);

  void pass();
  bool finished() const {
    return report_.pass >= options_.passes ||
           (report_.pass > 0 && options_.change_tolerance > 0 && report_.change <= options_.change_tolerance);
  }
  const PassReport& report() const { return report_; }
  Teacher& teacher() { return teacher_; }
  double share() const { return share_; }

  std::map<std::string, std::vector<double>> state() const;
  void restore(const std::map<std::string, std::vector<double>>& state);

 private:
  TeacherOptions teacher_options() const {
    return {.ridge = options_.ridge, .dim = options_.dim, .correlation_power = options_.correlation_power};
  }
  /// R <- (1 - rate) R + rate of the batch's, for rows x [n, dx], y [m, dy] and `moved` = P Y0 [n, dy].
  void add_to_averages(ConstMatrixF x, ConstMatrixF y, ConstMatrixF moved, double rate);
  /// PassReport::change by a new teacher, for rows x, y and their projections f, g by the old one.
  double change(const Teacher& fitted, ConstMatrixF x, ConstMatrixF y, MatrixF f, MatrixF g) const;
  /// (1 - lam) of the pairs' + lam of the running covariance.
  Matrix<double> mixture(const Matrix<double>& pairs, const Matrix<double>& average) const;
  /// CCA of the mixtures.
  Teacher fit();

  Context& context_;
  SelfTrainingOptions options_;
  double share_ = 0;                               // lam
  std::optional<detail::SelfTrainingRows> x_, y_;  // made after the options are checked
  std::optional<detail::PlanProduct> plan_product_;
  Matrix<double> one_;
  Matrix<double> pairs_xy_, average_xy_;      // [dx, dy]
  detail::PrincipalBasis basis_x_, basis_y_;  // kept for sides that take all rows in each pass
  Teacher teacher_;
  PassReport report_;
};

}  // namespace sotalign
