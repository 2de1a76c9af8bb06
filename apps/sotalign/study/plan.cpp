#include "study/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/json.h"
#include "cli/json_reader.h"
#include "cli/nearest.h"
#include "cli/options.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

/// The training options at their defaults.
struct TrainingTable {
  TrainingTable() { add_method_options(table, options); }

  CLI::App app;
  TrainOptions options;
  OptionTable table{app};
};

/// The plan with all options under their present names. It has been parsed already.
Json with_present_names(Json plan, const std::string& where) {
  const auto rename = [&](Json& holder, const char* key) {
    const auto value = holder.find(key);
    if (value == holder.end()) return;
    if (value->is_object()) *value = present_names(*value, where);
    if (value->is_array())  // a grid
      for (Json& point : *value) point = present_names(point, where);
  };
  const auto rename_all = [&](Json& holder, const char* key) {
    if (!holder.contains(key)) return;
    for (Json& definition : holder[key]) rename(definition, "set"), rename(definition, "grid");
  };
  rename(plan, "set");
  rename_all(plan, "methods");
  if (Json& sections = plan["sections"]; sections.contains("teachers"))
    for (const char* key : {"teachers", "divergences"}) rename_all(sections["teachers"], key);
  return plan;
}

StudySetting make_setting(const std::vector<Json>& layers, const Json& point, const std::string& where) {
  CLI::App app;
  OptionTable table(app);
  StudySetting setting{.point = Json::object(), .values = Json::object(), .options = {}};
  add_method_options(table, setting.options);
  const Json defaults = table.values();
  for (const Json& layer : layers) table.set_unless_given(layer, where);
  table.set_unless_given(point, where);
  setting.point = table.present_names(point, where);
  const Json values = table.values();
  for (const auto& [key, value] : values.items())
    if (value != defaults[key]) setting.values[key] = value;
  return setting;
}

/// The settings of a grid. A list has one entry per setting; an object of lists stands for all combinations
/// of their values, with the last list changing fastest.
std::vector<Json> grid_points(const Json& grid, const std::string& where) {
  const auto require_few = [&](size_t count) {
    constexpr size_t kMost = 256;
    if (count > kMost)
      throw InvalidArgument(fmt::format("{}: expected at most {} settings, found {}", where, kMost, count));
  };
  if (grid.is_array() && !grid.empty()) {
    require_few(grid.size());
    for (const Json& point : grid)
      if (!point.is_object()) expected_but_found(where, "objects of training options", point);
    return {grid.begin(), grid.end()};
  }
  if (!grid.is_object()) expected_but_found(where, "an object of lists or a list of objects", grid);
  std::vector<Json> points = {Json::object()};
  for (const auto& [key, values] : grid.items()) {
    if (!values.is_array() || values.empty())
      expected_but_found(fmt::format("{}: {}", where, key), "a list that is not empty", values);
    require_few(points.size() * values.size());
    std::vector<Json> longer;
    for (const Json& point : points)
      for (const Json& value : values) {
        longer.push_back(point);
        longer.back()[key] = value;
      }
    points = std::move(longer);
  }
  return points;
}

/// A method as written in the plan, before its grid is expanded.
struct Definition {
  std::string name;
  Projection measured = Projection::kHeads;
  Json set, grid = Json::object();
  bool validates = false;
};

Definition parse_definition(const Json& json, const std::string& where) {
  const JsonReader reader(json, where, {"name", "measure", "set", "grid", "validates"});
  Definition result{.name = reader.text("name"), .set = reader.object("set")};
  if (reader.has("grid")) result.grid = reader.at("grid");
  result.validates = reader.flag("validates");
  if (result.validates && reader.has("grid"))
    throw InvalidArgument(
        fmt::format("{}: expected no grid, for the method chooses by the validation rows itself", where));
  if (!reader.has("measure")) return result;
  const std::string measure = reader.text("measure");
  if (measure != "heads" && measure != "teacher")
    expected_but_found(reader.where("measure"), "heads or teacher", reader.at("measure"));
  if (measure == "teacher") result.measured = Projection::kTeacher;
  return result;
}

std::vector<Definition> parse_definitions(const Json& list, const std::string& where) {
  std::vector<Definition> result;
  for (const Json& json : list) {
    result.push_back(parse_definition(json, fmt::format("{}: entry {}", where, result.size())));
    for (size_t i = 0; i + 1 < result.size(); ++i)
      if (result[i].name == result.back().name)
        throw InvalidArgument(
            fmt::format("{}: expected distinct names, found '{}' twice", where, result.back().name));
  }
  return result;
}

