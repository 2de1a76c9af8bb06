// Errors about affinities, which the library knows by their roles alone, with the files that hold them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/io/array.h"

namespace sotalign::app {

/// Throws InvalidArgument, with the path and |K| / epsilon, where the largest entry of a row or column is
/// more than 2^24 epsilon: single precision cannot tell such entries apart. Other entries may be far below
/// it. Rows and columns of weight 0 do not count; an empty vector stands for equal weights.
void check_affinity(const std::string& path, const HostMatrix& affinity, double epsilon,
                    const std::vector<double>& a = {}, const std::vector<double>& b = {});

/// Calls `work`. A NumericalError that begins with one of the names ("student affinity") begins with that
/// file's path instead.
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
