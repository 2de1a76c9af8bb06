// Tells the sanitizers about fibers; does nothing in other builds. Both sanitizers track the stack pointer
// and the running thread, and neither expects a thread to change its stack.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(SIMT_TSAN)
// GCC installs no header for these functions.
extern "C" {
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void* __tsan_get_current_fiber();
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* token);
void __tsan_release(void* token);
void __tsan_ignore_thread_begin();
void __tsan_ignore_thread_end();
}
#endif

namespace simt::detail::sanitizers {

#if defined(SIMT_TSAN)
/// Each CUDA thread is a separate thread for the race detector.
constexpr bool kDetectRaces = true;
using Detector = void*;
inline Detector create_detector() { return __tsan_create_fiber(0); }
inline void destroy_detector(Detector detector) { __tsan_destroy_fiber(detector); }
inline Detector current_detector() { return __tsan_get_current_fiber(); }
/// Switching orders nothing; only barriers do.
inline void switch_detector(Detector detector) {
  constexpr unsigned kWithoutSynchronisation = 1;
  __tsan_switch_to_fiber(detector, kWithoutSynchronisation);
}
/// Everything before a release of `token` happens before everything after a later acquire of it.
inline void acquire(void* token) { __tsan_acquire(token); }
inline void release(void* token) { __tsan_release(token); }
/// Hides the emulator's own memory from the detector, including its allocation and release.
struct Unobserved {
  Unobserved() { __tsan_ignore_thread_begin(); }
  ~Unobserved() { __tsan_ignore_thread_end(); }
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;
};
#else
constexpr bool kDetectRaces = false;
struct Detector {};
inline Detector create_detector() { return {}; }
inline void destroy_detector(Detector) {}
inline Detector current_detector() { return {}; }
inline void switch_detector(Detector) {}
inline void acquire(void*) {}
inline void release(void*) {}
struct Unobserved {
  Unobserved() {}
};
#endif

#if defined(__SANITIZE_ADDRESS__)
inline void start_switch(void** fake_stack, const void* to_stack, size_t to_size) {
  __sanitizer_start_switch_fiber(fake_stack, to_stack, to_size);
}
inline void finish_switch(void* fake_stack, const void** from_stack, size_t* from_size) {
  __sanitizer_finish_switch_fiber(fake_stack, from_stack, from_size);
}
inline void forget_stack(void* stack, size_t size) { __asan_unpoison_memory_region(stack, size); }
#else
inline void start_switch(void**, const void*, size_t) {}
inline void finish_switch(void*, const void**, size_t*) {}
inline void forget_stack(void*, size_t) {}
#endif

}  // namespace simt::detail::sanitizers
