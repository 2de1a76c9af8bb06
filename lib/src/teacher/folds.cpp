#include "teacher/folds.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "sotalign/core/random.h"
#include "sotalign/linalg/row_products.h"
#include "sotalign/sampling/batch_sampler.h"

namespace sotalign::detail {

namespace {
/// The smallest pair known to be in i's group. Union-find with path halving.
int64_t root(std::vector<int64_t>& parents, int64_t i) {
  while (parents[static_cast<size_t>(i)] != i) {
    int64_t& parent = parents[static_cast<size_t>(i)];
    parent = parents[static_cast<size_t>(parent)];
    i = parent;
  }
  return i;
}

void join_equal_rows(ConstMatrixF x, std::vector<int64_t>& parents) {
  std::unordered_map<std::string_view, int64_t> first;
  for (int64_t i = 0; i < x.rows; ++i) {
    const std::string_view bytes(reinterpret_cast<const char*>(x.row(i)),
                                 static_cast<size_t>(x.cols) * sizeof(float));
    const int64_t other = root(parents, first.emplace(bytes, i).first->second), own = root(parents, i);
    parents[static_cast<size_t>(std::max(own, other))] = std::min(own, other);
  }
}
}  // namespace

std::vector<float> host_rows(Context& context, ConstMatrixF x) {
  std::vector<float> rows(static_cast<size_t>(x.size()));
  const auto row_bytes = static_cast<size_t>(x.cols) * sizeof(float);
  if (x.contiguous()) {
    context.copy_to_host(rows.data(), x.data, rows.size() * sizeof(float));
  } else {
    for (int64_t i = 0; i < x.rows; ++i) context.copy_to_host(rows.data() + i * x.cols, x.row(i), row_bytes);
  }
  return rows;
}

Matrix<float> take_rows(Context& context, ConstMatrixF x, const std::vector<int64_t>& rows) {
  const Buffer<int64_t> index(context, rows, "rows of a fold");
  Matrix<float> taken(context, index.size(), x.cols, "rows of a fold");
  gather_rows(context, x, index.data(), taken);
  return taken;
}

std::vector<int64_t> group_pairs(ConstMatrixF a, ConstMatrixF b) {
  std::vector<int64_t> parents(static_cast<size_t>(a.rows));
  std::iota(parents.begin(), parents.end(), 0);
  join_equal_rows(a, parents);
  join_equal_rows(b, parents);
  std::vector<int64_t> groups(parents.size());
  int64_t count = 0;
  for (size_t i = 0; i < groups.size(); ++i) {
    const int64_t first = root(parents, static_cast<int64_t>(i));
    groups[i] = first == static_cast<int64_t>(i) ? count++ : groups[static_cast<size_t>(first)];
  }
  return groups;
}

std::vector<Fold> divide_pairs(const std::vector<int64_t>& groups, int64_t parts, uint64_t seed,
                               int64_t round) {
  const int64_t count = 1 + *std::max_element(groups.begin(), groups.end());
  // Batches of one group make each epoch of the sampler a permutation of all groups.
  const BatchSampler order(count, 1, seed, stream_id("teacher.folds"));
  std::vector<int64_t> part_of(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i)
    part_of[static_cast<size_t>(order.index(round * count + i, 0))] = i * parts / count;
  std::vector<Fold> folds(static_cast<size_t>(parts));
  for (size_t pair = 0; pair < groups.size(); ++pair)
    for (int64_t part = 0; part < parts; ++part) {
      Fold& fold = folds[static_cast<size_t>(part)];
      (part_of[static_cast<size_t>(groups[pair])] == part ? fold.left_out : fold.kept)
          .push_back(static_cast<int64_t>(pair));
    }
  return folds;
}

}  // namespace sotalign::detail
