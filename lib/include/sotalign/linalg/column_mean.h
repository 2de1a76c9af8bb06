// The mean row of matrices.
#pragma once

#include <vector>

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace sotalign {

/// The mean over all rows of all `parts`, which have the same number of columns; every row has the same
/// weight. Returned on the host, [cols]. Throws InvalidArgument when there is no row, when the columns
/// differ, or when an entry is not finite: the mean shows that, and the message names the first such column.
std::vector<double> column_mean(Context& context, const std::vector<ConstMatrixF>& parts);

}  // namespace sotalign
