// Counts the wrong answers that score at least as high as the best right one, for the rows and the columns of
// a tile of a score matrix at once.
#pragma once

#include "kernels/queue.h"

namespace sotalign::kernels {

/// row_counts_i += #{j : wrong_ij and not (S_ij - c_j < row_best_i - margin)}, c = col_corrections
/// col_counts_j += #{i : wrong_ij and not (S_ij - r_i < col_best_j - margin)}, r = row_corrections
/// with wrong_ij = (row_groups_i != col_groups_j). Missing corrections are 0; the best scores are corrected
/// already. All differences are float. A NaN, in a score or in a best score, counts against the model. One
/// pass over S.
struct RetrievalRank {
  const float* scores = nullptr;  ///< S [rows, cols]
  int64_t scores_stride = 0;
  int64_t rows = 0, cols = 0;
  const int32_t* row_groups = nullptr;     ///< [rows]
  const int32_t* col_groups = nullptr;     ///< [cols]
  const float* row_best = nullptr;         ///< [rows]
  const float* col_best = nullptr;         ///< [cols]
  const float* row_corrections = nullptr;  ///< [rows], or null
  const float* col_corrections = nullptr;  ///< [cols], or null
  float margin = 0.0f;
  int64_t* row_counts = nullptr;  ///< [rows]
  int64_t* col_counts = nullptr;  ///< [cols]
};
SOTALIGN_DECLARE_OPERATION(retrieval_rank, RetrievalRank)

}  // namespace sotalign::kernels
