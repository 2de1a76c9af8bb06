// How the affinities of KLOT are held, and which way fits into memory.
#pragma once

#include <cstdint>
#include <string>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

enum class KlotMemory {
  kStored,    ///< both in float32, and one density of the scaling form: 12 bytes a pair of rows
  kFixed16,   ///< both in 16-bit fixed point, decoded strip by strip: 4 bytes; see FixedPointMatrix
  kStreamed,  ///< neither: strips of rows are computed anew in each iteration, at the cost of the product
};
std::string to_string(KlotMemory memory);

/// What EmbeddingKlot takes of the context's memory for affinities [rows, cols], besides the embeddings and
/// their gradients.
int64_t klot_memory_bytes(const Context& context, int64_t rows, int64_t cols, KlotMemory memory);

/// A choice of plan_klot_memory(), with its reason.
struct KlotMemoryPlan {
  KlotMemory memory = KlotMemory::kStored;
  int64_t bytes = 0;   ///< klot_memory_bytes of it
  std::string reason;  ///< "stored: 11.0 MiB of 20.0 GiB"
};

/// The fastest way that takes at most `available` bytes: stored, else fixed16, else streamed, which takes the
/// least there is and is the answer even where that is more. Negative `available`: not known, stored.
KlotMemoryPlan plan_klot_memory(const Context& context, int64_t rows, int64_t cols, int64_t available);
/// The way that was asked for.
KlotMemoryPlan plan_klot_memory(const Context& context, int64_t rows, int64_t cols, KlotMemory memory);

}  // namespace sotalign
