// sotalign search: for each query, the nearest rows of a gallery. The gallery stays in its file and goes
// through the model tile by tile.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/options.h"
#include "cli/output.h"
#include "commands/command.h"
#include "data/hits.h"
#include "data/hubness.h"
#include "data/row_tiles.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

enum class GallerySide { kOther, kImage, kText, kEmbedded };
enum class HitFormat { kAuto, kJsonl, kNpy, kHtml };

struct SearchArguments {
  explicit SearchArguments(CLI::App& app) : table(app) {}

  std::string model, gallery, queries, captions, query_captions, thumbnails, out = "-", scores;
  std::optional<Side> side;
  GallerySide gallery_side = GallerySide::kOther;
  HitFormat format = HitFormat::kAuto;
  int64_t k = 10;
  Projection projection = Projection::kHeads;
  HubnessOptions hubness{.kind = Hubness::kNone};
  Machine machine;
  OptionTable table;
};

HitFormat format_of(const SearchArguments& arguments) {
  if (arguments.format != HitFormat::kAuto) return arguments.format;
  if (arguments.out == "-" || arguments.out.ends_with(".jsonl")) return HitFormat::kJsonl;
  if (arguments.out.ends_with(".npy")) return HitFormat::kNpy;
  if (arguments.out.ends_with(".html")) return HitFormat::kHtml;
  throw InvalidArgument(fmt::format(
      "--out: expected a name that ends with .jsonl, .npy or .html, or --format, found {}", arguments.out));
}

const char* name_of(HitFormat format) {
  return format == HitFormat::kJsonl ? "jsonl" : format == HitFormat::kNpy ? "npy" : "html";
}

/// Throws for options that would have no effect.
void require_effects(const SearchArguments& arguments, HitFormat format) {
  const auto given = [&](const char* key) { return arguments.table.given(key, key); };
  if (arguments.model.empty())
    for (const char* key : {"side", "gallery_side", "projection"})
      if (const std::string flag = given(key); !flag.empty())
        throw InvalidArgument(fmt::format("{}: expected --model, found none", flag));
  if (!arguments.thumbnails.empty() && format != HitFormat::kHtml)
    throw InvalidArgument(fmt::format("--thumbnails: expected output as html, found {}", name_of(format)));
  for (const char* key : {"captions", "query_captions"})
    if (const std::string flag = given(key); !flag.empty() && format == HitFormat::kNpy)
      throw InvalidArgument(fmt::format("{}: expected output as jsonl or html, found npy", flag));
}

Side gallery_side(const SearchArguments& arguments) {
  switch (arguments.gallery_side) {
    case GallerySide::kImage:
      return Side::kX;
    case GallerySide::kText:
      return Side::kY;
    default:
      return *arguments.side == Side::kX ? Side::kY : Side::kX;
  }
}