StudyMethod make_method(const Definition& definition, const std::vector<Json>& layers,
                        const std::string& where) {
  StudyMethod method{
      .name = definition.name, .measured = definition.measured, .validates = definition.validates};
  for (const Json& point : grid_points(definition.grid, where + ": grid"))
    method.settings.push_back(make_setting(layers, point, where));
  for (size_t i = 0; i < method.settings.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (method.settings[i].values == method.settings[j].values)
        expected_but_found(where + ": grid", "settings that differ", method.settings[i].point);
  return method;
}

/// Methods that are compared need grids of equal size: trying more settings is an advantage. Methods that
/// validate have none. The first method has a grid.
void require_equal_grids(const std::vector<StudyMethod>& methods, const std::string& where) {
  for (const StudyMethod& method : methods)
    if (!method.validates && method.settings.size() != methods[0].settings.size())
      throw InvalidArgument(
          fmt::format("{}: expected grids of equal size, found {} settings for '{}' and {} for '{}'", where,
                      methods[0].settings.size(), methods[0].name, method.settings.size(), method.name));
}

class Parser {
 public:
  Parser(const Json& json, const std::string& where) : reader_(json, where, {"set", "methods", "sections"}) {
    common_ = reader_.object("set");
    if (!reader_.has("methods")) return;  // the teachers section needs none
    for (const Definition& d : parse_definitions(reader_.list("methods"), reader_.where("methods")))
      methods_.push_back(make_method(d, {common_, d.set}, reader_.where("methods: " + d.name)));
  }

  StudyPlan parse(const Json& json) const {
    StudyPlan plan{.json = json};
    const JsonReader sections(reader_.at("sections"), reader_.where("sections"),
                              {"methods", "teachers", "unpaired", "shift"});
    if (sections.has("methods")) plan.methods = methods(sections);
    if (sections.has("teachers")) plan.teachers = teachers(sections);
    if (sections.has("unpaired"))
      plan.unpaired = pools(sections, "unpaired", "rows", [](const Json& value, const std::string& where) {
        if (value == "all") return UnpairedRows{};
        if (value == "disjoint") return UnpairedRows{.kind = UnpairedRows::Kind::kDisjoint};
        if (!value.is_number_integer() || value.get<int64_t>() < 1)
          expected_but_found(where, "all, disjoint or integers >= 1", value);
        return UnpairedRows{.kind = UnpairedRows::Kind::kFirst, .count = value.get<int64_t>()};
      });
    if (sections.has("shift")) plan.shift = pools(sections, "shift", "pools", shifted_rows);
    if (plan.sections().empty())
      expected_but_found(sections.where(), "methods, teachers, unpaired or shift", reader_.at("sections"));
    plan.json = with_present_names(json, reader_.where());
    return plan;
  }

 private:
  const StudyMethod& method(const std::string& name, const std::string& where) const {
    std::vector<std::string> names;
    for (const StudyMethod& m : methods_) {
      if (m.name == name) return m;
      names.push_back(m.name);
    }
    if (names.empty())
      throw InvalidArgument(
          fmt::format("{}: expected a method of {}, found '{}'", where, reader_.where("methods"), name));
    throw InvalidArgument(
        fmt::format("{}: no method '{}'; the nearest one is '{}'", where, name, nearest(name, names)));
  }

  StudyPlan::Methods methods(const JsonReader& sections) const {
    const JsonReader reader(sections.at("methods"), sections.where("methods"),
                            {"pairs", "disjoint", "methods", "proposed", "worth"});
    StudyPlan::Methods result{.pairs = reader.counts("pairs", 2)};
    if (reader.has("disjoint")) result.disjoint = reader.counts("disjoint", 2);
    for (const int64_t pairs : result.disjoint)
      if (std::find(result.pairs.begin(), result.pairs.end(), pairs) == result.pairs.end())
        expected_but_found(reader.where("disjoint"), "some of the section's numbers of pairs", pairs);
    for (const std::string& name : reader.texts("methods"))
      result.methods.push_back(method(name, reader.where("methods")));
    result.proposed = reader.texts("proposed");
    for (const std::string& name : result.proposed)
      if (std::none_of(result.methods.begin(), result.methods.end(),
                       [&](const StudyMethod& m) { return m.name == name; }))
        expected_but_found(reader.where("proposed"), "methods of this section", name);
    require_equal_grids(result.methods, reader.where());
    if (!reader.has("worth")) return result;
    const JsonReader worth(reader.at("worth"), reader.where("worth"), {"method", "times"});
    result.worth = method(worth.text("method"), worth.where("method"));
    require_equal_grids({result.methods[0], result.worth}, reader.where());
    result.worth_times = worth.counts("times", 2);
    return result;
  }

  StudyPlan::Teachers teachers(const JsonReader& sections) const {
    const JsonReader reader(sections.at("teachers"), sections.where("teachers"),
                            {"pairs", "disjoint", "teachers", "divergences", "proposed"});
    StudyPlan::Teachers result{.pairs = reader.count("pairs", 2), .disjoint = reader.flag("disjoint")};
    const auto divergences = parse_definitions(reader.list("divergences"), reader.where("divergences"));
    for (const Definition& divergence : divergences) result.divergences.push_back(divergence.name);
    for (const Definition& teacher : parse_definitions(reader.list("teachers"), reader.where("teachers"))) {
      if (!teacher.grid.empty())
        expected_but_found(reader.where("teachers"), "teachers without a grid", teacher.grid);
      result.teachers.push_back(teacher.name);
      for (const Definition& divergence : divergences) {
        Definition cell = divergence;
        cell.name = fmt::format("{}, {}", teacher.name, divergence.name);
        result.cells.push_back(
            make_method(cell, {common_, teacher.set, divergence.set}, reader.where(cell.name)));
      }
    }
    std::vector<StudyMethod> trained;  // a teacher alone has no weight to tune
    for (const StudyMethod& cell : result.cells)
      if (cell.measured == Projection::kHeads) trained.push_back(cell);
    require_equal_grids(trained, reader.where());
    result.proposed = reader.text("proposed");
    if (std::find(result.divergences.begin(), result.divergences.end(), result.proposed) ==
        result.divergences.end())
      expected_but_found(reader.where("proposed"), "one of the divergences", result.proposed);
    return result;
  }

  static UnpairedRows shifted_rows(const Json& value, const std::string& where) {
    using Kind = UnpairedRows::Kind;
    if (value.is_object() && value.size() == 1 && value.contains("biased") && value["biased"].is_number() &&
        value["biased"] >= 0 && value["biased"] <= 1)
      return {.kind = Kind::kBiased, .bias = value["biased"].get<double>()};
    for (const auto& [name, kind] : {std::pair{"same", Kind::kSame},
                                     {"disjoint", Kind::kDisjoint},
                                     {"upper", Kind::kUpper},
                                     {"other", Kind::kOther}})
      if (value == name) return {.kind = kind};
    expected_but_found(where, R"(same, disjoint, upper, other or {"biased": 0 to 1})", value);
  }

  template <class Parse>
  StudyPlan::Pools pools(const JsonReader& sections, const char* name, const char* key, Parse&& parse) const {
    const JsonReader reader(sections.at(name), sections.where(name), {"pairs", "method", "without", key});
    StudyPlan::Pools result{.pairs = reader.count("pairs", 2),
                            .method = method(reader.text("method"), reader.where("method")),
                            .without = method(reader.text("without"), reader.where("without"))};
    require_equal_grids({result.method, result.without}, reader.where());
    for (const Json& value : reader.list(key)) result.pools.push_back(parse(value, reader.where(key)));
    return result;
  }

  JsonReader reader_;
  Json common_;
  std::vector<StudyMethod> methods_;
};

}  // namespace

