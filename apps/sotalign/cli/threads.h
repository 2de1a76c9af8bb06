// How many threads a command computes with, and whether they can be had.
#pragma once

#include <cstdint>

namespace sotalign::app {

/// Before anything is computed: OpenMP's default number of threads becomes at most what the machine has, and
/// they are started. Throws Error if they cannot be.
void start_default_threads();

struct ThreadCount {
  int64_t asked = 0;  ///< 0: OpenMP's default, OMP_NUM_THREADS or all cores
  bool forced = false;
};
/// The number to use. More threads than cores wait for each other most of the time: unless forced there are
/// as many as cores, with a note unless `quiet`. They are started; throws Error if they cannot be. Numbers
/// that Context refuses are returned as they are.
int64_t start_threads(const ThreadCount& count, bool quiet);

}  // namespace sotalign::app
