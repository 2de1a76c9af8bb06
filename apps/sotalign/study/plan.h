// What `sotalign study` compares. A plan lists methods, each with its fixed training options and a grid of
// tuned ones, and sections, each with its numbers of pairs and its unpaired rows. It is a JSON file;
// default_plan.cpp has the built-in one.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/train/trainer.h"

namespace sotalign::app {

/// One point of a method's grid.
struct StudySetting {
  nlohmann::ordered_json point;   ///< the grid's own keys
  nlohmann::ordered_json values;  ///< every option that differs from its default
  TrainOptions options;           ///< the same, without the seed
};

struct StudyMethod {
  std::string name;
  Projection measured = Projection::kHeads;
  /// Training gets the validation rows of its own split and chooses among its models by them, as `sotalign
  /// train` does. Such a method has a single setting.
  bool validates = false;
  std::vector<StudySetting> settings = {};  ///< a single one: nothing to tune
};

/// Which rows training gets as unpaired, out of those that are neither pairs nor held out.
struct UnpairedRows {
  enum class Kind {
    kAll,
    kFirst,     ///< `count` rows, images and texts
    kSame,      ///< half of the rows, images and texts
    kDisjoint,  ///< the images of one half, the texts of the other: no image has its text among them
    kBiased,    ///< like kDisjoint, but the halves differ along the images' first principal direction
    kUpper,     ///< the upper half along that direction, images and texts
    kOther,     ///< half as many rows, taken from the other files
  };
  Kind kind = Kind::kAll;
  int64_t count = 0;
  double bias = 0;  ///< 0: random halves; 1: images from the upper half, texts from the lower one

  bool is_none() const { return kind == Kind::kFirst && count == 0; }
  /// Whether these rows belong to the comparison of shifted unpaired rows.
  bool is_shifted() const { return kind != Kind::kAll && kind != Kind::kFirst; }
};
/// As written in plans: "all", 250, "same", {"biased": 0.5}, ...
nlohmann::ordered_json to_json(const UnpairedRows& rows);
/// The name for tables and progress lines.
std::string describe(const UnpairedRows& rows);

struct StudyPlan {
  struct Methods {
    std::vector<int64_t> pairs;
    std::vector<int64_t> disjoint = {};  ///< of these, also run on disjoint unpaired rows
    std::vector<StudyMethod> methods = {};
    std::vector<std::string> proposed = {};  ///< claimed to beat all others
    StudyMethod worth = {};                  ///< also run with more pairs ...
    std::vector<int64_t> worth_times = {};   ///< ... this many times as many
  };
  struct Teachers {
    int64_t pairs = 0;
    bool disjoint = false;  ///< also run on disjoint unpaired rows
    std::vector<std::string> teachers = {}, divergences = {};
    std::vector<StudyMethod> cells = {};  ///< [teachers, divergences]
    std::string proposed = {};            ///< the divergence claimed to be best
  };
  /// One method on different sets of unpaired rows; tuned once, with all unpaired rows.
  struct Pools {
    int64_t pairs = 0;
    StudyMethod method;
    StudyMethod without;  ///< run and tuned without unpaired rows
    std::vector<UnpairedRows> pools = {};
  };

  nlohmann::ordered_json json;  ///< the plan as it was read, with the present names of options
  std::optional<Methods> methods = {};
  std::optional<Teachers> teachers = {};
  std::optional<Pools> unpaired = {}, shift = {};

  /// The names of those that the plan has, at least one.
  std::vector<std::string> sections() const;
};

/// Throws InvalidArgument, with `where` in front, for JSON that is not a plan: unknown keys or training
/// options, undefined methods, grids of different sizes in one section.
StudyPlan parse_study_plan(const nlohmann::ordered_json& json, const std::string& where);

/// Every training option at its default.
nlohmann::ordered_json training_defaults();

/// The training options in an object under their present names: see OptionTable::present_names().
nlohmann::ordered_json present_names(const nlohmann::ordered_json& options, const std::string& where);

/// The text of the built-in plan.
const char* default_study_plan();

}  // namespace sotalign::app
