#include "study/cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/json.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

constexpr UnpairedRows kNone = {.kind = UnpairedRows::Kind::kFirst, .count = 0};
/// Unpaired rows that a run needs, also if it uses half of them.
constexpr int64_t kLeast = 2, kLeastOfHalves = 4;
constexpr UnpairedRows kDisjoint = {.kind = UnpairedRows::Kind::kDisjoint};

class Builder {
 public:
  explicit Builder(const StudySizes& sizes) : sizes_(sizes) {}

  std::vector<StudyCell> cells;

  void add(const StudyPlan::Methods& section) {
    require_pool("methods", *std::min_element(section.pairs.begin(), section.pairs.end()), kLeast);
    for (const int64_t pairs : section.pairs) {
      if (!fits(pairs, kLeast)) continue;
      const std::string column = fmt::format("{}", pairs);
      for (const StudyMethod& method : section.methods)
        cells.push_back({"methods", method.name, column, method, pairs});
      for (const int64_t times : section.worth_times)
        if (pairs <= sizes_.pool() / times)
          cells.push_back({.section = "methods",
                           .row = worth_row(section, times),
                           .column = column,
                           .method = section.worth,
                           .pairs = times * pairs,
                           .competes = false});
    }
    for (const int64_t pairs : section.disjoint) {
      if (!fits(pairs, kLeastOfHalves)) continue;
      for (const StudyMethod& method : section.methods)
        cells.push_back(
            {"methods", method.name, disjoint_name(fmt::format("{}", pairs)), method, pairs, kDisjoint});
    }
  }

  void add(const StudyPlan::Teachers& section) {
    require_pool("teachers", section.pairs, section.disjoint ? kLeastOfHalves : kLeast);
    const auto add_rows = [&](const UnpairedRows& unpaired) {
      size_t cell = 0;
      for (const std::string& teacher : section.teachers)
        for (const std::string& divergence : section.divergences)
          cells.push_back({.section = "teachers",
                           .row = unpaired.is_shifted() ? disjoint_name(teacher) : teacher,
                           .column = divergence,
                           .method = section.cells[cell++],
                           .pairs = section.pairs,
                           .unpaired = unpaired,
                           .competes = !unpaired.is_shifted()});
    };
    add_rows({});
    if (section.disjoint) add_rows(kDisjoint);
  }

  void add_unpaired(const StudyPlan::Pools& section) {
    const bool disjoint = std::any_of(section.pools.begin(), section.pools.end(),
                                      [](const UnpairedRows& rows) { return rows.is_shifted(); });
    require_pool("unpaired", section.pairs, disjoint ? kLeastOfHalves : kLeast);
    add_pool("unpaired", section.without, section.pairs, kNone, kNone);
    for (const UnpairedRows& rows : section.pools)
      if (rows.kind != UnpairedRows::Kind::kFirst || rows.count <= sizes_.pool() - section.pairs)
        add_pool("unpaired", section.method, section.pairs, rows, {});
  }

  void add_shift(const StudyPlan::Pools& section) {
    require_pool("shift", section.pairs, kLeastOfHalves);
    add_pool("shift", section.without, section.pairs, kNone, kNone);
    for (const UnpairedRows& rows : section.pools)
      if (rows.kind != UnpairedRows::Kind::kOther || sizes_.has_other)
        add_pool("shift", section.method, section.pairs, rows, {});
  }

 private:
  bool fits(int64_t pairs, int64_t unpaired) const { return sizes_.pool() - pairs >= unpaired; }

  void require_pool(const char* section, int64_t pairs, int64_t unpaired) const {
    if (!fits(pairs, unpaired))
      throw InvalidArgument(fmt::format(
          "rows: section {}: expected {} pairs, {} test, {} validation and at least {} unpaired rows, "
          "found {} in all",
          section, pairs, sizes_.test, sizes_.validation, unpaired, sizes_.rows));
  }

