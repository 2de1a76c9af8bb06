// Streams and events.
//
// A stream is a queue. An event is a position in a stream: whatever waits for it may not start before the
// stream has reached that position. Without config.deferred a queue is emptied as soon as work is added. With
// it, work is kept until the program waits; then a random stream that can go on does so. Work that the
// program forgot to wait for is then likely to run too late, or too early.
#include "simt/twins/streams.h"

#include <vector>

#include "simt/random.h"

namespace simt::detail {

namespace {

// Never destroyed: static objects of the program may release their streams in their destructors.
Handles<CUstream_st>& streams() {
  static auto& instance = *new Handles<CUstream_st>("a stream");
  return instance;
}
Handles<CUevent_st>& events() {
  static auto& instance = *new Handles<CUevent_st>("an event");
  return instance;
}

/// The default stream, which a program may use only while config.default_stream is set. It waits for no other
/// stream, as all of those that the program can create are non-blocking.
const std::shared_ptr<CUstream_st>& default_stream() {
  static auto& instance = *new std::shared_ptr<CUstream_st>(std::make_shared<CUstream_st>());
  return instance;
}

std::vector<CUstream_st*> streams_with_work() {
  std::vector<CUstream_st*> found;
  if (!default_stream()->work.empty()) found.push_back(default_stream().get());
  for (const auto& [pointer, stream] : streams().live())
    if (!stream->work.empty()) found.push_back(stream.get());
  return found;
}

bool can_run(const CUstream_st& stream) {
  return !stream.work.front().after || stream.work.front().after->reached();
}

/// Runs work of any stream until `done` returns true.
template <class Condition>
void run_until(Condition done) {
  if (done()) return;
  if (current != nullptr) throw Error("simt: a kernel calls the CUDA runtime");
  const DeviceAccess access;
  while (!done()) {
    std::vector<CUstream_st*> candidates = streams_with_work();
    std::erase_if(candidates, [](const CUstream_st* stream) { return !can_run(*stream); });
    if (candidates.empty()) throw Error("simt: streams wait for each other");
    CUstream_st& stream = *candidates[candidates.size() == 1 ? 0 : next_random().below(candidates.size())];
    const Work work = std::move(stream.work.front());  // removed first: work that throws counts as done
    stream.work.pop_front();
    ++stream.done;
    if (work.run) work.run();
  }
}

std::shared_ptr<CUstream_st> find_stream(cudaStream_t stream, const std::string& what) {
  if (stream == nullptr) {
    if (config.default_stream) return default_stream();
    throw Error("simt: " + what + ": on the default stream, which the library never uses unasked");
  }
  std::shared_ptr<CUstream_st> found = streams().find(stream);
  if (found == nullptr) throw Error("simt: " + what + ": on a stream that does not exist (any more)");
  return found;
}
std::shared_ptr<CUevent_st> find_event(cudaEvent_t event) {
  std::shared_ptr<CUevent_st> found = events().find(event);
  if (found == nullptr) throw Error("simt: use of an event that does not exist (any more)");
  return found;
}

void push(CUstream_st& stream, Work work) {
  stream.work.push_back(std::move(work));
  ++stream.issued;
  if (!config.deferred) run_until([&] { return stream.work.empty(); });
}

}  // namespace

void require_stream(cudaStream_t stream, const std::string& what) { find_stream(stream, what); }

void enqueue(cudaStream_t stream, std::function<void()> work) {
  const DeviceLock lock(device_mutex());
  push(*find_stream(stream, "work"), {std::move(work), std::nullopt});
}

void finish_all_work() {
  run_until([] { return streams_with_work().empty(); });
}

cudaStream_t create_stream() { return streams().create(); }
void finish_stream(cudaStream_t stream) {
  const auto found = find_stream(stream, "synchronisation");
  run_until([&] { return found->work.empty(); });
}
void destroy_stream(cudaStream_t stream) {
  finish_stream(stream);  // CUDA does not wait here, but completes the work
  streams().destroy(stream);
}

cudaEvent_t create_event() { return events().create(); }
void destroy_event(cudaEvent_t event) {
  find_event(event);
  events().destroy(event);
}
void record_event(cudaEvent_t event, cudaStream_t stream) {
  const auto recorded = find_event(event);
  const auto at = find_stream(stream, "cudaEventRecord");
  recorded->point = Point{at, at->issued + 1};
  push(*at, {[recorded] { recorded->time = std::chrono::steady_clock::now(); }, std::nullopt});
}
void finish_event(cudaEvent_t event) {
  const std::optional<Point> point = find_event(event)->point;
  if (point) run_until([&] { return point->reached(); });
}
void wait_for_event(cudaStream_t stream, cudaEvent_t event) {
  push(*find_stream(stream, "cudaStreamWaitEvent"), {{}, find_event(event)->point});
}
const CUevent_st& get_event(cudaEvent_t event) { return *find_event(event); }

}  // namespace simt::detail
