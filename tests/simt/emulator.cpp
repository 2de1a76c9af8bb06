// Runs the threads of a kernel as fibers on one host thread: one block after another or, in a cooperative
// launch, all blocks together.
//
// A fiber runs until it waits at a barrier or in a warp operation, or until its thread ends; then another
// fiber goes on. A thread that never waits costs no switch: the next one starts on the same stack. When no
// thread can go on, the kernel has deadlocked. An error is an exception on the fiber of its thread; the
// launch abandons the other fibers and throws it.
//
// Never compiled for the race detector, which must not see the scheduler's own state.
#include "simt/emulator.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <numeric>
#include <optional>

#include "simt/random.h"
#include "simt/sanitizers.h"
#include "simt/twins/device.h"

namespace simt {

namespace {

std::optional<uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

Config config_from_environment() {
  Config values;
  values.seed = number_from_environment("SIMT_SEED").value_or(values.seed);
  values.deferred = number_from_environment("SIMT_DEFERRED").value_or(0) != 0;
  values.devices = static_cast<int>(number_from_environment("SIMT_DEVICES").value_or(0));
  values.library_version = static_cast<int>(number_from_environment("SIMT_LIBRARY_VERSION").value_or(0));
  values.pinned_bytes = number_from_environment("SIMT_PINNED_BYTES").value_or(values.pinned_bytes);
  values.guard = number_from_environment("SIMT_GUARD").value_or(1) != 0;
  return values;
}

uint64_t schedules_taken = 0;

}  // namespace

// Initialized before other static objects, some of which ask for devices.
[[gnu::init_priority(101)]] Config config = config_from_environment();

namespace detail {

Thread* current = nullptr;
const Launch* running = nullptr;

Random next_random() {
  ++schedules_taken;
  return Random(Random(config.seed).next() + schedules_taken);
}

namespace {

namespace context = boost::context::detail;

constexpr size_t kMaxThreads = 1024;               // in a block
constexpr size_t kMaxFibers = 16 * kMaxThreads;    // of a cooperative launch, whose threads all live at once
constexpr size_t kStackBytes = size_t{256} << 10;  // virtual; untouched pages cost nothing
constexpr size_t kPage = 4096;
constexpr unsigned kWarp = 32;
/// Detector threads in builds for the race detector, which supports only a few thousand. Later blocks reuse
/// them, so races between two threads that share one go unseen.
constexpr size_t kDetectors = kMaxThreads;

struct Block;

struct Fiber : Thread {
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber() {
    if (mapping == nullptr) return;
    sanitizers::destroy_detector(detector);
    sanitizers::forget_stack(mapping, kPage + kStackBytes);
    munmap(mapping, kPage + kStackBytes);
  }

  context::fcontext_t context{};
  const void* stack = nullptr;  // its lowest address
  size_t stack_bytes = 0;
  void* mapping = nullptr;
  void* fake_stack = nullptr;  // AddressSanitizer's
  sanitizers::Detector detector{};

  Block* home = nullptr;  // its thread's block
  unsigned number = 0;    // of its thread within the block
  // What its thread is waiting for, and its operands in a warp operation.
  const char* waits_in = "";
  Location where;
  uint64_t value = 0, result = 0;
  unsigned source = 0;
};

/// Holds each fiber at most once. Fixed size: the race detector would also observe a library container that
/// grows.
template <size_t kMost>
class FiberQueue {
 public:
  void clear() { size_ = 0; }
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  void push(Fiber* fiber) { at(size_++) = fiber; }
  /// Takes the fiber at place i; the first one moves into its place.
  Fiber* take(size_t i = 0) {
    Fiber* fiber = std::exchange(at(i), at(0));
    first_ = (first_ + 1) % kMost;
    --size_;
    return fiber;
  }
  Fiber* take_last() { return at(--size_); }

 private:
  Fiber*& at(size_t i) { return ring_[(first_ + i) % kMost]; }

