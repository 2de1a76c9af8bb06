// Score of each query's best match: the reference for retrieval ranks.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// best_i = max over the gallery rows l in the group of query i of <queries_i, gallery_l> - corrections_l.
/// Missing corrections are 0. The members of group c are members[offsets[c]] ... members[offsets[c + 1] - 1]:
/// the lists need one entry per gallery row, however large the groups are. Sums and differences are double,
/// rounded to float at the end. NaN ranks below every number; best_i is NaN if the group has no other score.
struct MatchScores {
  const float* queries = nullptr;  ///< [rows, cols]
  int64_t queries_stride = 0;
  const float* gallery = nullptr;  ///< [gallery rows, cols]
  int64_t gallery_stride = 0;
  const int32_t* groups = nullptr;     ///< [rows], the group of each query
  const int64_t* offsets = nullptr;    ///< [groups + 1]
  const int64_t* members = nullptr;    ///< [gallery rows]
  const float* corrections = nullptr;  ///< [gallery rows], or null
  int64_t rows = 0, cols = 0;
  float* best = nullptr;  ///< [rows]
};
SOTALIGN_DECLARE_OPERATION(match_scores, MatchScores)

}  // namespace sotalign::kernels
