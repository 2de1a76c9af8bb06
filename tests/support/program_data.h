// Files with embeddings of two synthetic encoders, for tests that run the program.
#pragma once

#include <string>
#include <vector>

#include "sotalign/io/npy.h"
#include "support/compare.h"
#include "support/program.h"
#include "support/temporary_directory.h"

namespace sotalign::testing {

/// Both modalities are noisy linear images of a common latent, so there is something to learn.
class TrainingFiles : public TemporaryDirectory {
 public:
  static constexpr int64_t kImageDim = 12, kTextDim = 9, kLatent = 5;
  static constexpr int64_t kPairs = 40, kImages = 60, kTexts = 50, kValidation = 20;

  TrainingFiles() {
    write("pairs_images.npy", kPairs, kImageDim, 1, 1);
    write("pairs_texts.npy", kPairs, kTextDim, 1, 2);
    write("images.npy", kImages, kImageDim, 2, 3);
    write("texts.npy", kTexts, kTextDim, 3, 4);
    write("val_images.npy", kValidation, kImageDim, 4, 5);
    write("val_texts.npy", kValidation, kTextDim, 4, 6);
  }

  /// Runs sotalign train on these files. A flag in `options` overrides the same flag's path.
  ProgramResult train(const std::string& run, const std::vector<std::string>& options,
                      const std::function<void(pid_t)>& meanwhile = {}) const {
    return command("train", run, options, meanwhile);
  }
  /// Runs another training command on these files.
  ProgramResult command(const std::string& name, const std::string& out,
                        const std::vector<std::string>& options,
                        const std::function<void(pid_t)>& meanwhile = {}) const {
    std::vector<std::string> arguments = {name};
    for (const std::string flag :
         {"pairs-images", "pairs-texts", "images", "texts", "val-images", "val-texts"}) {
      std::string file = flag + ".npy";
      std::replace(file.begin(), file.end(), '-', '_');
      arguments.insert(arguments.end(), {"--" + flag, *this / file});
    }
    arguments.insert(arguments.end(), {"--out", *this / out});
    arguments.insert(arguments.end(), options.begin(), options.end());
    return run_program(arguments, meanwhile);
  }

  /// Rows i of two files with the same `latent_seed` form a pair.
  void write(const std::string& name, int64_t rows, int64_t dim, uint64_t latent_seed,
             uint64_t noise_seed) const {
    const std::vector<float> latent = random_normal(rows * kLatent, latent_seed);
    const std::vector<float> map = random_normal(kLatent * dim, static_cast<uint64_t>(100 + dim));
    std::vector<float> values = random_normal(rows * dim, 200 + noise_seed, 0.3f);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < dim; ++j)
        for (int64_t l = 0; l < kLatent; ++l)
          values[static_cast<size_t>(i * dim + j)] +=
              latent[static_cast<size_t>(i * kLatent + l)] * map[static_cast<size_t>(l * dim + j)];
    write_npy(*this / name, ConstMatrixF(values.data(), rows, dim));
  }
};

}  // namespace sotalign::testing
