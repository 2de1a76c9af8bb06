// Decides where the unpaired rows are kept during a training.
#pragma once

#include <optional>
#include <string>

#include "sotalign/core/context.h"
#include "sotalign/io/embedding_rows.h"
#include "sotalign/nn/row_set.h"

namespace SOTALIGN_API sotalign {

/// The decision, and why.
struct RowMemoryPlan {
  RowMemory memory = RowMemory::kStored;
  int64_t bytes = 0;        ///< of all rows of both sides in float32
  std::string reason = {};  ///< "streamed: 6.68 GiB are more than 1 GiB"
};

/// Unpaired rows of both sides that a CPU stores unless it is told otherwise.
inline constexpr int64_t kMostStoredBytes = int64_t{1} << 30;

/// `asked`, if it is set. Else streams rows from files that need more than kMostStoredBytes on the CPU, or
/// more than a quarter of the free memory of a CUDA device. Both memories give the same bits. Rows in the
/// memory of the host, and files whose rows do not lie in one piece (MatrixRows::stored_by_rows()), are
/// stored. Throws InvalidArgument if such files are to be streamed.
RowMemoryPlan plan_row_memory(const Context& context, const EmbeddingRows& images, const EmbeddingRows& texts,
                              std::optional<RowMemory> asked = std::nullopt);

}  // namespace sotalign
