// How far apart are two sets of embeddings as distributions on the sphere, whatever their order and number?
// The spherical sliced Wasserstein distance (Bonet, Berg, Courty, Septier, Drumetz and Pham, "Spherical
// sliced-Wasserstein", ICLR 2023), as POT's ot.sliced_wasserstein_sphere with p = 2:
//   SSW^2 = mean over random planes U of W_2^2(P_U x, P_U y),
// where P_U x is the angle of the projection of x onto the plane, in turns, and W_2 the optimal transport
// distance along the circle. Hence SSW is between 0 and 1/2.
#pragma once

#include <cstdint>

#include "sotalign/core/context.h"

namespace sotalign {

struct SlicedWassersteinOptions {
  int64_t projections = 500;  ///< random planes, at least 2
  uint64_t seed = 0;          ///< of the planes
};

struct SlicedWasserstein {
  double distance = 0;        ///< SSW, with the root
  double standard_error = 0;  ///< of the distance, because the planes are a sample; 0 for a distance of 0
  int64_t projections = 0;
};

/// Rows need not have unit length; they are not centred. The sets need not be of one size; rows have equal
/// weights. A row that is orthogonal to a plane, which for random planes does not happen but by rounding,
/// counts there as the angle 0. Planes are spanned by orthonormal pairs made of normal numbers, and those of
/// a seed are the same on every device and for every number of threads; so are, on the CPU, all bits of the
/// result. Projections are computed on the device, in float32; the transport, O((n + m) log(n m)) for
/// each plane, is solved on the host, by all threads of the context.
/// Throws InvalidArgument for shapes and options that do not fit, and for rows that are zero or not finite.
/// @param x [n, d] @param y [m, d], d >= 2
SlicedWasserstein spherical_sliced_wasserstein(Context& context, ConstMatrixF x, ConstMatrixF y,
                                               const SlicedWassersteinOptions& options = {});

}  // namespace sotalign
