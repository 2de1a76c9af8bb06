// Streams and events of the emulated device, for runtime.cpp.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "simt/twins/device.h"

namespace simt::detail {

/// A position in a stream's work.
struct Point {
  std::shared_ptr<const CUstream_st> stream;
  uint64_t position;

  bool reached() const;
};

struct Work {
  std::function<void()> run;   // may be empty
  std::optional<Point> after;  // must not start before this
};

}  // namespace simt::detail

// What cudaStream_t and cudaEvent_t point to.
struct CUstream_st {
  std::deque<simt::detail::Work> work;
  uint64_t issued = 0, done = 0;
};
struct CUevent_st {
  std::optional<simt::detail::Point> point;  // where it was last recorded
  std::chrono::steady_clock::time_point time;
};

namespace simt::detail {

inline bool Point::reached() const { return stream->done >= position; }

// These throw for a stream or event that does not exist.
cudaStream_t create_stream();
void destroy_stream(cudaStream_t stream);
void finish_stream(cudaStream_t stream);

cudaEvent_t create_event();
void destroy_event(cudaEvent_t event);
void record_event(cudaEvent_t event, cudaStream_t stream);
void finish_event(cudaEvent_t event);
void wait_for_event(cudaStream_t stream, cudaEvent_t event);
const CUevent_st& get_event(cudaEvent_t event);

}  // namespace simt::detail