int run(const SearchArguments& arguments) {
  require({{arguments.gallery, "gallery"}, {arguments.queries, "queries"}, {arguments.out, "out"}});
  const HitFormat format = format_of(arguments);
  require_effects(arguments, format);
  require_flags_of_kind(arguments.table, arguments.hubness.kind);
  require_model_for_hubness(arguments.model, arguments.hubness);
  if (!arguments.model.empty()) require_both({arguments.model, "model"}, {arguments.side, "side"});
  const Thumbnails thumbnails(arguments.thumbnails, "--thumbnails");

  Context context = make_context(arguments.machine);
  std::optional<Model> model;
  std::optional<HubnessCorrection> hubness;
  RowMaps query_maps, gallery_maps;
  if (!arguments.model.empty()) {
    model.emplace(load_model(context, arguments.model));
    require_projection(*model, arguments.projection);
    query_maps = {.model = &*model, .side = *arguments.side, .projection = arguments.projection};
    gallery_maps = query_maps;
    gallery_maps.side = gallery_side(arguments);
    if (arguments.hubness.kind != Hubness::kNone && gallery_maps.side == query_maps.side)
      throw InvalidArgument("--hubness: expected a gallery of the other side than the queries");
    if (arguments.gallery_side == GallerySide::kEmbedded) gallery_maps.model = nullptr;
    hubness = correction_of(context, *model, arguments.model, arguments.projection, arguments.hubness);
  }
  RowTiles queries(context, arguments.queries, query_maps), gallery(context, arguments.gallery, gallery_maps);
  if (queries.cols() != gallery.cols())
    throw InvalidArgument(model
                              ? fmt::format("{}: expected {} columns, as the model's space has, found {}",
                                            gallery.name(), queries.cols(), gallery.cols())
                              : fmt::format("{}: without --model, expected {} columns as in {}, found {}",
                                            gallery.name(), queries.cols(), queries.name(), gallery.cols()));
  if (arguments.k < 1 || arguments.k > gallery.rows())
    throw InvalidArgument(fmt::format("--k: expected 1 to {} (the rows of {}), found {}", gallery.rows(),
                                      gallery.name(), arguments.k));
  Hits hits{.queries = queries.rows(),
            .gallery = gallery.rows(),
            .queries_name = queries.name(),
            .gallery_name = gallery.name(),
            .scores = hubness ? fmt::format("cosine less {} correction", to_string(arguments.hubness.kind))
                              : "cosine",
            .found = {},
            .captions = Captions(arguments.captions, gallery.rows(), gallery.name()),
            .query_captions = Captions(arguments.query_captions, queries.rows(), queries.name())};
  Output output(arguments.out);
  std::optional<Output> scores;
  if (!arguments.scores.empty()) scores.emplace(arguments.scores);

  {
    TopKSearch search(context, all_rows(context, queries, "queries"), arguments.k);
    for (RowTiles::Tile tile = gallery.next(); tile.host.rows > 0; tile = gallery.next())
      search.add(tile.device, hubness ? hubness->corrections(context, gallery_maps.side, tile.device)
                                      : std::vector<float>());
    hits.found = search.result();
  }
  read_captions(hits);
  if (format == HitFormat::kJsonl)
    write_jsonl(output, hits);
  else if (format == HitFormat::kNpy)
    write_rows(output, hits);
  else
    write_page(output, hits, thumbnails);
  if (scores) {
    write_scores(*scores, hits);
    scores->commit();
  }
  output.commit();
  if (arguments.machine.quiet || arguments.out == "-" || arguments.scores == "-") return 0;
  fmt::print("{}: top {} of {} rows for {} queries, by {}\n", arguments.out, arguments.k, hits.gallery,
             hits.queries, hits.scores);
  return 0;
}

}  // namespace

Action add_search(CLI::App& app) {
  const auto arguments = std::make_shared<SearchArguments>(app);
  OptionTable& table = arguments->table;
  table.section("Files");
  table.add("model", &arguments->model, "Model; without one, rows are compared as they are", Role::kPath);
  table.common();
  table.add("gallery", &arguments->gallery, "Embeddings to search, .npy or .safetensors, read piece by piece",
            Role::kMatrix);
  table.common();
  table.add("queries", &arguments->queries, "Embeddings to search for; -: .npy on standard input",
            Role::kMatrix);
  table.common();
  table.add("captions", &arguments->captions, "Text file with one line for each gallery row, to show with it",
            Role::kPath);
  table.common();
  table.add("query_captions", &arguments->query_captions, "Text file with one line for each query",
            Role::kPath);
  table.add("thumbnails", &arguments->thumbnails,
            "html: folder with images of gallery rows, named by the row from 0: 7.jpg,\n"
            "or .png, .webp, .gif, .svg; at most 1 MiB each",
            Role::kDirectory);
  table.add("out", &arguments->out,
            "Write the hits here, in the format that the name ends with: .jsonl has a line for\n"
            "each query, .npy int64 gallery rows [queries, k], .html a page; -: standard output",
            Role::kOutput);
  table.common();
  table.add("format",
            choice(&arguments->format, {{"auto", HitFormat::kAuto},
                                        {"jsonl", HitFormat::kJsonl},
                                        {"npy", HitFormat::kNpy},
                                        {"html", HitFormat::kHtml}}),
            "Format of the hits; auto: by the name, jsonl for -");
  table.add("scores", &arguments->scores, "Also write the scores, .npy float32 [queries, k]", Role::kOutput);
  table.section("Search");
  table.add("k", &arguments->k, "Hits for each query, best first; equal scores: the lower row first");
  table.common();
  table.section("Model");
  table.add("side", choice<std::optional<Side>>(&arguments->side, {{"image", Side::kX}, {"text", Side::kY}}),
            "Modality of the queries");
  table.common();
  table.add("gallery_side",
            choice(&arguments->gallery_side, {{"other", GallerySide::kOther},
                                              {"image", GallerySide::kImage},
                                              {"text", GallerySide::kText},
                                              {"embedded", GallerySide::kEmbedded}}),
            "Modality of the gallery; other: not that of the queries; embedded: rows of the\n"
            "other modality that embed has written");
  add_projection_option(table, arguments->projection);
  add_hubness_options(table, hubness_choice(&arguments->hubness.kind), arguments->hubness);
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
