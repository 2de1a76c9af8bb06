// The files that a command's options name for reading and writing.
#pragma once

#include <string>
#include <vector>

#include "cli/role.h"

namespace sotalign::app {

class FileOptions {
 public:
  /// check() reads `path`, which must outlive this object.
  void add(const std::string& flag, const std::string* path, Role role) {
    options_.push_back({flag, path, role});
  }

  /// Throws InvalidArgument if an output is the same file as an input or another output, even under another
  /// name: one would overwrite the other. Throws as well if "-", a standard stream, stands for two inputs or
  /// two outputs, or for what cannot be one.
  void check() const;

 private:
  struct Option {
    std::string flag;
    const std::string* path;
    Role role;
  };
  std::vector<Option> options_;
};

}  // namespace sotalign::app
