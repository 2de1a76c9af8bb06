// Whether a sanitizer checks the library that this test runs.
#pragma once

// Test objects are compiled once, without sanitizers, and linked with the sanitized libraries as well. So
// macros of the compiler do not tell; functions of the sanitizers' runtimes do.
extern "C" {
[[gnu::weak]] void __tsan_init();
[[gnu::weak]] void __asan_init();
}

namespace sotalign::testing {

/// If so, a test takes many times as long. It may then run something once that it otherwise runs twice to
/// compare the bits, but leaves out no kernel and no width.
inline bool under_sanitizer() { return &__tsan_init != nullptr || &__asan_init != nullptr; }

}  // namespace sotalign::testing
