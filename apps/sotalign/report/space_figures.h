// What training does to the spaces: similarities and projections, as figures of a run's page.
#pragma once

#include <string>

#include "report/examples.h"

namespace sotalign::app {

/// Histograms of the cosines of true and random pairs, for the teacher and for the model.
std::string similarity_figures(const EmbeddedPairs& teacher, const EmbeddedPairs& model);

/// At most 150 pairs on a plane, before training, each side in the space of its encoder, and after it, in the
/// shared space.
std::string projection_figures(Context& context, const ShownPairs& pairs, const Model& model,
                               const EmbeddedPairs& embedded);

}  // namespace sotalign::app
