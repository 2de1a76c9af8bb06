// JSON that users write: a configuration and a study plan. Text is rejected with a one-line message or
// parsed.
#include <cstring>
#include <nlohmann/json.hpp>

#include "cli/options.h"
#include "sotalign/io/json_text.h"
#include "study/plan.h"
#include "support/hostile.h"
#include "support/input_file.h"

using namespace sotalign;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

/// Every parser must accept the text that the check accepts.
void check_text(const std::string& text) {
  if (!fuzz::accepted([&] { check_json_text(text, "input"); })) return;
  try {
    const auto json = nlohmann::ordered_json::parse(text);
    (void)json.dump();
    if (json.is_object() && json.contains("sections"))
      fuzz::accepted([&] { app::parse_study_plan(json, "input"); });
  } catch (const nlohmann::json::exception& error) {
    fuzz::finding("the check accepts a text that the parser rejects", error.what());
  }
}

/// Built once: that takes a hundred times as long as reading a configuration.
struct Options {
  Options() { app::add_train_options(table, config); }
  CLI::App app;
  app::OptionTable table{app};
  app::TrainConfig config;
};

void read_config(const std::string& path) {
  static Options options;
  options.table.read_config(path);
  (void)options.table.values().dump();
}

/// Damage that a mutation of the parsed document cannot express.
std::string spoil_text(fuzz::Dice& dice, const std::string& text) {
  const size_t at = dice.below(text.size() + 1);
  const auto insert = [&](const std::string& what) { return text.substr(0, at) + what + text.substr(at); };
  switch (dice.below(8)) {
    case 0:
      return std::string(dice.one_in(4) ? 20000 : 40, dice.one_in(2) ? '[' : '{') + text;
    case 1:
      return insert("\xff");
    case 2:
      return insert(std::string(1, '\0'));
    case 3:
      return "\xef\xbb\xbf" + text;
    case 4:
      return insert("1e999");
    case 5:
      return insert("\"\\ud800\"");
    case 6: {  // duplicate key
      const size_t comma = text.find(',');
      return comma == std::string::npos || text.empty()
                 ? text
                 : text.substr(0, comma) + "," + text.substr(text.find('{') + 1);
    }
    default:
      return text.substr(0, at);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  check_text(std::string(reinterpret_cast<const char*>(data), size));
  fuzz::accepted([&] { read_config(fuzz::input_file(data, size)); });
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  fuzz::Dice dice(seed);
  std::string text(reinterpret_cast<const char*>(data), size);
  fuzz::Json json = fuzz::Json::parse(text, nullptr, false);
  if (json.is_discarded() || dice.one_in(8)) {
    if (dice.one_in(2)) return LLVMFuzzerMutate(data, size, max_size);
  } else {
    for (size_t changes = 1 + dice.below(3); changes > 0; --changes) fuzz::change_somewhere(dice, json);
    text = json.dump(dice.one_in(2) ? 1 : -1, ' ', false, fuzz::Json::error_handler_t::replace);
  }
  if (json.is_discarded() || dice.one_in(8)) text = spoil_text(dice, text);
  if (text.size() > max_size) return size;
  std::memcpy(data, text.data(), text.size());
  return text.size();
}
