#include "data/hits.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "sotalign/io/npy.h"

namespace sotalign::app {

void read_captions(Hits& hits) {
  hits.captions.read(hits.found.indices);
  std::vector<int64_t> all(static_cast<size_t>(hits.query_captions.empty() ? 0 : hits.queries));
  std::iota(all.begin(), all.end(), 0);
  hits.query_captions.read(all);
}

void write_jsonl(Output& output, const Hits& hits) {
  const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
  std::string line;
  const auto add_list = [&](const char* key, int64_t query, auto&& value) {
    fmt::format_to(std::back_inserter(line), ", \"{}\": [", key);
    for (int64_t rank = 0; rank < hits.found.k; ++rank)
      fmt::format_to(std::back_inserter(line), "{}{}", rank > 0 ? ", " : "", value(query, rank));
    line += ']';
  };
  for (int64_t query = 0; query < hits.queries; ++query) {
    line = fmt::format("{{\"query\": {}", query);
    if (!hits.query_captions.empty()) line += ", \"caption\": " + quoted(hits.query_captions[query]);
    add_list("rows", query, [&](int64_t q, int64_t rank) { return hits.row(q, rank); });
    add_list("scores", query, [&](int64_t q, int64_t rank) { return hits.score(q, rank); });
    if (!hits.captions.empty())
      add_list("captions", query,
               [&](int64_t q, int64_t rank) { return quoted(hits.captions[hits.row(q, rank)]); });
    line += "}\n";
    output.write(line);
  }
}

void write_rows(Output& output, const Hits& hits) {
  output.write(npy_header(ElementType::kInt64, {hits.queries, hits.found.k}));
  output.write(hits.found.indices.data(), hits.found.indices.size() * sizeof(int64_t));
}

void write_scores(Output& output, const Hits& hits) {
  output.write(npy_header(ElementType::kFloat32, {hits.queries, hits.found.k}));
  output.write(hits.found.scores.data(), hits.found.scores.size() * sizeof(float));
}

}  // namespace sotalign::app
