// What `sotalign study` compares: methods, each with the training options that make it and a grid of those
// that are tuned; and the sections, which say at how many pairs and with which unpaired rows each is run. A
// plan is a JSON file; the one in default_plan.cpp is used where none is given.
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
  nlohmann::ordered_json values;  ///< every option that is not at its default: what decides the result
  TrainOptions options;           ///< the same, without the seed
};

struct StudyMethod {
  std::string name;
  Projection measured = Projection::kHeads;
  std::vector<StudySetting> settings = {};  ///< one: nothing is tuned
};

/// Which of the rows that are neither pairs nor kept apart are given to the training as unpaired.
struct UnpairedRows {
  enum class Kind {
    kAll,
    kFirst,     ///< `count` rows, their images and their texts
    kSame,      ///< half of them, their images and their texts
    kDisjoint,  ///< the images of one half, the texts of the other: no image has its text among them
    kBiased,    ///< as kDisjoint, but the halves differ along the images' first principal direction
    kUpper,     ///< the half that lies far along that direction, its images and its texts
    kOther,     ///< of the other files, as many rows as half of them
  };
  Kind kind = Kind::kAll;
  int64_t count = 0;
  double bias = 0;  ///< 0: the halves are random; 1: the images' half is kUpper, the texts' is the rest

  bool is_none() const { return kind == Kind::kFirst && count == 0; }
  /// Chosen to lie elsewhere, or compared with such.
  bool is_shifted() const { return kind != Kind::kAll && kind != Kind::kFirst; }
};
/// As in plans: "all", 250, "same", {"biased": 0.5}, ...
nlohmann::ordered_json to_json(const UnpairedRows& rows);
/// For tables and progress.
std::string describe(const UnpairedRows& rows);

struct StudyPlan {
  struct Methods {
    std::vector<int64_t> pairs;
    std::vector<StudyMethod> methods = {};
    std::vector<std::string> proposed = {};  ///< those that are claimed to be better than the others
    StudyMethod worth = {};                  ///< is run with more pairs, too ...
    std::vector<int64_t> worth_times = {};   ///< ... so many times as many
  };
  struct Teachers {
    int64_t pairs = 0;
    std::vector<std::string> teachers = {}, divergences = {};
    std::vector<StudyMethod> cells = {};  ///< [teachers, divergences]
    std::string proposed = {};            ///< the divergence that is claimed to be best
  };
  /// One method with different unpaired rows; tuned once, with all of them.
  struct Pools {
    int64_t pairs = 0;
    StudyMethod method;
    StudyMethod without;  ///< is run and tuned with no unpaired rows
    std::vector<UnpairedRows> pools = {};
  };

  nlohmann::ordered_json json;  ///< the plan as it was read
  std::optional<Methods> methods = {};
  std::optional<Teachers> teachers = {};
  std::optional<Pools> unpaired = {}, shift = {};
};

/// Throws InvalidArgument, whose message begins with `where`, for JSON that is no plan: unknown keys, options
/// that the training does not have, names without a method, grids of different sizes in one section.
StudyPlan parse_study_plan(const nlohmann::ordered_json& json, const std::string& where);

/// Every option of the training at its default.
nlohmann::ordered_json training_defaults();

/// The text of the plan that is used where none is given.
const char* default_study_plan();

}  // namespace sotalign::app
