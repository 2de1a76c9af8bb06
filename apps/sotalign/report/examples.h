// Retrieval examples: queries, what they find, and whether it is right.
#pragma once

#include <string>

#include "report/shown_pairs.h"
#include "sotalign/core/context.h"

namespace sotalign::app {

/// The shown pairs in a shared space, [rows, dim] each.
struct EmbeddedPairs {
  HostMatrix images, texts;
};
EmbeddedPairs embed_pairs(Context& context, const Model& model, Projection projection,
                          const ShownPairs& pairs);

/// HTML: a few queries in each direction, evenly spaced among the pairs, with their best rows among the
/// pairs. Captions are escaped.
/// @param teacher the same pairs as the teacher embeds them, to compare ranks with
std::string retrieval_examples(Context& context, const ShownPairs& pairs, const EmbeddedPairs& model,
                               const EmbeddedPairs& teacher);

}  // namespace sotalign::app
