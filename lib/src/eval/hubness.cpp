#include "sotalign/eval/hubness.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/kinds.h"
#include "core/plain_nan.h"
#include "eval/nearest_rows.h"
#include "eval/unit_rows.h"
#include "kernels/sinkhorn_update.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/ot/sinkhorn.h"
#include "sotalign/sampling/batch_sampler.h"

namespace sotalign {

namespace {

struct Entry {
  Hubness kind;
  const char* name;
};
constexpr Entry kHubness[] = {
    {Hubness::kNone, "none"},
    {Hubness::kDbs, "dbs"},
    {Hubness::kInvertedSoftmax, "inverted_softmax"},
    {Hubness::kCsls, "csls"},
};

/// Below the least, float32 resolves cosines over the temperature too coarsely. Above the largest, the
/// rounding of the sums, times the temperature, reaches the margin of retrieval.
constexpr double kLeastTemperature = 1e-4, kLargestTemperature = 10;
/// Saved rows may differ from length 1 by this, and the log-sum-exp of saved potentials from 0: more than
/// rounding, less than damage.
constexpr double kUnit = 1e-3;

void check_count(const char* name, int64_t value, int64_t least) {
  if (value < least)
    throw InvalidArgument(fmt::format("hubness: {}, expected at least {}, found {}", name, least, value));
}

void check(const HubnessOptions& options) {
  to_string(options.kind);  // throws for an unknown kind
  check_count("bank", options.bank, 1);
  if (!(options.temperature >= kLeastTemperature && options.temperature <= kLargestTemperature))
    throw InvalidArgument(fmt::format("hubness: temperature, expected a number from {} to {}, found {}",
                                      kLeastTemperature, kLargestTemperature,
                                      plain_nan(options.temperature)));
  check_count("iterations", options.iterations, 0);
  check_count("neighbours", options.neighbours, 1);
  check_count("tile", options.tile, 1);
}

void check_bank(ConstMatrixF images, ConstMatrixF texts, const HubnessOptions& options) {
  check(options);
  if (images.empty() || texts.empty())
    throw InvalidArgument(
        fmt::format("hubness: expected a bank with images and texts, found [{}, {}] and [{}, {}]",
                    images.rows, images.cols, texts.rows, texts.cols));
  if (images.cols != texts.cols)
    throw InvalidArgument(
        fmt::format("hubness: images and texts of the bank need equally many columns, found {} and {}",
                    images.cols, texts.cols));
  const int64_t most = std::min<int64_t>(options.bank, std::numeric_limits<int32_t>::max());
  if (std::max(images.rows, texts.rows) > most)
    throw InvalidArgument(
        fmt::format("hubness: expected a bank of at most {} rows of each side, found {} images and {} texts",
                    most, images.rows, texts.rows));
}

/// Writes the rows of x, scaled to unit length, to `unit` and returns their lengths. Throws unless these are
/// finite.
std::vector<float> lengths_of(Context& context, ConstMatrixF x, MatrixF unit, const char* what) {
  Buffer<float> norms(context, x.rows, "lengths");
  normalize(context, x, unit, norms.data());
  std::vector<float> lengths = norms.download();
  for (size_t i = 0; i < lengths.size(); ++i)
    if (!std::isfinite(lengths[i]))
      throw InvalidArgument(
          fmt::format("hubness: {} {}, expected a row of finite numbers, found one of length {}", what, i,
                      plain_nan(static_cast<double>(lengths[i]))));
  return lengths;
}

Matrix<float> finite_unit_rows(Context& context, ConstMatrixF x, const char* what) {
  Matrix<float> unit(context, x.rows, x.cols, "unit rows");
  lengths_of(context, x, unit, what);
  return unit;
}

/// A copy of saved rows, to the bit.
Matrix<float> restored_rows(Context& context, ConstMatrixF x, const char* what) {
  Matrix<float> rows(context, x.rows, x.cols, "bank");
  const std::vector<float> lengths = lengths_of(context, x, rows, what);
  for (size_t i = 0; i < lengths.size(); ++i)
    if (lengths[i] != 0 && !(std::abs(static_cast<double>(lengths[i]) - 1) <= kUnit))
      throw InvalidArgument(fmt::format(
          "hubness: {} {}, expected a row of length 1 or 0, found one of length {}", what, i, lengths[i]));
  for (int64_t i = 0; i < x.rows; ++i)
    context.copy_on_device(rows.view().row(i), x.row(i), static_cast<size_t>(x.cols) * sizeof(float));
  return rows;
}

double log_sum_exp(const std::vector<double>& x) {
  const double most = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - most);
  return most + std::log(sum);
}

std::vector<double> normalized(std::vector<double> potentials) {
  const double total = log_sum_exp(potentials);
  for (double& value : potentials) value -= total;
  return potentials;
}

bool has_potentials(Hubness kind) { return kind == Hubness::kDbs || kind == Hubness::kInvertedSoftmax; }

HubnessPotentials solve_potentials(Context& context, ConstMatrixF images, ConstMatrixF texts,
                                   const HubnessOptions& options) {
  if (!has_potentials(options.kind)) return {};
  if (options.kind == Hubness::kInvertedSoftmax || options.iterations == 0)
    return {normalized(std::vector<double>(static_cast<size_t>(images.rows))),
            normalized(std::vector<double>(static_cast<size_t>(texts.rows)))};
  Sinkhorn solver(
      context, images.rows, texts.rows,
      SinkhornOptions{.epsilon = options.temperature, .solve = {.iterations = options.iterations}});
  Workspace scratch(context);
  const MatrixF affinity = scratch.take_matrix<float>(images.rows, texts.rows);
  gemm(context, Op::kNone, Op::kTranspose, 1.0f, images, texts, 0.0f, affinity);
  solver.solve(affinity);
  solver.results();  // throws if the solve failed
  return {normalized(solver.row_potentials(0)), normalized(solver.column_potentials(0))};
}

void check_potentials(const char* name, const std::vector<double>& potentials, int64_t rows,
                      const HubnessOptions& options) {
  const int64_t expected = has_potentials(options.kind) ? rows : 0;
  if (static_cast<int64_t>(potentials.size()) != expected)
    throw InvalidArgument(fmt::format("hubness: potentials of the {}, expected {} for {}, found {}", name,
                                      expected, to_string(options.kind), potentials.size()));
  if (potentials.empty()) return;
  // Cosines differ by at most 2, potentials of a transport therefore by at most 2 / tau, and the largest is
  // at least -log n; 1 is for rounding.
  const double least = -2 / options.temperature - std::log(static_cast<double>(rows)) - 1;
  for (size_t i = 0; i < potentials.size(); ++i)
    if (!(potentials[i] >= least))
      throw InvalidArgument(
          fmt::format("hubness: potentials of the {}, expected numbers of at least {:.6g}, found {} at {}",
                      name, least, plain_nan(potentials[i]), i));
  const double total = log_sum_exp(potentials);
  if (!(std::abs(total) <= kUnit))
    throw InvalidArgument(fmt::format(
        "hubness: potentials of the {}, expected exponentials that sum to 1, found a sum of exp({})", name,
        total));
}

/// tau log sum_m exp(w_m + S(gallery_j, bank_m) / tau) for the rows of a tile. A row update of Sinkhorn from
/// the potentials w gives minus the logarithm, if the row has weight 1.
std::vector<double> soft_maxima(Context& context, ConstMatrixF gallery, ConstMatrixF bank,
                                const Buffer<double>& potentials, double temperature, int64_t tile) {
  const int64_t height = std::min(
      gallery.rows, bank.rows <= tile ? tile : std::max<int64_t>(std::min(tile, tile * tile / bank.rows), 1));
  const Buffer<float> inverse(context, std::vector<float>{static_cast<float>(1.0 / temperature)});
  const Buffer<double> log_mass(context, height, "corrections");
  Buffer<double> sums(context, gallery.rows, "corrections");
  Workspace scratch(context);
  const MatrixF scores = scratch.take_matrix<float>(height, bank.rows);
  for (int64_t first = 0; first < gallery.rows; first += height) {
    const int64_t rows = std::min(height, gallery.rows - first);
    const MatrixF part = scores.row_range(0, rows);
    gemm(context, Op::kNone, Op::kTranspose, 1.0f, gallery.row_range(first, rows), bank, 0.0f, part);
    kernels::SinkhornRowUpdate update{.problems = {.affinity = part.data,
                                                   .rows = rows,
                                                   .cols = bank.rows,
                                                   .row_stride = part.stride,
                                                   .inverse_epsilon = inverse.data(),
                                                   .log_a = log_mass.data()},
                                      .v = potentials.data(),
                                      .u = sums.data() + first};
    Workspace inner(context);
    update.scratch =
        inner.take<unsigned char>(static_cast<int64_t>(sinkhorn_row_update_scratch(context.queue(), update)));
    sinkhorn_row_update(context.queue(), update);
  }
  std::vector<double> result = sums.download();
  for (double& value : result) value *= -temperature;
  return result;
}

/// Half of the mean cosine of each gallery row and its k nearest rows of the bank.
std::vector<double> half_mean_neighbours(Context& context, ConstMatrixF gallery, ConstMatrixF bank, int64_t k,
                                         int64_t tile) {
  std::vector<double> result;
  result.reserve(static_cast<size_t>(gallery.rows));
  // One strip of rows at a time keeps the lists small.
  for (int64_t first = 0; first < gallery.rows; first += tile) {
    const int64_t rows = std::min(tile, gallery.rows - first);
    const std::vector<float> cosines =
        nearest_rows(context, gallery.row_range(first, rows), bank, k, tile).values.download();
    for (int64_t i = 0; i < rows; ++i) {
      double sum = 0;
      for (int64_t n = 0; n < k; ++n) sum += static_cast<double>(cosines[static_cast<size_t>(i * k + n)]);
      result.push_back(0.5 * sum / static_cast<double>(k));
    }
  }
  return result;
}

}  // namespace

