// The mean row of one or more matrices.
#pragma once

#include <vector>

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// The mean over all rows of all `parts`, weighted equally: [cols], on the host. Throws InvalidArgument if
/// there are no rows, if the numbers of columns differ, or if an entry is not finite; the message then names
/// the first such column.
std::vector<double> column_mean(Context& context, const std::vector<ConstMatrixF>& parts);

}  // namespace sotalign
