// Deprecated, for one more version: include sotalign/ot/embedding_klot.h instead.
#pragma once

#include "sotalign/ot/embedding_klot.h"

namespace SOTALIGN_API sotalign {

/// The old name of EmbeddingKlot, which does not always stream: it can also store affinities.
using StreamedKlot = EmbeddingKlot;

}  // namespace sotalign
