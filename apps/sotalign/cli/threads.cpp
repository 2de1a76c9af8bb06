#include "cli/threads.h"

#include <fmt/format.h>
#include <limits.h>
#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include "cli/notes.h"
#include "sotalign/core/error.h"

namespace sotalign::app {

namespace {

constexpr int64_t kMost = 4096;  // the limit of Context

int64_t default_threads = 1;  // before the cap at the number of cores
int64_t started = 1;

/// Stack size of OpenMP's threads in bytes, from its environment variables; 0: the system's default.
size_t stack_bytes() {
  for (const char* name : {"OMP_STACKSIZE", "GOMP_STACKSIZE"}) {
    const char* text = std::getenv(name);
    if (text == nullptr) continue;
    char* end = nullptr;
    const unsigned long long number = std::strtoull(text, &end, 10);
    while (*end == ' ') ++end;
    constexpr char kUnits[] = "bkmg";
    const char unit = *end == '\0' ? 'k' : static_cast<char>(*end | 0x20);
    const char* found = std::strchr(kUnits, unit);
    if (end == text || found == nullptr) continue;
    const auto shift = static_cast<unsigned>(10 * (found - kUnits));
    if (number > (~size_t{0} >> shift)) continue;
    return static_cast<size_t>(number << shift);
  }
  return 0;
}

/// Threads wait here until all have been started, so that all exist at the same time.
struct Gate {
  std::mutex mutex;
  std::condition_variable opened;
  bool open = false;
};

void* wait_at(void* pointer) {
  auto& gate = *static_cast<Gate*>(pointer);
  std::unique_lock lock(gate.mutex);
  gate.opened.wait(lock, [&] { return gate.open; });
  return nullptr;
}

/// Starts `count` threads as a test, because OpenMP aborts if it cannot start a thread of its pool.
void start(int64_t count) {
  if (count <= started) return;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (const size_t bytes = stack_bytes(); bytes > 0)
    pthread_attr_setstacksize(&attributes, std::max(bytes, static_cast<size_t>(PTHREAD_STACK_MIN)));
  Gate gate;
  std::vector<pthread_t> threads;
  threads.reserve(static_cast<size_t>(count));
  int failure = 0;
  while (failure == 0 && static_cast<int64_t>(threads.size()) + 1 < count) {
    pthread_t thread{};
    failure = pthread_create(&thread, &attributes, wait_at, &gate);
    if (failure == 0) threads.push_back(thread);
  }
  pthread_attr_destroy(&attributes);
  {
    const std::lock_guard lock(gate.mutex);
    gate.open = true;
  }
  gate.opened.notify_all();
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  if (failure != 0)
    throw Error(fmt::format("threads: expected to start {}, found a limit of {}: {}", count,
                            threads.size() + 1, std::strerror(failure)));
  started = count;
  // Create the pool now, while there is room for it.
#pragma omp parallel num_threads(static_cast <int>(count))
  {}
}

}  // namespace

void start_default_threads() {
  default_threads = omp_get_max_threads();
  omp_set_num_threads(std::min(omp_get_max_threads(), omp_get_num_procs()));
  start(omp_get_max_threads());
}

int64_t start_threads(const ThreadCount& count, bool quiet) {
  if (count.asked < 0 || count.asked > kMost) return count.asked;
  const int64_t cores = omp_get_num_procs();
  int64_t threads = count.asked == 0 ? std::min(default_threads, kMost) : count.asked;
  if (threads > cores && !count.forced) {
    if (!quiet)
      note(fmt::format("{} threads requested, {} used, one per core; --force-threads uses all {}", threads,
                       cores, threads));
    threads = cores;
  }
  if (count.asked == 0) omp_set_num_threads(static_cast<int>(threads));  // forced: the BLAS uses them, too
  start(threads);
  return threads;
}

}  // namespace sotalign::app
