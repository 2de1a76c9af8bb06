#include "report/parts.h"

#include <fmt/format.h>

#include <utility>

namespace sotalign::app {

std::string retrieval_comparison(const RetrievalResult& teacher, const RetrievalResult& model) {
  HtmlTable means{.head = {"percent", "MeanR@1", "MRR"}, .emphasized = 1};
  HtmlTable directions{.head = {"percent", "R@1", "R@5", "R@10", "median"}};
  const auto percent = [](double value) { return fmt::format("{:.1f}", 100 * value); };
  for (const auto& [name, result] : {std::pair{"teacher", &teacher}, std::pair{"model", &model}})
    means.rows.push_back({name, percent(result->mean_r1), percent(result->mean_reciprocal_rank)});
  for (const auto& [direction, recall] : {std::pair{"image to text", &RetrievalResult::image_to_text},
                                          std::pair{"text to image", &RetrievalResult::text_to_image}})
    for (const auto& [name, result] : {std::pair{"teacher", &teacher}, std::pair{"model", &model}}) {
      const RecallAtK& r = result->*recall;
      directions.rows.push_back({fmt::format("{}, {}", direction, name), percent(r.r1), percent(r.r5),
                                 percent(r.r10), fmt::format("{:.1f}", r.median_rank)});
    }
  return side_by_side(table(means) + table(directions));
}

Facts option_facts(const Json& options) {
  Facts facts;
  for (const auto& [key, value] : options.items())
    facts.emplace_back(key, value.is_string() ? value.get<std::string>() : value.dump());
  return facts;
}

}  // namespace sotalign::app
