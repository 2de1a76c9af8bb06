// Work on the emulated device that runs as late as the program's waits allow. A real device decides itself.
#pragma once

namespace simt {
/// Returns what held before. Not defined where kernels run on a real device.
[[gnu::weak, gnu::visibility("default")]] bool defer_work(bool defer);
}  // namespace simt

namespace sotalign::testing {

class WorkDeferred {
 public:
  WorkDeferred() : before_(set(true)) {}
  ~WorkDeferred() { set(before_); }
  WorkDeferred(const WorkDeferred&) = delete;
  WorkDeferred& operator=(const WorkDeferred&) = delete;

 private:
  static bool set(bool defer) { return simt::defer_work != nullptr && simt::defer_work(defer); }
  bool before_;
};

}  // namespace sotalign::testing
