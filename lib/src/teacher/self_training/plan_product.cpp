#include "teacher/self_training/plan_product.h"

#include <algorithm>
#include <cmath>

#include "ot/strips.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/linalg/row_products.h"

namespace sotalign::detail {

namespace {

/// Entries of the largest affinity that PlanMemory::kAuto stores: 1 GiB with its density.
constexpr int64_t kLargestStored = int64_t{1} << 27;

/// Whether an affinity [n, m] is stored.
bool is_stored(int64_t n, int64_t m, const SelfTrainingOptions& options) {
  const bool stored = options.memory == PlanMemory::kStored ||
                      (options.memory == PlanMemory::kAuto && n <= kLargestStored / m);
  if (!stored) check_form(options.solve);
  return stored;
}

double mean_of(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// exp of the mean entropy of the rows of `plan` [rows, cols], each scaled to sum 1.
double effective_matches(const std::vector<float>& plan, int64_t cols) {
  double entropy = 0, rows = 0;
  for (auto row = plan.begin(); row != plan.end(); row += cols) {
    // H = log s - (1/s) sum P log P with s = sum P
    double sum = 0, weighted = 0;
    for (auto value = row; value != row + cols; ++value)
      if (*value > 0) sum += *value, weighted += *value * std::log(static_cast<double>(*value));
    ++rows;
    if (sum > 0) entropy += std::log(sum) - weighted / sum;
  }
  return std::exp(entropy / rows);
}

}  // namespace

std::vector<float> on_host(Context& context, ConstMatrixF contiguous) {
  std::vector<float> values(static_cast<size_t>(contiguous.size()));
  context.copy_to_host(values.data(), contiguous.data, values.size() * sizeof(float));
  return values;
}

PlanProduct::PlanProduct(Context& context, int64_t n, int64_t m, const SelfTrainingOptions& options)
    : epsilon_(options.epsilon),
      strip_rows_(options.strip_rows),
      stored_(is_stored(n, m, options)),
      sinkhorn_(context, n, m, SinkhornOptions{.epsilon = options.epsilon, .solve = options.solve}) {}

void PlanProduct::run(Context& context, ConstMatrixF f, ConstMatrixF g, ConstMatrixF y, MatrixF moved,
                      PassReport& report) {
  const int64_t height =
      stored_ ? f.rows : strip_height(context, f.rows, g.rows, StripOrigin::kProduct, strip_rows_);
  const Embeddings embeddings{f, g};
  Workspace scratch(context);
  const MatrixF strip = scratch.take_matrix<float>(height, g.rows);
  if (stored_) {
    cosines(context, f, g, strip);
    sinkhorn_.solve(strip);
  } else {
    sinkhorn_.solve(embeddings, strip_rows_);
  }
  report.sinkhorn = sinkhorn_.results()[0];
  report.transport =
      -epsilon_ * (mean_of(sinkhorn_.row_potentials(0)) + mean_of(sinkhorn_.column_potentials(0)));
  for (int64_t begin = 0; begin < f.rows; begin += height) {
    const MatrixF plan = strip.row_range(0, std::min(height, f.rows - begin));
    if (stored_)
      sinkhorn_.plan(plan, plan);
    else
      sinkhorn_.plan(embeddings, begin, plan);
    gemm(context, Op::kNone, Op::kNone, 1.0f, plan, y, 0.0f, moved.row_range(begin, plan.rows));
    if (begin == 0)
      report.effective_matches =
          effective_matches(on_host(context, plan.row_range(0, std::min(plan.rows, kProbeRows))), plan.cols);
  }
}

}  // namespace sotalign::detail