  std::array<Fiber*, kMost> ring_{};
  size_t first_ = 0, size_ = 0;
};

struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using SharedMemory = std::unique_ptr<void, FreeMemory>;

/// One heap block per variable, so that AddressSanitizer guards both ends. Filled with NaNs.
SharedMemory make_shared_memory(size_t bytes) {
  SharedMemory memory(std::malloc(bytes));
  if (memory == nullptr) throw Error("simt: out of memory for shared memory");
  std::memset(memory.get(), 0xff, bytes);
  return memory;
}

/// Where the lanes that name one mask wait for each other. Lanes with other masks, including larger masks
/// that contain this one, may wait elsewhere at the same time.
struct Rendezvous {
  unsigned mask = 0, arrived = 0;
  Collective kind{};
  unsigned round = 0;
  char tokens[2] = {};  // for the race detector, used alternately
};
struct Warp {
  unsigned alive = 0;
  std::deque<Rendezvous> meetings;  // one per mask used so far

  Rendezvous& meeting(unsigned mask) {
    for (Rendezvous& known : meetings)
      if (known.mask == mask) return known;
    const sanitizers::Unobserved unobserved;
    Rendezvous& added = meetings.emplace_back();
    added.mask = mask;
    return added;
  }
};

/// Where the threads of one or more blocks wait for each other.
template <size_t kMost>
struct Gathering {
  Location where;
  unsigned arrived = 0, round = 0;
  FiberQueue<kMost> waiting;
  char tokens[2] = {};  // for the race detector, used alternately
};
struct BlockBarrier : Gathering<kMaxThreads> {
  Barrier kind{};
  int count = 0, result = 0;
};
struct TeamBarrier : Gathering<kMaxFibers> {
  const void* key = nullptr;
  unsigned blocks = 0;
};

/// A block whose threads run.
struct Block {
  uint3 index{};
  std::vector<Fiber*> fiber_of;  // indexed by thread number; null once the thread has ended
  std::vector<Warp> warps;
  BlockBarrier barrier;
  SharedMemory dynamic;
  std::vector<std::pair<const void*, SharedMemory>> static_memory;
  size_t shared_bytes = 0;
};

std::string to_text(const Location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}
std::string to_text(const uint3& index) {
  char text[40];
  std::snprintf(text, sizeof text, "(%u, %u, %u)", index.x, index.y, index.z);
  return text;
}

bool same(const Location& a, const Location& b) {
  return a.line() == b.line() && a.column() == b.column() && a.file_name() == b.file_name();
}

class Scheduler {
 public:
  void run(const Launch& launch, void (*body)(const void*), const void* arguments);

  // Called by the kernel's threads.
  int barrier(Barrier kind, int predicate, Location where);
  void team_barrier(const void* key, unsigned blocks, Location where);
  uint64_t collective(Collective kind, unsigned mask, uint64_t value, unsigned source, Location where);
  void* static_shared(const void* key, size_t bytes, Location where);
  void* dynamic_shared() const { return self().home->dynamic.get(); }
  void fence();
  [[noreturn]] void fail(const std::string& what, const Location& where);

 private:
  void run_blocks(const size_t* numbers, size_t count);
  void prepare_block(Block& block, uint3 index);
  void abandon_fibers();
  void prepare_fibers();
  [[noreturn]] static void fiber_main(context::transfer_t from);
  static void arrive(context::transfer_t from, void* fake_stack);
  void jump(Fiber& from, Fiber& to);
  Fiber* next(Fiber* leaving);
  void start(Fiber& fiber);
  Fiber* idle_fiber();
  void make_fiber();
  void wait(const char* waits_in, const Location& where);
  void run_thread();
  void end_thread();
  void report_deadlock();
  static Fiber& self() { return *static_cast<Fiber*>(current); }

