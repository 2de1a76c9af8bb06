#include "run/run_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cli/notes.h"
#include "run/interrupt.h"
#include "run/run_directory.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace fs = std::filesystem;

namespace {

/// "run/" and "run" are the same directory.
std::string without_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

/// Whether AtomicFile uses this name: ".sotalign-PID-N.tmp".
bool is_temporary(const std::string& name) {
  const std::string head = ".sotalign-", tail = ".tmp";
  if (name.size() < head.size() + tail.size() + 3 || !name.starts_with(head) || !name.ends_with(tail))
    return false;
  const std::string middle = name.substr(head.size(), name.size() - head.size() - tail.size());
  const size_t dash = middle.find('-');
  const auto is_number = [](const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  };
  return dash != std::string::npos && is_number(middle.substr(0, dash)) && is_number(middle.substr(dash + 1));
}

/// Removes a temporary file unless its writer is alive: AtomicFile holds a lock on it.
void remove_if_left(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  const int file = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return;
  if (flock(file, LOCK_EX | LOCK_NB) == 0) unlink(path.c_str());
  close(file);
}

constexpr const char* kNothing[] = {nullptr};

/// How to resume the run in the directory; empty if there is none. A lone config.json may belong to a
/// training or a study: `command` decides.
std::string how_to_continue(const std::string& path, const std::string& command) {
  const RunDirectory run(path);
  const char* const lone = command == "sotalign study" ? "study" : "train";
  for (const auto& [file, name] :
       {std::pair{run.sweep(), "sweep"}, {run.study(), "study"}, {run.plan(), "study"}, {run.config(), lone}})
    if (fs::exists(fs::symlink_status(file)))
      return fmt::format("; to continue that run: sotalign {} --out {} --resume", name, path);
  return "";
}

void sync_directory(const fs::path& path) {
  // Some file systems cannot sync a directory: ignore failures.
  const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  fsync(directory);
  close(directory);
}

}  // namespace

RunLock::RunLock(std::string path, Kind kind, std::string command)
    : path_(without_slash(std::move(path))), command_(std::move(command)), kind_(kind) {
  farewell_ = fmt::format("{}: interrupted before the first step; {}\n", command_,
                          kind == Kind::kNew ? "nothing was written" : "the run is unchanged");
  end_on_interrupts(kNothing, farewell_.c_str());
  try {
    // Another process whose run fails early removes the directory it made: then make it again.
    constexpr int kTries = 100;
    for (int i = 0; i < kTries && directory_ < 0; ++i) {
      if (kind_ == Kind::kNew) make();
      if (!hold()) usleep(1000);
    }
    if (directory_ < 0) fail(ENOENT);
    if (locked_) remove_leftovers();
    require_usable();
  } catch (...) {
    remove_made();
    throw;
  }
}

RunLock::~RunLock() { remove_made(); }

void RunLock::fail(int reason) const {
  throw IoError(kind_ == Kind::kNew
                    ? fmt::format("{}: cannot create this directory: {}", path_, std::strerror(reason))
                    : fmt::format("{}: expected a run to continue, found no usable directory: {}", path_,
                                  std::strerror(reason)));
}

void RunLock::make() {
  std::vector<fs::path> missing;  // children first
  struct stat status {};
  for (fs::path path = fs::absolute(path_); stat(path.c_str(), &status) != 0; path = path.parent_path()) {
    if ((errno != ENOENT && errno != ENOTDIR) || !path.has_relative_path()) fail(errno);
    missing.push_back(path);
  }
  if (!S_ISDIR(status.st_mode) && missing.empty())
    throw InvalidArgument(fmt::format("{}: expected a directory that is new or empty, found a file", path_));
  if (!S_ISDIR(status.st_mode))
    throw IoError(fmt::format("{}: cannot create this directory: {}: expected a directory, found a file",
                              path_, missing.back().parent_path().string()));
  made_.reserve(made_.size() + missing.size());  // the signal handler points into it
  for (auto path = missing.rbegin(); path != missing.rend(); ++path) {
    if (mkdir(path->c_str(), 0777) != 0) {
      if (errno == EEXIST && fs::is_directory(*path)) continue;  // another process has just made it
      fail(errno);
    }
    made_.push_back(*path);
    std::vector<const char*> for_end;
    for (auto made = made_.rbegin(); made != made_.rend(); ++made) for_end.push_back(made->c_str());
    for_end.push_back(nullptr);
    end_on_interrupts(for_end.data(), farewell_.c_str());
    made_for_end_.swap(for_end);
    sync_directory(path->parent_path());
  }
}

/// False if the directory has disappeared.
bool RunLock::hold() {
  directory_ = open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_ < 0) {
    if (errno == ENOENT && kind_ == Kind::kNew) return false;
    fail(errno);
  }
  locked_ = flock(directory_, LOCK_EX | LOCK_NB) == 0;
  if (!locked_ && errno == EWOULDBLOCK) {
    forget_made();  // it belongs to the other process now, whoever made it
    throw IoError(fmt::format("{}: another sotalign process is using this directory", path_));
  }
  if (!locked_)  // NFS refuses a lock on a directory with EBADF
    note(fmt::format(
        "{}: this file system has no locks ({}); make sure that no other process uses this directory", path_,
        std::strerror(errno)));
  struct stat held {
  }, named{};
  if (fstat(directory_, &held) == 0 && stat(path_.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
      held.st_ino == named.st_ino)
    return true;
  close(std::exchange(directory_, -1));
  forget_made();  // somebody removed or replaced it
  return false;
}

void RunLock::remove_leftovers() const {
  std::error_code ignored;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_, ignored)) names.push_back(entry.path().filename());
  for (const std::string& name : names)
    if (is_temporary(name)) remove_if_left(path_ + "/" + name);
}

void RunLock::require_usable() const {
  std::error_code error;
  if (access(path_.c_str(), W_OK | X_OK) != 0)
    throw IoError(fmt::format("{}: cannot write to this directory: {}", path_, std::strerror(errno)));
  for (fs::directory_iterator entry(path_, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (kind_ == Kind::kNew && !is_temporary(name))
      throw InvalidArgument(fmt::format("{}: expected a directory that is new or empty, found {} in it{}",
                                        path_, name, how_to_continue(path_, command_)));
    if (kind_ == Kind::kResumed && RunDirectory::has_file(name)) not_a_link(path_ + "/" + name);
  }
  if (error) throw IoError(fmt::format("{}: cannot read this directory: {}", path_, error.message()));
}

void RunLock::forget_made() {
  end_on_interrupts(kNothing, farewell_.c_str());
  made_.clear();
}

void RunLock::begun() {
  leave_interrupts();
  made_.clear();
}

void RunLock::remove_made() noexcept {
  // Still under the lock: a process that waits for this name then makes its own directory.
  for (auto path = made_.rbegin(); path != made_.rend(); ++path) rmdir(path->c_str());
  leave_interrupts();
  if (directory_ >= 0) close(std::exchange(directory_, -1));
}

}  // namespace sotalign::app
