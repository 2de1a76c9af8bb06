// The files that a command reads and writes, as its options name them.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

class FileOptions {
 public:
  enum class Use { kInput, kOutput };

  /// `path` is read when check() is called, and outlives this.
  void add(const std::string& flag, const std::string* path, Use use) {
    options_.push_back({flag, path, use});
  }

  /// Throws InvalidArgument for an output that is the same file as an input or another output, whatever
  /// their names: it would be replaced before or after it is needed.
  void check() const;

 private:
  struct Option {
    std::string flag;
    const std::string* path;
    Use use;
  };
  std::vector<Option> options_;
};

}  // namespace sotalign::app
