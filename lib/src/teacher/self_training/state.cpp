#include <fmt/format.h>

#include <cmath>

#include "sotalign/core/error.h"
#include "teacher/self_training/implementation.h"

namespace sotalign {

std::map<std::string, std::vector<double>> SelfTraining::Implementation::state() const {
  const PassReport& r = report_;
  std::map<std::string, std::vector<double>> state = {
      {"report",
       {static_cast<double>(r.pass), static_cast<double>(r.sinkhorn.iterations), r.sinkhorn.row_error,
        r.sinkhorn.column_error, r.sinkhorn.marginal_error, static_cast<double>(r.sinkhorn.status),
        r.transport, r.effective_matches, r.correlation_sum, r.change}}};
  if (r.pass > 0)
    state.insert(
        {{"xx", x_->average.download()}, {"yy", y_->average.download()}, {"xy", average_xy_.download()}});
  return state;
}

void SelfTraining::Implementation::restore(const std::map<std::string, std::vector<double>>& state) {
  if (report_.pass > 0)
    throw InvalidArgument(
        fmt::format("restore: expected an object without passes, found one with {}", report_.pass));
  const auto part = [&](const char* name, int64_t size) -> const std::vector<double>& {
    const auto found = state.find(name);
    if (found == state.end()) throw InvalidArgument(fmt::format("restore: expected '{}', found none", name));
    if (static_cast<int64_t>(found->second.size()) != size)
      throw InvalidArgument(
          fmt::format("restore: expected {} values in '{}', found {}", size, name, found->second.size()));
    for (const double value : found->second)
      if (!std::isfinite(value))
        throw InvalidArgument(fmt::format("restore: expected finite values in '{}', found {}", name, value));
    return found->second;
  };
  const std::vector<double>& r = part("report", 10);
  const auto last_status = static_cast<double>(SinkhornStatus::kIterationLimit);
  if (!(r[0] >= 0 && r[0] < 0x1p31 && r[0] == std::floor(r[0])))
    throw InvalidArgument(fmt::format("restore: expected a number of passes, found {}", r[0]));
  if (!(r[1] >= 0 && r[1] < 0x1p53 && r[5] >= 0 && r[5] <= last_status && r[5] == std::floor(r[5])))
    throw InvalidArgument(
        fmt::format("restore: expected iterations and a status of Sinkhorn, found {} and {}", r[1], r[5]));
  if (r[0] == 0) return;
  const std::vector<double>&xx = part("xx", x_->average.size()), &yy = part("yy", y_->average.size()),
        &xy = part("xy", average_xy_.size());
  x_->average.upload(xx.data());
  y_->average.upload(yy.data());
  average_xy_.upload(xy.data());
  teacher_ = fit();
  report_ = {.pass = static_cast<int64_t>(r[0]),
             .sinkhorn = {.iterations = static_cast<int64_t>(r[1]),
                          .row_error = r[2],
                          .column_error = r[3],
                          .marginal_error = r[4],
                          .status = static_cast<SinkhornStatus>(r[5])},
             .transport = r[6],
             .effective_matches = r[7],
             .correlation_sum = r[8],
             .change = r[9]};
}

}  // namespace sotalign
