// Zero-shot classification: is the class whose description is nearest to an image the right one?
//
// A class is described by prompts, texts such as "a photo of a dog". Its embedding is the mean of the unit
// embeddings of its prompts, scaled to unit length (Radford et al., "Learning transferable visual models from
// natural language supervision", ICML 2021). Scores are cosines. The rank of an image is 1 plus the number of
// wrong classes that score at least as high as its own, where ties (kRetrievalMargin) and NaN count against
// the model, as in retrieval: a model that gives all classes one score is never right.
#pragma once

#include <cstdint>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"

namespace sotalign {

struct ZeroShotOptions {
  /// Scores are computed in tiles of at most tile x tile. The result does not depend on it, but for a score
  /// that lies within rounding (1e-7) of the margin.
  int64_t tile = 2048;
};

/// The unit embeddings of classes.
struct ClassEmbeddings {
  std::vector<int64_t> ids;      ///< [classes], ascending
  std::vector<int64_t> prompts;  ///< [classes], how many each is the mean of
  Matrix<float> rows;            ///< [classes, d], row c belongs to ids[c]
};

/// Of one class.
struct ClassAccuracy {
  int64_t id = 0;
  int64_t images = 0;          ///< how many have its label
  int64_t top1 = 0, top5 = 0;  ///< how many of them have a rank of at most 1, 5
};

struct ZeroShotResult {
  double top1 = 0, top5 = 0;           ///< fraction of the images with a rank of at most 1, 5
  double mean_class_top1 = 0;          ///< mean of the classes' own fractions, those with images
  int64_t images = 0;                  ///< all of them
  std::vector<ClassAccuracy> classes;  ///< every class that has prompts, by ascending id
};

/// Rows need not have unit length. Throws InvalidArgument for shapes that do not fit, a prompt without
/// direction (zeros) and a class whose prompts cancel each other.
/// @param prompts [p, d] @param prompt_classes [p], the id of each prompt's class, any integer
ClassEmbeddings class_embeddings(Context& context, ConstMatrixF prompts,
                                 const std::vector<int64_t>& prompt_classes);

/// The rank of every image, from 1. Throws InvalidArgument for shapes that do not fit and names the first
/// image whose class has no prompts.
/// @param images [n, d] @param labels [n], the id of each image's class
std::vector<int64_t> zero_shot_ranks(Context& context, ConstMatrixF images,
                                     const std::vector<int64_t>& labels, const ClassEmbeddings& classes,
                                     const ZeroShotOptions& options = {});

/// Both of the above, and the accuracies. With at most 5 classes every image that is no tie is in the top 5.
ZeroShotResult zero_shot(Context& context, ConstMatrixF images, const std::vector<int64_t>& labels,
                         ConstMatrixF prompts, const std::vector<int64_t>& prompt_classes,
                         const ZeroShotOptions& options = {});

}  // namespace sotalign
