#include "sweep/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "cli/json.h"
#include "cli/parse_json.h"
#include "cli/shown_text.h"
#include "sotalign/core/error.h"
#include "sotalign/core/random.h"

namespace sotalign::app {

namespace {

constexpr double kMostRuns = 10000;

/// One key: a list of values, or a range to draw from.
struct Dimension {
  std::string key;      // the present name
  std::string written;  // the name that the user wrote
  std::vector<Json> values = {};
  double low = 0, high = 0;
  bool integer = false, log = false;
};

std::pair<std::string, std::string> split_key(const std::string& text, const char* flag, const char* form) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos || equals + 1 == text.size())
    throw InvalidArgument(fmt::format("{}: expected {}, found '{}'", flag, form, text));
  return {text.substr(0, equals), text.substr(equals + 1)};
}

/// Splits at commas outside brackets and quotes.
std::vector<std::string> split_values(const std::string& text) {
  std::vector<std::string> parts(1);
  int depth = 0;
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (!quoted && c == '[') ++depth;
    if (!quoted && c == ']') --depth;
    if (c == ',' && depth == 0 && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// Text that is not JSON is taken as a bare word.
Json parse_value(const std::string& text) {
  try {
    return parse_json(text, "--vary");
  } catch (const IoError&) {
    return text;
  }
}

void require_training_key(const OptionTable& table, const std::string& key, const char* flag) {
  const std::string name = table.present_name(key);
  if (table.values().contains(name) && !table.values(Role::kTraining).contains(name))
    throw InvalidArgument(fmt::format("{}: {} is not a training option", flag, key));
}

class Planner {
 public:
  Planner(const SweepSpace& space, OptionTable& table, TrainConfig& config)
      : space_(space), table_(table), config_(config), base_(config) {
    for (const std::string& text : space.vary) add_values(text);
    for (const std::string& text : space.range) add_range(text);
  }
  ~Planner() { config_ = base_; }
  Planner(const Planner&) = delete;
  Planner& operator=(const Planner&) = delete;

  std::vector<SweepRun> runs() {
    if (dimensions_.empty()) throw InvalidArgument("--vary: expected KEY=V1,V2,..., found none");
    require_at_least("--random", space_.random, 0);
    if (space_.random == 0 && !space_.range.empty())
      throw InvalidArgument("--range: expected --random with the number of draws, found none");
    check_size();
    space_.random > 0 ? draw() : add_combinations(Json::object());
    return std::move(runs_);
  }

 private:
  /// The value as the table stores it. Throws if the table rejects it.
  Json taken(const std::string& key, const Json& value, const char* flag) {
    table_.set(key, value, flag);
    return table_.values()[table_.present_name(key)];
  }

  Dimension& add(const std::string& written, const char* flag) {
    require_training_key(table_, written, flag);
    const std::string key = table_.present_name(written);
    for (const Dimension& other : dimensions_) {
      if (other.key != key) continue;
      throw InvalidArgument(
          other.written == written
              ? fmt::format("{}: {} is given twice", flag, written)
              : fmt::format("{}: expected {} under one name, found also {}", flag, other.written, written));
    }
    if (const std::string single = table_.given(written, flag); !single.empty())
      throw InvalidArgument(
          fmt::format("{}: expected no single value, as the sweep varies {}", single, written));
    return dimensions_.emplace_back(Dimension{.key = key, .written = written});
  }

  void add_values(const std::string& text) {
    const auto [key, list] = split_key(text, "--vary", "KEY=V1,V2,...");
    Dimension& dimension = add(key, "--vary");
    for (const std::string& part : split_values(list)) {
      if (part.empty())
        throw InvalidArgument(fmt::format("--vary: {}: expected a value between commas, found none", key));
      const Json value = taken(key, parse_value(part), "--vary");
      if (std::find(dimension.values.begin(), dimension.values.end(), value) != dimension.values.end())
        throw InvalidArgument(fmt::format("--vary: {}: {} is given twice", key, value_text(value)));
      dimension.values.push_back(value);
    }
  }

  void add_range(const std::string& text) {
    constexpr const char* kForm = "KEY=LOW..HIGH or KEY=LOW..HIGH:log with LOW < HIGH";
    const auto [key, range] = split_key(text, "--range", kForm);
    Dimension& dimension = add(key, "--range");
    dimension.log = range.ends_with(":log");
    const std::string ends = range.substr(0, range.size() - (dimension.log ? 4 : 0));
    const size_t dots = std::min(ends.find(".."), ends.size());
    const Json low = parse_value(ends.substr(0, dots)),
               high = parse_value(ends.substr(std::min(dots + 2, ends.size())));
    if (!low.is_number() || !high.is_number() || !(low.get<double>() < high.get<double>()))
      throw InvalidArgument(fmt::format("--range: expected {}, found '{}'", kForm, text));
    dimension.integer = taken(key, low, "--range").is_number_integer();
    taken(key, high, "--range");
    dimension.low = low.get<double>(), dimension.high = high.get<double>();
    if (!std::isfinite(dimension.high - dimension.low))
      throw InvalidArgument(fmt::format(
          "--range: {}: expected ends whose difference fits double precision, found {}", key, shown(range)));
    if (dimension.log && dimension.low <= 0)
      throw InvalidArgument(
          fmt::format("--range: {}: expected LOW > 0 with :log, found {}", key, dimension.low));
  }

  void check_size() const {
    auto runs = static_cast<double>(space_.random);
    if (space_.random == 0) {
      runs = 1;
      for (const Dimension& d : dimensions_) runs *= static_cast<double>(d.values.size());
    }
    if (runs > kMostRuns)
      throw InvalidArgument(fmt::format("{}: expected at most {} runs, found {}",
                                        space_.random > 0 ? "--random" : "--vary", kMostRuns, runs));
  }

  /// Uniform in [0, 1).
  double uniform(const Dimension& dimension, int64_t draw) const {
    // The first name: a renamed option has the same draws as before.
    const RandomStream random(space_.seed, stream_id("sweep." + table_.first_name(dimension.key, "sweep")));
    return static_cast<double>(random.bits64(static_cast<uint64_t>(draw)) >> 11) * 0x1p-53;
  }

  Json value_at(const Dimension& d, double u) const {
    if (!d.values.empty()) return d.values[static_cast<size_t>(u * static_cast<double>(d.values.size()))];
    const double end = d.integer ? d.high + 1 : d.high;  // so that HIGH itself is drawn, too
    const double value =
        d.log ? std::exp(std::log(d.low) + u * (std::log(end) - std::log(d.low))) : d.low + u * (end - d.low);
    if (d.integer) return Json::parse(fmt::format("{:.0f}", std::floor(value)));
    return std::clamp(Json::parse(fmt::format("{:.4g}", value)).get<double>(), d.low, d.high);
  }

  void draw() {
    for (int64_t i = 0; i < space_.random; ++i) {
      Json settings = Json::object();
      for (const Dimension& d : dimensions_) settings[d.key] = value_at(d, uniform(d, i));
      add_run(settings);
    }
  }

  void add_combinations(const Json& settings) {
    if (settings.size() == dimensions_.size()) return add_run(settings);
    const Dimension& dimension = dimensions_[settings.size()];
    for (const Json& value : dimension.values) {
      Json more = settings;
      more[dimension.key] = value;
      add_combinations(more);
    }
  }

  void add_run(const Json& settings) {
    for (const auto& [key, value] : settings.items()) table_.set(key, value, "sweep");
    SweepRun run{.settings = Json::object(), .config = config_};
    const Json values = table_.values();
    for (const Dimension& d : dimensions_) run.settings[d.key] = values[d.key];
    if (std::none_of(runs_.begin(), runs_.end(),
                     [&](const SweepRun& other) { return other.settings == run.settings; }))
      runs_.push_back(std::move(run));
  }

  const SweepSpace& space_;
  OptionTable& table_;
  TrainConfig& config_;
  const TrainConfig base_;
  std::vector<Dimension> dimensions_;
  std::vector<SweepRun> runs_;
};

}  // namespace

std::vector<SweepRun> plan_runs(const SweepSpace& space, OptionTable& table, TrainConfig& config) {
  return Planner(space, table, config).runs();
}

std::string with_present_key(const std::string& assignment, const OptionTable& table) {
  const size_t end = std::min(assignment.find('='), assignment.size());
  return table.present_name(assignment.substr(0, end)) + assignment.substr(end);
}

std::string value_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? fmt::format("{}", value.get<double>()) : value.dump();
}

std::string settings_text(const Json& settings) {
  std::string text;
  for (const auto& [key, value] : settings.items())
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", key, value_text(value));
  return text;
}

}  // namespace sotalign::app