std::vector<std::string> hubness_names() { return detail::kind_names(kHubness); }

Hubness parse_hubness(const std::string& name) { return detail::parse_kind("hubness", kHubness, name); }

std::string to_string(Hubness kind) { return detail::kind_entry("hubness", kHubness, kind).name; }

std::vector<int64_t> hubness_bank_rows(Side side, int64_t population, const HubnessOptions& options) {
  check(options);
  if (population < 1)
    throw InvalidArgument(fmt::format("hubness: expected at least 1 unpaired {}, found {}",
                                      side == Side::kX ? "image" : "text", population));
  const BatchSampler sampler(population, options.bank, options.seed,
                             stream_id(side == Side::kX ? "hubness.images" : "hubness.texts"));
  std::vector<int64_t> rows;
  sampler.sample(0, rows);
  std::sort(rows.begin(), rows.end());
  return rows;
}

HubnessCorrection::HubnessCorrection(Context& context, ConstMatrixF images, ConstMatrixF texts,
                                     const HubnessOptions& options)
    : options_(options) {
  check_bank(images, texts, options);
  images_ = finite_unit_rows(context, images, "bank image");
  texts_ = finite_unit_rows(context, texts, "bank text");
  potentials_ = solve_potentials(context, images_, texts_, options);
  upload_potentials(context);
}

