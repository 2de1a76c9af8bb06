// When OpenBLAS is loaded, before main(), it maps a buffer of 128 MiB for each of its threads, and retries
// forever if that fails. A process with a small address space limit (ulimit -v) would hang silently. The
// loader calls the functions in .preinit_array before the constructors of the libraries. The function here
// tests whether the buffers can be mapped, and ends the process with one line if they cannot.
//
// Not with AddressSanitizer: it is not initialised yet at that point, and it maps more than any limit allows.
#ifndef __SANITIZE_ADDRESS__
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr size_t kBufferBytes = size_t{128} << 20;
constexpr size_t kRoomBytes = size_t{4} << 20;  // for allocations of constructors that run before OpenBLAS's
constexpr long kMostThreads = 64;               // the limit of Debian's OpenBLAS

/// OpenBLAS uses as many threads as the machine has processors, or fewer if OMP_NUM_THREADS says so.
long blas_threads(char** environment) {
  long threads = std::clamp(sysconf(_SC_NPROCESSORS_CONF), 1L, kMostThreads);
  constexpr char kName[] = "OMP_NUM_THREADS=";
  for (char** variable = environment; *variable != nullptr; ++variable)
    if (std::strncmp(*variable, kName, sizeof kName - 1) == 0) {
      const long asked = std::strtol(*variable + sizeof kName - 1, nullptr, 10);
      if (asked > 0) threads = std::min(threads, asked);
    }
  return threads;
}

void* map(size_t bytes) {
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

// Runs before any library is initialised: must not allocate or use the C++ library.
void check_memory(int, char**, char** environment) {
  const long threads = blas_threads(environment);
  void* buffers[kMostThreads];
  long count = 0;
  void* room = map(kRoomBytes);
  if (room != MAP_FAILED)
    while (count < threads && (buffers[count] = map(kBufferBytes)) != MAP_FAILED) ++count;
  for (long i = 0; i < count; ++i) munmap(buffers[i], kBufferBytes);
  if (room != MAP_FAILED) munmap(room, kRoomBytes);
  if (count == threads) return;
  char line[256];
  const int length = std::snprintf(line, sizeof line,
                                   "sotalign: out of memory: OpenBLAS needs %ld MiB of address space for %ld "
                                   "threads, more than this process may map; set a smaller OMP_NUM_THREADS\n",
                                   threads * static_cast<long>(kBufferBytes >> 20), threads);
  if (write(STDERR_FILENO, line, static_cast<size_t>(length)) < 0) _exit(2);
  _exit(2);
}

__attribute__((section(".preinit_array"), used)) void (*const at_load)(int, char**, char**) = check_memory;

}  // namespace
#endif
