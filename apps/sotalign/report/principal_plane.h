// Principal component analysis down to a plane, for pictures.
#pragma once

#include <vector>

#include "sotalign/core/context.h"

namespace sotalign::app {

/// Rows along the two directions in which they vary most.
struct PrincipalPlane {
  std::vector<double> x, y;  ///< [rows], centred; x has the larger variance
  double share = 0;          ///< of the total variance that is in the plane, 0 to 1; 0 if rows do not vary
};

/// Computed in float64 from the Gram matrix of the centred rows, [n, n]: for at most a few hundred rows. The
/// sign of an axis is arbitrary, but fixed for the same input. Throws InvalidArgument without rows, and
/// NumericalError if they are not finite.
/// @param rows [n, d], on the host
PrincipalPlane principal_plane(Context& context, ConstMatrixF rows);

}  // namespace sotalign::app
