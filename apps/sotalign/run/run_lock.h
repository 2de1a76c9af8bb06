// Exclusive use of a run directory: one process at a time.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

/// Holds the directory from before any data is read until destruction. It locks the directory itself (flock),
/// so there is no lock file, and the lock ends with the process, however that ends. If the file system has no
/// locks, a note on standard error says so.
class RunLock {
 public:
  enum class Kind {
    kNew,      ///< create the directory and its parents, or use an empty one
    kResumed,  ///< the directory has a run to resume
  };

  /// `command` owns the run: "sotalign train". Removes temporary files that killed processes left in the
  /// directory. Throws InvalidArgument for a new run in a directory that is not empty, and IoError for a
  /// directory that another process uses, that cannot be created or written, or that has a symbolic link in
  /// place of a file of the run.
  RunLock(std::string path, Kind kind, std::string command);
  /// Removes the directories that were made, unless begun() was called.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// The run has written a file, so the directories stay. Call it after catch_interrupts(), if that is used.
  void begun();

 private:
  void make();
  bool hold();
  void remove_leftovers() const;
  void require_usable() const;
  void remove_made() noexcept;
  void forget_made();
  [[noreturn]] void fail(int reason) const;

  std::string path_, command_, farewell_;
  Kind kind_;
  int directory_ = -1;
  bool locked_ = false;
  std::vector<std::string> made_;          // parents first
  std::vector<const char*> made_for_end_;  // the same for the signal handler: children first, then null
};

}  // namespace sotalign::app
