// sotalign split: makes the files that train takes, and test pairs, from two files whose rows are all paired.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>

#include "cli/files.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/shown_text.h"
#include "commands/command.h"
#include "data/inputs.h"
#include "run/experiment.h"
#include "run/run_lock.h"
#include "sotalign/core/error.h"
#include "sotalign/io/atomic_file.h"
#include "sotalign/io/matrix_rows.h"
#include "sotalign/io/npy.h"

namespace sotalign::app {

namespace {

struct SplitArguments {
  std::string images, texts, out;
  SplitSizes sizes{.pairs = 500, .test = 400, .validation = 0};
  uint64_t seed = 0;
  bool quiet = false;
};

/// Removes what was written, unless all of it was.
class WrittenFiles {
 public:
  ~WrittenFiles() {
    for (const std::string& path : paths_) std::remove(path.c_str());
  }
  void add(std::string path) { paths_.push_back(std::move(path)); }
  void keep() { paths_.clear(); }

 private:
  std::vector<std::string> paths_;
};

constexpr int64_t kRowsAtOnce = 4096;

/// Reads the whole file once, as train will.
void check_rows(const std::string& path, const MatrixRows& rows) {
  std::vector<float> buffer;
  for (int64_t first = 0; first < rows.rows(); first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, rows.rows() - first);
    require_lengths(path, rows.read(first, count, buffer), first);
    rows.release(first, count);
  }
}

/// Writes some rows as they are. .npy has no bfloat16, which becomes float32: nothing is rounded.
void write_rows_of(const MatrixRows& from, const std::vector<int64_t>& rows, const std::string& path) {
  const bool widen = from.type() == ElementType::kBfloat16;
  AtomicFile file(path);
  const std::string header = npy_header(widen ? ElementType::kFloat32 : from.type(),
                                        {static_cast<int64_t>(rows.size()), from.cols()});
  file.write(header.data(), header.size());
  std::vector<char> stored(static_cast<size_t>(from.row_bytes()));
  std::vector<float> buffer;
  for (const int64_t row : rows) {
    if (widen) {
      file.write(from.read(row, 1, buffer).data, static_cast<size_t>(from.cols()) * sizeof(float));
    } else {
      from.read_stored(row, stored.data());
      file.write(stored.data(), stored.size());
    }
  }
  from.require_unchanged();
  from.release(0, from.rows());
  file.commit();
}

int run(const SplitArguments& arguments) {
  require({{arguments.images, "images"}, {arguments.texts, "texts"}, {arguments.out, "out"}});
  require_utf8("--images", arguments.images);  // split.json names them
  require_utf8("--texts", arguments.texts);
  const MatrixRows images = open_rows(arguments.images), texts = open_rows(arguments.texts);
  if (images.rows() != texts.rows())
    throw InvalidArgument(fmt::format("pairs: expected as many rows in {} as in {}, found {} and {}",
                                      input_name(arguments.images), input_name(arguments.texts),
                                      images.rows(), texts.rows()));
  const Split split = split_rows(images.rows(), arguments.sizes, arguments.seed);
  check_rows(input_name(arguments.images), images);
  check_rows(input_name(arguments.texts), texts);

  RunLock directory(arguments.out, RunLock::Kind::kNew, "sotalign split");
  WrittenFiles written;
  const auto path_of = [&](const std::string& name) { return arguments.out + "/" + name; };
  const auto write = [&](const MatrixRows& from, const std::vector<int64_t>& rows, const std::string& name) {
    if (rows.empty()) return;
    written.add(path_of(name));
    write_rows_of(from, rows, path_of(name));
  };
  const auto write_pairs = [&](const std::vector<int64_t>& rows, const std::string& prefix) {
    write(images, rows, prefix + "images.npy");
    write(texts, rows, prefix + "texts.npy");
  };
  write_pairs(split.pairs, "pairs_");
  write_pairs(split.validation, "val_");
  write_pairs(split.test, "test_");
  write(images, split.unpaired_images, "images.npy");
  write(texts, split.unpaired_texts, "texts.npy");
  const Json json = {{"images", arguments.images},
                     {"texts", arguments.texts},
                     {"rows", images.rows()},
                     {"seed", arguments.seed},
                     {"pairs", split.pairs},
                     {"validation", split.validation},
                     {"test", split.test},
                     {"unpaired_images", split.unpaired_images},
                     {"unpaired_texts", split.unpaired_texts}};
  written.add(path_of("split.json"));
  write_text(path_of("split.json"), json.dump() + "\n");
  written.keep();
  directory.begun();
  if (arguments.quiet) return 0;
  fmt::print("{}: {} pairs, {} validation, {} test, {} unpaired rows of each side\n", arguments.out,
             split.pairs.size(), split.validation.size(), split.test.size(), split.unpaired_images.size());
  return 0;
}

}  // namespace

Action add_split(CLI::App& app) {
  const auto arguments = std::make_shared<SplitArguments>();
  OptionTable table(app);
  table.section("Files");
  table.add("images", &arguments->images, "Embeddings of the images, .npy or .safetensors", Role::kMatrix);
  table.add("texts", &arguments->texts, "Embeddings of the texts; row i is paired with image row i",
            Role::kMatrix);
  table.add("out", &arguments->out,
            "Directory for the files, new or empty: pairs_*.npy, val_*.npy, test_*.npy, the\n"
            "unpaired images.npy and texts.npy, and split.json with the numbers of all rows",
            Role::kDirectory);
  table.section("Split");
  table.add("pairs", &arguments->sizes.pairs, "Pairs to train on");
  table.add("validation", &arguments->sizes.validation, "Pairs to choose a model by; 0: none");
  table.add("test", &arguments->sizes.test, "Pairs to measure on");
  table.add("seed", &arguments->seed, "Seed of the split; compare splits in the same way");
  table.section("Machine");
  table.add("quiet", &arguments->quiet, "Print only errors", Role::kMachine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
