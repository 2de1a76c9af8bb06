// Zero-shot classification: assigns an image to the class whose description is nearest.
//
// A class is described by prompts, texts such as "a photo of a dog". Its embedding is the mean of the unit
// embeddings of its prompts, scaled to unit length (Radford et al., "Learning transferable visual models from
// natural language supervision", ICML 2021). Scores are cosines, less a correction of the class if the caller
// gives some (hubness.h). The rank of an image is 1 plus the number of wrong classes that score at least as
// high as its own. Ties (kRetrievalMargin) and NaN count against the model, as in retrieval: a model that
// gives all classes the same score is never right.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace SOTALIGN_API sotalign {

/// The settings of zero_shot().
struct ZeroShotOptions {
  /// Scores are computed in tiles of at most tile x tile. The result does not depend on the tile, except
  /// where a score is within rounding (1e-7) of the margin.
  int64_t tile = 2048;
  /// Subtracted from the cosines of each class (hubness.h): one per class, in the order of
  /// ClassEmbeddings::ids, finite, or empty for none.
  std::vector<float> corrections = {};
};

/// One unit row per class.
struct ClassEmbeddings {
  std::vector<int64_t> ids;      ///< [classes], ascending
  std::vector<int64_t> prompts;  ///< [classes], number of prompts
  Matrix<float> rows;            ///< [classes, d], row c belongs to ids[c]
};

/// The accuracy on the images of one class.
struct ClassAccuracy {
  int64_t id = 0;              ///< the class
  int64_t images = 0;          ///< images with this label
  int64_t top1 = 0, top5 = 0;  ///< images with a rank of at most 1, 5
};

/// The accuracy on all images.
struct ZeroShotResult {
  double top1 = 0, top5 = 0;           ///< fraction of the images with a rank of at most 1, 5
  double mean_class_top1 = 0;          ///< mean of top1 / images over classes with images
  int64_t images = 0;                  ///< number of images
  std::vector<ClassAccuracy> classes;  ///< every class that has prompts, by ascending id
};

/// Computes the class embeddings. Rows need not have unit length. Throws InvalidArgument for shapes that do
/// not match, for a prompt that is zero or not finite, and for a class whose prompts cancel each other.
/// @param context owns the memory of the prompts
/// @param prompts [p, d]
/// @param prompt_classes [p], the id of each prompt's class, any integer
ClassEmbeddings class_embeddings(Context& context, ConstMatrixF prompts,
                                 const std::vector<int64_t>& prompt_classes);

/// The rank of every image, counted from 1. Throws InvalidArgument for shapes and corrections that do not
/// match, for corrections that are not finite, and for an image whose class has no prompts; the message names
/// the first one.
/// @param context owns the memory of images and classes
/// @param images [n, d]
/// @param labels [n], the id of each image's class
/// @param classes from class_embeddings()
/// @param options see ZeroShotOptions
std::vector<int64_t> zero_shot_ranks(Context& context, ConstMatrixF images,
                                     const std::vector<int64_t>& labels, const ClassEmbeddings& classes,
                                     const ZeroShotOptions& options = {});

/// Computes ranks and accuracies. With at most 5 classes every image is in the top 5.
ZeroShotResult zero_shot(Context& context, ConstMatrixF images, const std::vector<int64_t>& labels,
                         const ClassEmbeddings& classes, const ZeroShotOptions& options = {});

/// Computes the class embeddings, too.
ZeroShotResult zero_shot(Context& context, ConstMatrixF images, const std::vector<int64_t>& labels,
                         ConstMatrixF prompts, const std::vector<int64_t>& prompt_classes,
                         const ZeroShotOptions& options = {});

}  // namespace sotalign
