// The result of a search, and the files that it is written to.
#pragma once

#include <cstdint>
#include <string>

#include "cli/output.h"
#include "data/captions.h"
#include "page/thumbnails.h"
#include "sotalign/eval/top_k.h"

namespace sotalign::app {

/// What was searched for, where, and what was found.
struct Hits {
  int64_t queries = 0, gallery = 0;        ///< rows
  std::string queries_name, gallery_name;  ///< files, for people
  std::string scores;                      ///< what scores are: "cosine", "cosine less dbs correction"
  TopKResult found;
  Captions captions, query_captions;  ///< of gallery and queries; may be empty

  int64_t row(int64_t query, int64_t rank) const {
    return found.indices[static_cast<size_t>(query * found.k + rank)];
  }
  float score(int64_t query, int64_t rank) const {
    return found.scores[static_cast<size_t>(query * found.k + rank)];
  }
};

/// Reads the captions of what was found, and of all queries.
void read_captions(Hits& hits);

/// One line of JSON for each query: {"query": 0, "rows": [7, 2], "scores": [0.9, 0.8]}, with "caption" of the
/// query and "captions" of the rows where there are captions.
void write_jsonl(Output& output, const Hits& hits);

/// Gallery rows [queries, k], int64; scores [queries, k], float32.
void write_rows(Output& output, const Hits& hits);
void write_scores(Output& output, const Hits& hits);

/// A page without scripts and without links to other files, for phones and screens, light and dark.
/// @param thumbnails of gallery rows; throws what Thumbnails::image() throws
void write_page(Output& output, const Hits& hits, const Thumbnails& thumbnails);

}  // namespace sotalign::app
