// What is done to every embedding before anything else: subtract the training mean of its modality, scale to
// unit length. The mean belongs to the model and is saved with it.
#pragma once

#include <vector>

#include "sotalign/core/context.h"
#include "sotalign/core/matrix_view.h"

namespace sotalign {

struct Preprocessing {
  std::vector<float> mean;  ///< [cols]
};

/// The mean over all rows of `parts`, for instance the paired and the unpaired rows of one modality.
/// Throws as column_mean does.
Preprocessing fit_preprocessing(Context& context, const std::vector<ConstMatrixF>& parts);

/// y_i = (x_i - mean) / |x_i - mean|; a row equal to the mean becomes zero. x and y have the same shape and
/// are the same memory or disjoint. Throws InvalidArgument when the shapes or the mean do not fit.
void preprocess(Context& context, const Preprocessing& preprocessing, ConstMatrixF x, MatrixF y);

}  // namespace sotalign
