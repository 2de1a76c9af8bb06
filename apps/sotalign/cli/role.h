// What an option is for.
#pragma once

namespace sotalign::app {

enum class Role {
  kPath,         ///< a file to read
  kMatrix,       ///< a matrix to read; "-" is a .npy file on standard input
  kDirectory,    ///< a directory
  kOutput,       ///< a file to write, or "-" for standard output; differs from the files of all other options
  kSafetensors,  ///< the same for a safetensors file, which is not written to standard output
  kMachine,      ///< where and how to run, not what is computed
  kTraining,     ///< what is computed
};

constexpr bool is_output(Role role) { return role == Role::kOutput || role == Role::kSafetensors; }
/// Whether the option's value is a path.
constexpr bool is_path(Role role) { return role != Role::kMachine && role != Role::kTraining; }

}  // namespace sotalign::app
