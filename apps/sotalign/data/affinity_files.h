// Files of affinities, and their names in errors: the library knows affinities only by their roles.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/io/array.h"

namespace sotalign::app {

/// The two sides of a divergence, with the names of their files for errors.
struct AffinityPair {
  std::string student_name, teacher_name;
  HostMatrix student, teacher;  ///< of one shape
};
/// Throws what read_input() throws, and InvalidArgument for two shapes.
AffinityPair read_affinity_pair(const std::string& student_path, const std::string& teacher_path);

/// Throws InvalidArgument, with the path and |K| / epsilon, if the magnitude of the largest entry of a row or
/// column exceeds 2^24 epsilon: single precision cannot resolve such entries. Other entries may be far below
/// the largest. Rows and columns of weight 0 are ignored; an empty vector means equal weights.
void check_affinity(const std::string& path, const HostMatrix& affinity, double epsilon,
                    const std::vector<double>& a = {}, const std::vector<double>& b = {});

/// Calls `work`. If it throws a NumericalError that begins with one of the names ("student affinity"),
/// rethrows it with the path of that file instead.
template <class Work>
void with_affinity_files(const std::vector<std::pair<std::string, std::string>>& names_and_paths,
                         const Work& work) {
  try {
    work();
  } catch (const NumericalError& error) {
    const std::string_view message = error.what();
    for (const auto& [name, path] : names_and_paths)
      if (message.starts_with(name + ":"))
        throw NumericalError(path + std::string(message.substr(name.size())));
    throw;
  }
}

}  // namespace sotalign::app
