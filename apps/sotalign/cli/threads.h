// Chooses the number of threads of a command and checks that they can be started.
#pragma once

#include <cstdint>

namespace sotalign::app {

/// Caps OpenMP's default number of threads at the number of cores and starts them, before anything is
/// computed. Throws Error if they cannot be started.
void start_default_threads();

struct ThreadCount {
  int64_t asked = 0;  ///< 0: OpenMP's default, OMP_NUM_THREADS or all cores
  bool forced = false;
};
/// Starts the threads and returns their number. More threads than cores spend most of their time waiting, so
/// the number is capped at the cores unless forced, with a note unless `quiet`. Throws Error if the threads
/// cannot be started. Returns numbers that Context rejects unchanged.
int64_t start_threads(const ThreadCount& count, bool quiet);

}  // namespace sotalign::app
