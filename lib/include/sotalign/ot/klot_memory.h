// How KLOT stores its affinities, and which way fits in memory.
#pragma once

#include <cstdint>
#include <string>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// How the affinities of student and teacher are stored.
enum class KlotMemory {
  kStored,    ///< both in float32, with one density of the scaling form: 12 bytes per entry
  kFixed16,   ///< both in 16-bit fixed point, decoded strip by strip: 4 bytes; see FixedPointMatrix
  kStreamed,  ///< not at all: every iteration computes the products again, strip by strip
};
std::string to_string(KlotMemory memory);

/// Bytes that EmbeddingKlot allocates from the context for affinities [rows, cols], not counting the
/// embeddings and their gradients.
int64_t klot_memory_bytes(const Context& context, int64_t rows, int64_t cols, KlotMemory memory);

/// The choice of plan_klot_memory(), with its reason.
struct KlotMemoryPlan {
  KlotMemory memory = KlotMemory::kStored;
  int64_t bytes = 0;   ///< klot_memory_bytes() of this choice
  std::string reason;  ///< "stored: 11.0 MiB of 20.0 GiB"
};

/// The fastest way that fits in `available` bytes: stored, else fixed16, else streamed. Streamed needs the
/// least memory and is also the answer if nothing fits. A negative `available` means unknown: stored.
KlotMemoryPlan plan_klot_memory(const Context& context, int64_t rows, int64_t cols, int64_t available);
/// The requested way, whether or not it fits.
KlotMemoryPlan plan_klot_memory(const Context& context, int64_t rows, int64_t cols, KlotMemory memory);

}  // namespace sotalign
