#include "cli/file_options.h"

#include <fmt/format.h>

#include <filesystem>

#include "sotalign/core/error.h"

namespace sotalign::app {

namespace fs = std::filesystem;

namespace {

/// The path of the file itself: drops ":TENSOR" from "file.safetensors:TENSOR".
std::string file_of(const std::string& path) {
  constexpr std::string_view kSeparator = ".safetensors:";
  std::error_code ignored;
  const size_t separator = path.find(kSeparator);
  if (separator == std::string::npos || fs::exists(path, ignored)) return path;
  return path.substr(0, separator + kSeparator.size() - 1);
}

/// Throws unless a standard stream will do.
void require_stream(const std::string& flag, Role role) {
  if (role == Role::kDirectory) throw InvalidArgument(fmt::format("{}: expected a directory, found -", flag));
  if (role == Role::kPath)
    throw InvalidArgument(
        fmt::format("{}: expected a file, found -: only a matrix may come from standard input", flag));
  if (role == Role::kSafetensors)
    throw InvalidArgument(fmt::format(
        "{}: expected a file, found -: a safetensors file is not written to standard output", flag));
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;  // by device and inode
  if (fs::exists(a, error) || fs::exists(b, error)) return false;
  const fs::path first = fs::weakly_canonical(fs::absolute(a), error);
  return !error && first == fs::weakly_canonical(fs::absolute(b), error) && !error;
}

}  // namespace

std::vector<FileOptions::File> FileOptions::files() const {
  std::vector<File> files;
  for (const Option& option : options_) {
    if (option.path != nullptr) files.push_back({option.flag, *option.path, option.role});
    if (option.paths != nullptr)
      for (const std::string& path : *option.paths) files.push_back({option.flag, path, option.role});
  }
  return files;
}

void FileOptions::check() const {
  const std::vector<File> all = files();
  const File *in = nullptr, *out = nullptr;  // those that are standard streams
  for (const File& file : all) {
    if (file.path != "-") continue;
    require_stream(file.flag, file.role);
    const File*& first = is_output(file.role) ? out : in;
    if (first != nullptr)
      throw InvalidArgument(fmt::format("{}: expected a file, found - for {} too", file.flag, first->flag));
    first = &file;
  }
  const auto is_file = [](const std::string& path) { return !path.empty() && path != "-"; };
  for (const File& output : all) {
    if (!is_output(output.role) || !is_file(output.path)) continue;
    for (const File& other : all) {
      if (&other == &output || !is_file(other.path)) continue;
      if (!same_file(output.path, is_output(other.role) ? other.path : file_of(other.path))) continue;
      throw InvalidArgument(fmt::format("{}: expected a file other than that of {}, found {}", output.flag,
                                        other.flag, output.path));
    }
  }
}

}  // namespace sotalign::app
