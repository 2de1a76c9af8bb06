// The program's use of the banks in models: hubness corrections for galleries.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/option_table.h"
#include "sotalign/eval/hubness.h"
#include "sotalign/io/array.h"
#include "sotalign/train/model.h"

namespace sotalign::app {

/// All kinds by name.
Choice hubness_choice(Hubness* kind);

/// Throws InvalidArgument for a flag of add_hubness_options() that a correction of this kind ignores.
void require_flags_of_kind(const OptionTable& table, Hubness kind);

/// Throws InvalidArgument unless there is a model whose bank can correct.
void require_model_for_hubness(const std::string& model_path, const HubnessOptions& asked);

/// The correction with the bank of `model` and the kind, temperature and neighbours of `asked`; std::nullopt
/// for kNone. Uses the stored potentials if they belong to these options, else solves for others. Throws
/// InvalidArgument, naming --hubness, if the model has no bank or one of another projection.
std::optional<HubnessCorrection> correction_of(Context& context, const Model& model, const std::string& path,
                                               Projection projection, const HubnessOptions& asked);

/// Corrections of a bank with more rows than HubnessOptions::tile are computed in pieces of so many rows of
/// the gallery. Others have the same bits in any multiple of that tile.
constexpr int64_t kCorrectionsPiece = 65536;

/// Kind and its option.
nlohmann::ordered_json to_json(const HubnessOptions& options);
/// The same, and the rows of the bank.
nlohmann::ordered_json to_json(const HubnessCorrection& hubness);

/// "heads, dbs": the name of a corrected row of a table.
std::string corrected_name(const std::string& name, Hubness kind);

}  // namespace sotalign::app
