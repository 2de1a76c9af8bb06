// Runs the program through sh, for what only a shell can set up: closed streams, pipes, limits.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "support/program.h"
#include "support/temporary_directory.h"

namespace sotalign::testing {

/// Runs `script` in `directory`, with the program in "$S", and captures its standard output and error. The
/// script's exit status is the result's exit code.
inline ProgramResult run_shell(const TemporaryDirectory& directory, const std::string& script) {
  write_file(directory / ".script",
             "cd '" + directory / "" + "'\nS='" + program_path() + "'\n" + script + "\n");
  const std::string files = " >'" + directory / ".out" + "' 2>'" + directory / ".err" + "' </dev/null";
  const int status = std::system(("sh '" + directory / ".script" + "'" + files).c_str());
  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_file(directory / ".out");
  result.err = read_file(directory / ".err");
  return result;
}

/// The options of TrainingFiles as shell words.
inline const char* const kTrainingOptions =
    "--pairs-images pairs_images.npy --pairs-texts pairs_texts.npy --images images.npy --texts texts.npy "
    "--val-images val_images.npy --val-texts val_texts.npy ";

}  // namespace sotalign::testing
