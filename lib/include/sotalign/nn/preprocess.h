// The first step for every embedding: subtract the training mean of its modality, then scale to unit length.
// The mean is part of the model and saved with it.
#pragma once

#include <vector>

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace SOTALIGN_API sotalign {

/// The training mean of a modality.
struct Preprocessing {
  std::vector<float> mean;  ///< [cols]
};

/// The mean over all rows of `parts`, such as the paired and the unpaired rows of one modality. Throws like
/// column_mean().
Preprocessing fit_preprocessing(Context& context, const std::vector<ConstMatrixF>& parts);

/// y_i = (x_i - mean) / |x_i - mean|; a row equal to the mean becomes zero. x and y have the same shape, and
/// are either the same memory or disjoint. Throws InvalidArgument if the shapes or the mean do not match.
void preprocess(Context& context, const Preprocessing& preprocessing, ConstMatrixF x, MatrixF y);

}  // namespace sotalign
