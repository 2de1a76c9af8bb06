// A directory that one process at a time writes a run into.
#pragma once

#include <string>
#include <vector>

namespace sotalign::app {

/// Holds the directory, from before any data is read until its end. The lock is one on the directory itself
/// (flock): there is no file of it, and it ends with the process, however that ends. Where the file system
/// has no locks, a line on standard error says so.
class RunLock {
 public:
  enum class Kind {
    kNew,      ///< made here with its parents, unless it is there and empty
    kResumed,  ///< has a run to continue
  };

  /// `command` is what the run belongs to, "sotalign train". Temporary files that killed processes left in
  /// the directory are removed. Throws InvalidArgument for a new run in a directory that has something in
  /// it, and IoError for a directory that another process uses, that cannot be made or written, or that has a
  /// symbolic link in the place of one of the run's files.
  RunLock(std::string path, Kind kind, std::string command);
  /// Without begun(), removes what was made.
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  /// The run has a file by now: what was made stays. After catch_interrupts(), if that is called at all.
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
  std::vector<const char*> made_for_end_;  // the same, for signals: children first, then null
};

}  // namespace sotalign::app