  void add_pool(const char* section, const StudyMethod& method, int64_t pairs, const UnpairedRows& rows,
                const UnpairedRows& tuning) {
    const std::string row = rows.is_none() ? fmt::format("none ({})", method.name) : describe(rows);
    cells.push_back({section, row, "MeanR@1", method, pairs, rows, tuning});
  }

  StudySizes sizes_;
};

}  // namespace

std::string disjoint_name(const std::string& name) { return name + ", disjoint"; }

std::string worth_row(const StudyPlan::Methods& section, int64_t times) {
  return fmt::format("{}, {} times the pairs", section.worth.name, times);
}

std::string to_string(StudyRole role) { return role == StudyRole::kTuning ? "tuning" : "final"; }

Json StudyRun::key() const {
  Json key = {{"setting", setting->values},
              {"measured", method->measured == Projection::kHeads ? "heads" : "teacher"},
              {"pairs", pairs},
              {"unpaired", to_json(unpaired)},
              {"seed", seed},
              {"role", to_string(role)}};
  if (method->validates) key["validates"] = true;
  return key;
}

std::vector<int64_t> pairs_left_out(const StudyPlan::Methods& section, const StudySizes& sizes) {
  std::vector<int64_t> result;
  for (const int64_t pairs : section.pairs)
    if (sizes.pool() - pairs < kLeast) result.push_back(pairs);
  return result;
}

std::vector<StudyCell> study_cells(const StudyPlan& plan, const std::vector<std::string>& sections,
                                   const StudySizes& sizes) {
  Builder builder(sizes);
  for (const std::string& section : sections) {
    const auto missing = [&] {
      throw InvalidArgument(fmt::format("sections: expected sections of the plan, found '{}'", section));
    };
    if (section == "methods") {
      plan.methods ? builder.add(*plan.methods) : missing();
    } else if (section == "teachers") {
      plan.teachers ? builder.add(*plan.teachers) : missing();
    } else if (section == "unpaired") {
      plan.unpaired ? builder.add_unpaired(*plan.unpaired) : missing();
    } else if (section == "shift") {
      plan.shift ? builder.add_shift(*plan.shift) : missing();
    } else {
      throw InvalidArgument(
          fmt::format("sections: expected methods, teachers, unpaired or shift, found '{}'", section));
    }
  }
  return std::move(builder.cells);
}

StudyRun tuning_run(const StudyCell& cell, size_t setting, int64_t seed) {
  return {.method = &cell.method,
          .setting = &cell.method.settings.at(setting),
          .pairs = cell.pairs,
          .unpaired = cell.tuning_unpaired,
          .seed = static_cast<uint64_t>(seed),
          .role = StudyRole::kTuning};
}

StudyRun final_run(const StudyCell& cell, size_t setting, int64_t seed) {
  StudyRun run = tuning_run(cell, setting, seed);
  run.unpaired = cell.unpaired;
  run.role = StudyRole::kFinal;
  return run;
}

std::vector<ScheduledRun> schedule(const std::vector<StudyCell>& cells, const StudySeeds& seeds) {
  std::vector<ScheduledRun> runs;
  std::set<std::string> seen;
  for (const StudyCell& cell : cells) {
    std::string selection;  // identifies the runs that select the setting
    for (size_t i = 0; cell.is_tuned() && i < cell.method.settings.size(); ++i)
      for (const int64_t seed : seeds.tuning) {
        const std::string key = tuning_run(cell, i, seed).key().dump();
        selection += key;
        if (seen.insert(key).second) runs.push_back({&cell, StudyRole::kTuning, i, seed});
      }
    for (const int64_t seed : seeds.final)
      if (seen.insert(selection + final_run(cell, 0, seed).key().dump()).second)
        runs.push_back({&cell, StudyRole::kFinal, 0, seed});
  }
  return runs;
}

}  // namespace sotalign::app
