// The distance between two sets of embeddings as distributions on the sphere, whatever the order and number
// of rows: spherical sliced Wasserstein (Bonet, Berg, Courty, Septier, Drumetz and Pham, "Spherical
// sliced-Wasserstein", ICLR 2023), like POT's ot.sliced_wasserstein_sphere with p = 2:
//   SSW^2 = mean over random planes U of W_2^2(P_U x, P_U y),
// where P_U x is the angle of the projection of x onto the plane, in turns, and W_2 is the optimal transport
// distance along the circle. SSW is in [0, 1/2].
#pragma once

#include <cstdint>

#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of spherical_sliced_wasserstein().
struct SlicedWassersteinOptions {
  int64_t projections = 500;  ///< random planes, at least 2
  uint64_t seed = 0;          ///< selects the planes
};

/// The result of spherical_sliced_wasserstein().
struct SlicedWasserstein {
  double distance = 0;        ///< SSW, the root of SSW^2
  double standard_error = 0;  ///< of the distance, due to the random planes; 0 if the distance is 0
  int64_t projections = 0;    ///< planes used
};

/// Estimates the distance. Rows are scaled to unit length, not centred, and have equal weights; the sets may
/// differ in size. A row orthogonal to a plane, which happens only by rounding, gets angle 0 in it. Each
/// plane is spanned by an orthonormalized pair of Gaussian vectors. A seed selects the same planes on every
/// device and for any number of threads; on the CPU, the result is bitwise identical, too. The device
/// computes the projections in float32; the host solves the transport, O((n + m) log(n m)) per plane, with
/// all threads of the context. Throws InvalidArgument for shapes and options that do not match, and for rows
/// that are zero or not finite.
/// @param context owns the memory of x and y
/// @param x [n, d]
/// @param y [m, d], d >= 2
/// @param options see SlicedWassersteinOptions
SlicedWasserstein spherical_sliced_wasserstein(Context& context, ConstMatrixF x, ConstMatrixF y,
                                               const SlicedWassersteinOptions& options = {});

}  // namespace sotalign
