#include "run_directory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "files.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void RunDirectory::require_creatable(const std::string& path) {
  std::error_code error;
  if (fs::exists(fs::symlink_status(path, error)))
    throw InvalidArgument(
        fmt::format("{}: expected a directory that does not exist yet, found one that does; to continue a "
                    "run, add --resume",
                    path));
  fs::path parent = fs::absolute(path).lexically_normal();
  if (!parent.has_filename()) parent = parent.parent_path();  // of "run/"
  do parent = parent.parent_path();
  while (parent.has_relative_path() && !fs::exists(parent, error) && !error);
  const auto fail = [&](const char* reason) {
    throw IoError(fmt::format("{}: cannot make this directory: {}: {}", path, parent.string(), reason));
  };
  if (error) fail(error.message().c_str());
  if (!fs::is_directory(parent, error)) fail("expected a directory, found a file");
  if (access(parent.c_str(), W_OK | X_OK) != 0) fail(std::strerror(errno));
}

void RunDirectory::require_resumable(const std::string& path) {
  const RunDirectory run(path);
  for (const std::string& file : {run.config(), run.checkpoint()}) {
    std::error_code error;
    if (!fs::is_regular_file(file, error))
      throw IoError(fmt::format("{}: expected a run to continue, found no {}", path, file));
  }
}

void make_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw IoError(fmt::format("{}: cannot make this directory: {}", path, error.message()));
}

void RunDirectory::create(const Json& config) {
  make_directory(path_);
  try {
    write_json(this->config(), config);
  } catch (...) {
    std::error_code error;
    fs::remove(path_, error);
    throw;
  }
}

MetricsFile::MetricsFile(const std::string& path, int64_t last_step)
    : path_(path), file_(nullptr, &std::fclose) {
  std::string kept;
  if (last_step > 0 && fs::exists(path)) {
    std::istringstream old(read_text(path));
    for (std::string line; std::getline(old, line);) {
      const Json json = Json::parse(line, nullptr, false);  // the last line may be cut off
      if (!json.is_object() || json.value("step", last_step + 1) > last_step) continue;
      kept += line + '\n';
      seconds_before_ = json.value("seconds", 0.0);
      if (json.contains("loss")) last_step_ = json;
    }
  }
  write_text(path, kept);
  file_.reset(std::fopen(path.c_str(), "ab"));
  if (!file_) throw IoError(fmt::format("{}: cannot write: {}", path, std::strerror(errno)));
}

void MetricsFile::add(const Json& line) {
  require_finite(line);
  if (line.contains("loss")) last_step_ = line;
  const std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() || std::fflush(file_.get()) != 0)
    throw IoError(fmt::format("{}: cannot write: {}", path_, std::strerror(errno)));
}

}  // namespace sotalign::app