std::vector<std::string> StudyPlan::sections() const {
  std::vector<std::string> names;
  if (methods) names.push_back("methods");
  if (teachers) names.push_back("teachers");
  if (unpaired) names.push_back("unpaired");
  if (shift) names.push_back("shift");
  return names;
}

Json to_json(const UnpairedRows& rows) {
  switch (rows.kind) {
    case UnpairedRows::Kind::kAll:
      return "all";
    case UnpairedRows::Kind::kFirst:
      return rows.count;
    case UnpairedRows::Kind::kSame:
      return "same";
    case UnpairedRows::Kind::kDisjoint:
      return "disjoint";
    case UnpairedRows::Kind::kBiased:
      return {{"biased", rows.bias}};
    case UnpairedRows::Kind::kUpper:
      return "upper";
    case UnpairedRows::Kind::kOther:
      return "other";
  }
  return nullptr;
}

std::string describe(const UnpairedRows& rows) {
  if (rows.kind == UnpairedRows::Kind::kBiased) return fmt::format("biased {:.0f} %", 100 * rows.bias);
  const Json json = to_json(rows);
  return json.is_string() ? json.get<std::string>() : json.dump();
}

Json training_defaults() { return TrainingTable().table.values(); }

Json present_names(const Json& options, const std::string& where) {
  static const TrainingTable names;
  return names.table.present_names(options, where);
}

StudyPlan parse_study_plan(const Json& json, const std::string& where) {
  return Parser(json, where).parse(json);
}

}  // namespace sotalign::app