HubnessCorrection::HubnessCorrection(Context& context, ConstMatrixF images, ConstMatrixF texts,
                                     HubnessPotentials potentials, const HubnessOptions& options)
    : options_(options) {
  check_bank(images, texts, options);
  check_potentials("images", potentials.images, images.rows, options);
  check_potentials("texts", potentials.texts, texts.rows, options);
  images_ = restored_rows(context, images, "bank image");
  texts_ = restored_rows(context, texts, "bank text");
  potentials_ = std::move(potentials);
  upload_potentials(context);
}

void HubnessCorrection::upload_potentials(Context& context) {
  image_potentials_ = Buffer<double>(context, potentials_.images, "potentials of the bank");
  text_potentials_ = Buffer<double>(context, potentials_.texts, "potentials of the bank");
}

std::vector<float> HubnessCorrection::corrections(Context& context, Side gallery_side,
                                                  ConstMatrixF gallery) const {
  if (gallery.cols != dim())
    throw InvalidArgument(fmt::format("hubness: gallery and bank need equally many columns, found {} and {}",
                                      gallery.cols, dim()));
  if (gallery.rows < 1)
    throw InvalidArgument(
        fmt::format("hubness: expected a gallery, found [{}, {}]", gallery.rows, gallery.cols));
  const Matrix<float> unit = finite_unit_rows(context, gallery, "gallery row");
  const Side other = gallery_side == Side::kX ? Side::kY : Side::kX;
  const ConstMatrixF rows = bank(other);
  std::vector<double> values(static_cast<size_t>(gallery.rows));
  if (has_potentials(options_.kind))
    values = soft_maxima(context, unit, rows, other == Side::kX ? image_potentials_ : text_potentials_,
                         options_.temperature, options_.tile);
  else if (options_.kind == Hubness::kCsls)
    values =
        half_mean_neighbours(context, unit, rows, std::min(options_.neighbours, rows.rows), options_.tile);
  return {values.begin(), values.end()};
}

}  // namespace sotalign
