// Hubness corrections: a number for each gallery row that is subtracted from its cosines, so that rows near
// to everything do not take answers from the right ones. They come from a bank, unpaired training rows of
// both sides in the shared space, never from test rows, so each answer depends on its own query alone. With S
// for cosines, X and Y for the bank's images and texts, tau for the temperature:
//
//   none              c = 0
//   inverted_softmax  c_j = tau log mean_m exp(S(x_m, t_j) / tau) for text j (Smith, Turban, Hamblin and
//                     Hammerla, "Offline bilingual word vectors, orthogonal transformations and the inverted
//                     softmax", ICLR 2017)
//   dbs               c_j = tau log sum_m exp(S(x_m, t_j) / tau + u_m), where u and v are the potentials of
//                     the entropic optimal transport plan of X and Y, exp(S(x_m, y_l) / tau + u_m + v_l),
//                     with uniform marginals (dual bank Sinkhorn, arXiv 2508.02538)
//   csls              c_j = half of the mean cosine of text j and its nearest rows of X (Conneau, Lample,
//                     Ranzato, Denoyer and Jegou, "Word translation without parallel data", ICLR 2018)
//
// Images of a gallery are corrected with the other side of the bank: Y for X, v for u. A constant added to u
// or v changes no rank; here it makes the exponentials sum to 1. Corrections are then weighted means of
// cosines, or half of them, and lie in [-1, 1]. The score S_ij - c_j orders a gallery as S_ij / tau - c_j /
// tau and 2 S_ij - 2 c_j do, the usual forms of dbs and csls; terms of the query alone are left out.
//
//   const HubnessCorrection hubness(context, bank_images, bank_texts);
//   retrieval(context, images, texts,
//             {.image_corrections = hubness.corrections(context, Side::kX, images),
//              .text_corrections = hubness.corrections(context, Side::kY, texts)});
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/core/side.h"

namespace SOTALIGN_API sotalign {

/// Kinds of corrections.
enum class Hubness {
  kNone,             ///< zeros
  kDbs,              ///< bank rows weighted by their optimal transport plan
  kInvertedSoftmax,  ///< bank rows weighted equally
  kCsls,             ///< nearest bank rows only
};

/// "none", "dbs", "inverted_softmax", "csls".
std::vector<std::string> hubness_names();
/// Throws InvalidArgument, listing the names, for an unknown one.
Hubness parse_hubness(const std::string& name);
std::string to_string(Hubness kind);

/// Each kind ignores the options of the others.
struct HubnessOptions {
  Hubness kind = Hubness::kDbs;
  int64_t bank = 1500;       ///< rows of each side, at most
  double temperature = 0.1;  ///< tau of dbs and inverted_softmax, 1e-4 to 10
  int64_t iterations = 20;   ///< Sinkhorn iterations of dbs; 0 gives inverted_softmax
  int64_t neighbours = 10;   ///< of csls; all rows of the bank if it has fewer
  uint64_t seed = 0;         ///< for hubness_bank_rows()
  /// Scores are computed in tiles of at most tile x tile, or one row if the bank has more than tile^2.
  int64_t tile = 2048;
  bool operator==(const HubnessOptions&) const = default;
};

/// Draws the rows of one side of the bank: min(options.bank, population) different numbers below
/// `population`, ascending. The same arguments give the same rows everywhere; the sides draw independently.
/// Throws InvalidArgument for a population below 1 and for invalid options.
/// @param side of the rows
/// @param population number of unpaired training rows of this side
/// @param options `bank` and `seed` select the rows
std::vector<int64_t> hubness_bank_rows(Side side, int64_t population, const HubnessOptions& options = {});

/// Potentials of the bank's rows; the exponentials of each side sum to 1. Equal for inverted_softmax, empty
/// for none and csls.
struct HubnessPotentials {
  std::vector<double> images;  ///< [bank images], u
  std::vector<double> texts;   ///< [bank texts], v
};

/// A bank, ready to correct galleries. The context must outlive it.
class HubnessCorrection {
 public:
  /// Copies the rows, scaled to unit length (a zero row stays zero), and solves for the potentials. The sides
  /// may differ in the number of rows. dbs takes memory for two matrices [n, m] while it solves. Throws
  /// InvalidArgument for options out of range, for an empty side or one with more than options.bank rows, for
  /// shapes that do not match, and for rows that are not finite.
  /// @param context owns the memory of the rows
  /// @param images [n, d], rows of the images in the shared space
  /// @param texts [m, d]
  /// @param options see HubnessOptions
  HubnessCorrection(Context& context, ConstMatrixF images, ConstMatrixF texts,
                    const HubnessOptions& options = {});

  /// Restores a correction from what bank(), potentials() and options() gave; corrections are the same to the
  /// bit. Throws InvalidArgument, in addition, for rows that have neither unit length nor length zero, for
  /// potentials that do not match the bank or the kind, and for potentials that no transport has:
  /// exponentials that do not sum to 1, or a number that is too low for cosines over the temperature.
  HubnessCorrection(Context& context, ConstMatrixF images, ConstMatrixF texts, HubnessPotentials potentials,
                    const HubnessOptions& options);

  /// The correction c of every gallery row, in units of the cosine: retrieval(), top_k() and zero_shot()
  /// subtract it. A row's correction depends on other rows only by the rounding of matrix products. Works on
  /// one tile of scores at a time. Rows need not have unit length; a zero row has cosine 0 with all. Throws
  /// InvalidArgument for shapes that do not match and for rows that are not finite; the message names the
  /// first.
  /// @param context owns the memory of gallery; the one that holds the bank
  /// @param gallery_side what is searched: kY for image-to-text retrieval and for class embeddings
  /// @param gallery [rows, dim()]
  /// @return [rows]
  std::vector<float> corrections(Context& context, Side gallery_side, ConstMatrixF gallery) const;

  const HubnessOptions& options() const { return options_; }
  /// Unit rows of one side, [rows, dim()].
  ConstMatrixF bank(Side side) const { return side == Side::kX ? images_.view() : texts_.view(); }
  const HubnessPotentials& potentials() const { return potentials_; }
  /// Columns of the shared space.
  int64_t dim() const { return images_.cols(); }

 private:
  void upload_potentials(Context& context);

  HubnessOptions options_;
  Matrix<float> images_, texts_;
  HubnessPotentials potentials_;
  Buffer<double> image_potentials_, text_potentials_;  // the same in the memory of the context
};

}  // namespace sotalign