  // State of the grid.
  void (*body_)(const void*) = nullptr;
  const void* arguments_ = nullptr;
  Random random_;
  bool in_order_ = true;
  std::string error_;

  // State of the blocks that run together.
  unsigned threads_ = 0;      // of a block
  std::deque<Block> blocks_;  // as many as ever ran together; the first `together_` run
  size_t together_ = 0;
  std::vector<size_t> order_;  // in which threads start: block * threads_ + number
  size_t started_ = 0, alive_ = 0;
  std::deque<TeamBarrier> teams_;  // one per key in this launch

  // Fibers.
  Fiber host_;  // the host code that launched the kernel, not a CUDA thread
  std::vector<std::unique_ptr<Fiber>> fibers_;
  FiberQueue<kMaxFibers> idle_, ready_;

  // For the race detector.
  char launch_token_ = 0, end_token_ = 0, fence_token_ = 0;
};

// Never destroyed: a static object of the program may still launch in its destructor.
Scheduler& scheduler() {
  static Scheduler& instance = *new Scheduler;
  return instance;
}

// --- fibers ---

void Scheduler::make_fiber() {
  Fiber& fiber = *fibers_.emplace_back(std::make_unique<Fiber>());
  const auto map = [](size_t bytes) {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  void* mapping = map(kPage + kStackBytes);
  if (mapping == MAP_FAILED) throw Error("simt: no memory for the stack of a fiber");
  fiber.mapping = mapping;
  mprotect(mapping, kPage, PROT_NONE);  // guard page: a stack overflow faults
  char* low = static_cast<char*>(mapping) + kPage;
  // Stacks that all start at the same page offset would compete for a few cache sets.
  const size_t stagger = fibers_.size() * 320 % kPage / 64 * 64;
  fiber.stack = low;
  fiber.stack_bytes = kStackBytes - stagger;
  fiber.context = context::make_fcontext(low + fiber.stack_bytes, fiber.stack_bytes, fiber_main);
  fiber.detector = sanitizers::create_detector();
  idle_.push(&fiber);
}

/// Takes the most recently used fiber, which is warm in the cache. For the race detector it takes the least
/// recently used one, and each thread that runs gets its own fiber: two threads on one stack would be
/// reported as a race.
Fiber* Scheduler::idle_fiber() {
  if (idle_.empty()) make_fiber();
  return sanitizers::kDetectRaces ? idle_.take() : idle_.take_last();
}

void Scheduler::prepare_fibers() {
  if (!sanitizers::kDetectRaces) return;
  const dim3 grid = running->grid;
  const size_t all = size_t{threads_} * grid.x * grid.y * grid.z;
  const size_t wanted = running->cooperative ? all : std::max<size_t>(threads_, std::min(all, kDetectors));
  while (fibers_.size() < wanted) make_fiber();
}

void Scheduler::jump(Fiber& from, Fiber& to) {
  current = &to;
  sanitizers::switch_detector(to.detector);
  sanitizers::start_switch(&from.fake_stack, to.stack, to.stack_bytes);
  arrive(context::jump_fcontext(to.context, &from), from.fake_stack);
}

void Scheduler::arrive(context::transfer_t transfer, void* fake_stack) {
  Fiber& from = *static_cast<Fiber*>(transfer.data);
  from.context = transfer.fctx;
  const void* stack = nullptr;
  size_t bytes = 0;
  sanitizers::finish_switch(fake_stack, &stack, &bytes);
  if (from.mapping == nullptr) {  // the host, whose stack only the sanitizer knows
    from.stack = stack;
    from.stack_bytes = bytes;
  }
}

void Scheduler::fiber_main(context::transfer_t transfer) {
  arrive(transfer, nullptr);
  Scheduler& all = scheduler();
  for (;;) all.run_thread();
}

void Scheduler::run_thread() {
  sanitizers::acquire(&launch_token_);
  bool failed = false;
  try {
    body_(arguments_);
    if (current->copies.first != current->copies.end)
      throw Error("simt: kernel " + std::string(running->name) +
                  ": a thread ended without waiting for its asynchronous copies");
  } catch (const std::exception& error) {
    const sanitizers::Unobserved unobserved;
    error_ = error.what();
    failed = true;
  }
  // Outside the handler: the C++ runtime keeps the current exception per thread and knows nothing of fibers.
  if (failed) jump(self(), host_);
  end_thread();
}

// --- choosing the next fiber ---

/// The fiber to run next, possibly `leaving` with a new thread; null if all remaining threads wait.
Fiber* Scheduler::next(Fiber* leaving) {
  const size_t fresh = order_.size() - started_;
  const bool start_one =
      fresh > 0 && (ready_.empty() || (!in_order_ && random_.below(ready_.size() + fresh) < fresh));
  if (start_one) {
    Fiber* fiber = leaving != nullptr && !sanitizers::kDetectRaces ? leaving : idle_fiber();
    start(*fiber);
    return fiber;
  }
  if (ready_.empty()) return nullptr;
  return ready_.take(in_order_ ? 0 : random_.below(ready_.size()));
}

void Scheduler::start(Fiber& fiber) {
  const size_t place = order_[started_++];
  Block& home = blocks_[place / threads_];
  const unsigned number = static_cast<unsigned>(place % threads_);
  const dim3 block = running->block;
  fiber.home = &home;
  fiber.number = number;
  fiber.index = {number % block.x, number / block.x % block.y, number / (block.x * block.y)};
  fiber.block = home.index;
  fiber.lane = number % kWarp;
  fiber.copies.first = fiber.copies.end = fiber.copies.group = 0;
  home.fiber_of[number] = &fiber;
}

void Scheduler::wait(const char* waits_in, const Location& where) {
  Fiber& me = self();
  me.waits_in = waits_in;
  me.where = where;
  Fiber* other = next(nullptr);
  if (other == nullptr) {
    report_deadlock();
    other = &host_;
  }
  if (other != &me) jump(me, *other);
}

void Scheduler::end_thread() {
  Fiber& me = self();
  sanitizers::release(&end_token_);
  me.home->warps[me.number / kWarp].alive &= ~(1u << me.lane);
  me.home->fiber_of[me.number] = nullptr;
  --alive_;
  Fiber* other = alive_ == 0 ? &host_ : next(&me);
  if (other == &me) return;
  idle_.push(&me);
  if (other == nullptr) {
    report_deadlock();
    other = &host_;
  }
  jump(me, *other);  // returns here with a new thread
}

void Scheduler::report_deadlock() {
  const sanitizers::Unobserved unobserved;
  const bool alone = together_ == 1;
  std::string text = "simt: kernel " + std::string(running->name) +
                     (alone ? ", block " + to_text(blocks_[0].index) : "") +
                     ": deadlock: " + std::to_string(alive_) + " threads wait, " +
                     std::to_string(together_ * threads_ - alive_) + " have ended";
  int named = 0;
  const Fiber* last = nullptr;
  for (size_t b = 0; b < together_; ++b)
    for (const Fiber* fiber : blocks_[b].fiber_of) {
      // Name one of the threads that wait at the same place.
      if (named == 4 || fiber == nullptr || (last != nullptr && same(last->where, fiber->where))) continue;
      text += std::string("; ") + (alone ? "" : "block " + to_text(fiber->block) + ", ") + "thread " +
              to_text(fiber->index) + " waits in " + fiber->waits_in + " at " + to_text(fiber->where);
      last = fiber;
      ++named;
    }
  error_ = text;
}

void Scheduler::fail(const std::string& what, const Location& where) {
  const Fiber& me = self();
  throw Error("simt: kernel " + std::string(running->name) + ", block " + to_text(me.block) + ", thread " +
              to_text(me.index) + ", " + to_text(where) + ": " + what);
}

// --- grids and blocks ---

void Scheduler::run(const Launch& launch, void (*body)(const void*), const void* arguments) {
  const sanitizers::Unobserved unobserved;
  ++counters_to_change().launches;
  running = &launch;
  body_ = body;
  arguments_ = arguments;
  random_ = next_random();
  in_order_ = config.seed == 0;
  threads_ = launch.block.x * launch.block.y * launch.block.z;
  host_.detector = sanitizers::current_detector();
  error_.clear();
  struct Reset {
    ~Reset() {
      current = nullptr;
      running = nullptr;
    }
  } const reset;
  prepare_fibers();

  const dim3 grid = launch.grid;
  const size_t blocks = size_t{grid.x} * grid.y * grid.z;
  std::vector<size_t> order(blocks);
  std::iota(order.begin(), order.end(), size_t{0});
  if (!in_order_) random_.shuffle(order);
  teams_.clear();
  // Released once per grid: nothing orders blocks among themselves.
  sanitizers::release(&launch_token_);
  const size_t together = launch.cooperative ? blocks : 1;
  for (size_t i = 0; i < blocks && error_.empty(); i += together) run_blocks(&order[i], together);
  if (!error_.empty()) abandon_fibers();
  sanitizers::acquire(&end_token_);
  for (Block& block : blocks_) {
    block.static_memory.clear();
    block.dynamic.reset();
  }
  if (!error_.empty()) throw Error(error_);
}

/// The fibers are in the middle of the kernel.
void Scheduler::abandon_fibers() {
  for (const std::unique_ptr<Fiber>& fiber : fibers_) {
    sanitizers::switch_detector(fiber->detector);
    sanitizers::release(&end_token_);
  }
  sanitizers::switch_detector(host_.detector);
  idle_.clear();
  fibers_.clear();
}

void Scheduler::prepare_block(Block& block, uint3 index) {
  block.index = index;
  block.fiber_of.assign(threads_, nullptr);
  block.warps.resize((threads_ + kWarp - 1) / kWarp);
  for (size_t i = 0; i < block.warps.size(); ++i) {
    const size_t lanes = std::min<size_t>(kWarp, threads_ - kWarp * i);
    block.warps[i].alive = static_cast<unsigned>((uint64_t{1} << lanes) - 1);
    for (Rendezvous& meeting : block.warps[i].meetings) meeting.arrived = 0;
  }
  block.barrier.arrived = 0;
  block.barrier.count = 0;
  block.barrier.waiting.clear();
  block.static_memory.clear();
  block.shared_bytes = running->shared_bytes;
  block.dynamic = block.shared_bytes > 0 ? make_shared_memory(block.shared_bytes) : nullptr;
}

void Scheduler::run_blocks(const size_t* numbers, size_t count) {
  while (blocks_.size() < count) blocks_.emplace_back();
  const dim3 grid = running->grid;
  for (size_t i = 0; i < count; ++i)
    prepare_block(blocks_[i], {static_cast<unsigned>(numbers[i] % grid.x),
                               static_cast<unsigned>(numbers[i] / grid.x % grid.y),
                               static_cast<unsigned>(numbers[i] / grid.x / grid.y)});
  together_ = count;
  alive_ = count * threads_;
  ready_.clear();
  order_.resize(alive_);
  std::iota(order_.begin(), order_.end(), size_t{0});
  if (!in_order_) random_.shuffle(order_);
  started_ = 0;
  jump(host_, *next(nullptr));
  current = nullptr;
}

void* Scheduler::static_shared(const void* key, size_t bytes, Location where) {
  Block& block = *self().home;
  for (const auto& [known, memory] : block.static_memory)
    if (known == key) return memory.get();
  block.shared_bytes += bytes;
  if (block.shared_bytes > config.max_shared_bytes)
    fail("static and dynamic shared memory take " + std::to_string(block.shared_bytes) +
             " bytes, more than " + std::to_string(config.max_shared_bytes),
         where);
  const sanitizers::Unobserved unobserved;
  return block.static_memory.emplace_back(key, make_shared_memory(bytes)).second.get();
}

// --- barriers and warp operations ---

int Scheduler::barrier(Barrier kind, int predicate, Location where) {
  Fiber& me = self();
  BlockBarrier& b = me.home->barrier;
  if (b.arrived == 0) {
    b.kind = kind;
    b.where = where;
  } else if (b.kind != kind || !same(b.where, where)) {
    fail("threads of the block wait at different barriers, the other one at " + to_text(b.where), where);
  }
  // A thread that is slow to leave this barrier must not see what faster ones do on their way to the next.
  char* token = &b.tokens[b.round % 2];
  sanitizers::release(token);
  b.count += predicate != 0;
  if (++b.arrived == threads_) {
    b.result = std::exchange(b.count, 0);
    b.arrived = 0;
    ++b.round;
    while (!b.waiting.empty()) ready_.push(b.waiting.take());
    if (!in_order_) {  // any of them may go on first
      ready_.push(&me);
      wait("__syncthreads", where);
    }
  } else {
    b.waiting.push(&me);
    wait("__syncthreads", where);
  }
  sanitizers::acquire(token);
  return b.result;  // still this barrier's: the next one cannot complete before this thread arrives
}

void Scheduler::team_barrier(const void* key, unsigned blocks, Location where) {
  Fiber& me = self();
  if (!running->cooperative) fail("a barrier between blocks in a launch that is not cooperative", where);
  auto found = std::find_if(teams_.begin(), teams_.end(), [&](const auto& team) { return team.key == key; });
  if (found == teams_.end()) {
    const sanitizers::Unobserved unobserved;
    found = teams_.insert(teams_.end(), TeamBarrier{});
    found->key = key;
  }
  TeamBarrier& b = *found;
  if (b.arrived == 0) {
    b.where = where;
    b.blocks = blocks;
  } else if (b.blocks != blocks || !same(b.where, where)) {
    fail("blocks wait at different barriers, the other one for " + std::to_string(b.blocks) + " blocks at " +
             to_text(b.where),
         where);
  }
  char* token = &b.tokens[b.round % 2];
  sanitizers::release(token);
  if (++b.arrived == threads_ * blocks) {
    b.arrived = 0;
    ++b.round;
    while (!b.waiting.empty()) ready_.push(b.waiting.take());
    if (!in_order_) {  // any of them may go on first
      ready_.push(&me);
      wait("a barrier between blocks", where);
    }
  } else {
    b.waiting.push(&me);
    wait("a barrier between blocks", where);
  }
  sanitizers::acquire(token);
}

uint64_t Scheduler::collective(Collective kind, unsigned mask, uint64_t value, unsigned source,
                               Location where) {
  Fiber& me = self();
  Warp& warp = me.home->warps[me.number / kWarp];
  if ((mask >> me.lane & 1) == 0) fail("a warp operation whose mask excludes the calling thread", where);
  if ((mask & ~warp.alive) != 0) fail("a warp operation with lanes that have ended or do not exist", where);
  if ((mask >> source & 1) == 0 && kind == Collective::kShuffle)
    fail("a shuffle from lane " + std::to_string(source) + ", which is not in the mask", where);
  Rendezvous& r = warp.meeting(mask);
  if (r.arrived == 0)
    r.kind = kind;
  else if (r.kind != kind)
    fail("lanes of the warp are in different operations", where);
  // Only __syncwarp orders memory; shuffles and votes pass a value and nothing else.
  char* token = kind == Collective::kSync ? &r.tokens[r.round % 2] : nullptr;
  if (token != nullptr) sanitizers::release(token);
  me.value = value;
  me.source = source;
  r.arrived |= 1u << me.lane;
  if (r.arrived == mask) {
    r.arrived = 0;
    ++r.round;
    Fiber* const* lanes = &me.home->fiber_of[me.number - me.lane];
    uint64_t votes = 0;
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
      const int lane = std::countr_zero(rest);
      votes |= uint64_t{lanes[lane]->value != 0} << lane;
    }
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) {
      Fiber* fiber = lanes[std::countr_zero(rest)];
      fiber->result = kind == Collective::kShuffle ? lanes[fiber->source]->value : votes;
      if (fiber != &me || !in_order_) ready_.push(fiber);
    }
    if (!in_order_) wait("a warp operation", where);
  } else {
    wait("a warp operation", where);
  }
  if (token != nullptr) sanitizers::acquire(token);
  return me.result;
}

void Scheduler::fence() {
  sanitizers::acquire(&fence_token_);
  sanitizers::release(&fence_token_);
}

}  // namespace

// --- functions that the header declares ---

int block_barrier(Barrier kind, int predicate, Location where) {
  return scheduler().barrier(kind, predicate, where);
}
void team_barrier(const void* key, unsigned blocks, Location where) {
  scheduler().team_barrier(key, blocks, where);
}
uint64_t warp_collective(Collective kind, unsigned mask, uint64_t value, unsigned source, Location where) {
  return scheduler().collective(kind, mask, value, source, where);
}
void memory_fence() { scheduler().fence(); }
void* static_shared(const void* key, size_t bytes, Location where) {
  return scheduler().static_shared(key, bytes, where);
}
void* dynamic_shared() { return scheduler().dynamic_shared(); }
void fail(const std::string& what, Location where) { scheduler().fail(what, where); }

void check_launch(const Launch& launch) {
  const dim3 grid = launch.grid, block = launch.block;
  const auto refuse = [&](const std::string& why) {
    throw Error("simt: launch of kernel " + std::string(launch.name) + ": " + why);
  };
  if (grid.x < 1 || grid.y < 1 || grid.z < 1 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535)
    refuse("the grid has at most 2147483647 x 65535 x 65535 blocks, found " +
           to_text(uint3{grid.x, grid.y, grid.z}));
  if (block.x < 1 || block.y < 1 || block.z < 1 || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      block.x * block.y * block.z > kMaxThreads)
    refuse("a block has at most 1024 x 1024 x 64 and no more than 1024 threads, found " +
           to_text(uint3{block.x, block.y, block.z}));
  if (launch.shared_bytes > config.max_shared_bytes)
    refuse("a block has at most " + std::to_string(config.max_shared_bytes) +
           " bytes of shared memory, asked for " + std::to_string(launch.shared_bytes));
  if (!launch.cooperative) return;
  const size_t blocks = size_t{grid.x} * grid.y * grid.z, threads = size_t{block.x} * block.y * block.z;
  const size_t most = static_cast<size_t>(resident_blocks(static_cast<int>(threads), launch.shared_bytes)) *
                      static_cast<size_t>(config.multiprocessors);
  if (blocks > most || blocks * threads > kMaxFibers)
    refuse("its blocks must all be resident for a cooperative launch, at most " +
           std::to_string(std::min(most, kMaxFibers / threads)) + ", found " + std::to_string(blocks));
}

void check_pointer(const Launch& launch, const void* pointer) {
  const DeviceLock lock(device_mutex());
  if (pointer != nullptr && !points_into_device_memory(pointer))
    throw Error("simt: launch of kernel " + std::string(launch.name) +
                ": a pointer does not point into device memory");
}

void run_grid(const Launch& launch, void (*body)(const void*), const void* arguments) {
  scheduler().run(launch, body, arguments);
}

}  // namespace detail

void restart_schedule(const std::string& test) {
  const detail::DeviceLock lock(detail::device_mutex());
  schedules_taken = 0;
  detail::set_current_test(test);
}

}  // namespace simt
