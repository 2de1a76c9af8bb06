// Permission to use CUDA's default stream. The emulator takes it for a forgotten stream unless a test allows
// it.
#pragma once

namespace simt {
/// Not defined where kernels run on a real device.
[[gnu::weak, gnu::visibility("default")]] void allow_default_stream(bool allow);
}  // namespace simt

namespace sotalign::testing {

class DefaultStreamAllowed {
 public:
  DefaultStreamAllowed() { set(true); }
  ~DefaultStreamAllowed() { set(false); }
  DefaultStreamAllowed(const DefaultStreamAllowed&) = delete;
  DefaultStreamAllowed& operator=(const DefaultStreamAllowed&) = delete;

 private:
  static void set(bool allow) {
    if (simt::allow_default_stream != nullptr) simt::allow_default_stream(allow);
  }
};

}  // namespace sotalign::testing
