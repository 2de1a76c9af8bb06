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
    options_.push_back({flag, path, nullptr, role});
  }
  /// The same for an option with a list of paths.
  void add(const std::string& flag, const std::vector<std::string>* paths, Role role) {
    options_.push_back({flag, nullptr, paths, role});
  }

  /// Throws InvalidArgument if an output is the same file as an input or another output, even under another
  /// name: one would overwrite the other. Throws as well if "-", a standard stream, stands for two inputs or
  /// two outputs, or for what cannot be one.
  void check() const;

 private:
  struct Option {
    std::string flag;
    const std::string* path;  // or null, and then
    const std::vector<std::string>* paths;
    Role role;
  };
  struct File {
    std::string flag, path;
    Role role;
  };
  std::vector<File> files() const;
  std::vector<Option> options_;
};

}  // namespace sotalign::app
