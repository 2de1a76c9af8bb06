// Device memory: host memory that only kernels, copies and library calls may access.
//
// Without sanitizers it is one arena, inaccessible while no such work runs, so that host code that follows a
// device pointer crashes at once. Under a sanitizer each allocation is a heap block: AddressSanitizer then
// finds out-of-bounds accesses, also in kernels, and uses after cudaFree.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simt/twins/device.h"

namespace simt::detail {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kArena = false;
#else
constexpr bool kArena = true;
#endif
constexpr size_t kAlignment = 256;  // as cudaMalloc's
// The arena is opened and closed around every kernel, at a cost per page: hence huge pages.
constexpr size_t kHugePage = size_t{2} << 20;

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }
uintptr_t address_of(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

/// Live allocations: address and size in bytes. Never destroyed, like the other objects of this file: static
/// objects of the program may free device memory in their destructors.
std::map<uintptr_t, size_t>& allocations() {
  static auto& instance = *new std::map<uintptr_t, size_t>;
  return instance;
}
size_t bytes_in_use = 0;

uintptr_t arena_begin = 0;
size_t arena_bytes = 0;

void arena_fault(int, siginfo_t* info, void*) {
  const uintptr_t address = address_of(info->si_addr);
  char text[256] = "simt: invalid memory access by the host\n";
  if (current != nullptr)
    std::snprintf(text, sizeof text,
                  "simt: invalid memory access in kernel %s, block (%u, %u, %u), thread (%u, %u, %u)\n",
                  running->name, current->block.x, current->block.y, current->block.z, current->index.x,
                  current->index.y, current->index.z);
  else if (address >= arena_begin && address < arena_begin + arena_bytes)
    std::snprintf(text, sizeof text, "simt: host code touched device memory\n");
  const ssize_t ignored = write(STDERR_FILENO, text, std::strlen(text));
  static_cast<void>(ignored);
  signal(SIGSEGV, SIG_DFL);  // the access is retried and ends the process
}

bool guarded() {
  static const bool value = kArena && config.guard;
  return value;
}

void reserve_arena() {
  // At least the default device's size, so that it does not matter when a test first allocates.
  arena_bytes = round_up(std::max(config.memory_bytes, Config{}.memory_bytes), kHugePage);
  void* mapping = mmap(nullptr, arena_bytes + kHugePage, guarded() ? PROT_NONE : PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) throw Error("simt: no address space for the device's memory");
  arena_begin = round_up(address_of(mapping), kHugePage);
  madvise(reinterpret_cast<void*>(arena_begin), arena_bytes, MADV_HUGEPAGE);
  if (!guarded()) return;
  struct sigaction action {};
  action.sa_sigaction = arena_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, nullptr);
}

/// The first gap of sufficient size.
uintptr_t find_room(size_t bytes) {
  if (arena_begin == 0) reserve_arena();
  uintptr_t candidate = arena_begin;
  for (const auto& [address, size] : allocations()) {
    if (address - candidate >= bytes) return candidate;
    candidate = address + round_up(size, kAlignment);
  }
  return arena_begin + arena_bytes - candidate >= bytes ? candidate : 0;
}

/// Size of the arena up to the end of the last allocation.
size_t arena_bytes_in_use() {
  if (!guarded() || allocations().empty()) return 0;
  const auto& [address, size] = *allocations().rbegin();
  return round_up(address + size - arena_begin, kHugePage);
}

/// The last allocation that starts at or before the address.
const std::pair<const uintptr_t, size_t>* allocation_before(uintptr_t address) {
  const auto after = allocations().upper_bound(address);
  return after == allocations().begin() ? nullptr : &*std::prev(after);
}

}  // namespace

DeviceAccess::DeviceAccess() : bytes_(arena_bytes_in_use()) {
  if (bytes_ > 0) mprotect(reinterpret_cast<void*>(arena_begin), bytes_, PROT_READ | PROT_WRITE);
}
DeviceAccess::~DeviceAccess() {
  if (bytes_ > 0) mprotect(reinterpret_cast<void*>(arena_begin), bytes_, PROT_NONE);
}

void* allocate_device_memory(size_t bytes) {
  if (bytes > config.memory_bytes || device_bytes_in_use() > config.memory_bytes - bytes) return nullptr;
  void* pointer = nullptr;
  if (kArena) {
    pointer = reinterpret_cast<void*>(find_room(round_up(bytes, kAlignment)));
  } else if (posix_memalign(&pointer, kAlignment, bytes) != 0) {
    pointer = nullptr;
  }
  if (pointer == nullptr) return nullptr;
  allocations().emplace(address_of(pointer), bytes);
  bytes_in_use += bytes;
  remember_object(pointer, std::to_string(bytes) + " bytes of device memory");
  const DeviceAccess access;
  std::memset(pointer, 0xff, bytes);
  return pointer;
}

void free_device_memory(void* pointer) {
  const auto found = allocations().find(address_of(pointer));
  if (found == allocations().end()) throw Error("simt: cudaFree of a pointer that is not an allocation");
  const size_t bytes = found->second;
  bytes_in_use -= bytes;
  forget_object(pointer);
  if (kArena) {
    const uintptr_t first = round_up(address_of(pointer), kHugePage);
    const uintptr_t last = (address_of(pointer) + bytes) / kHugePage * kHugePage;
    if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  } else {
    std::free(pointer);
  }
  allocations().erase(found);
}

size_t device_bytes_in_use() { return bytes_in_use; }

bool points_into_device_memory(const void* pointer) {
  const uintptr_t address = address_of(pointer);
  const auto* allocation = allocation_before(address);
  return allocation != nullptr && address - allocation->first <= allocation->second;
}

void require_device_memory(const void* pointer, size_t bytes, const std::string& what) {
  const uintptr_t address = address_of(pointer);
  const auto* allocation = allocation_before(address);
  if (allocation == nullptr || address - allocation->first > allocation->second)
    throw Error("simt: " + what + ": not a pointer into device memory");
  const size_t left = allocation->second - (address - allocation->first);
  if (bytes > left)
    throw Error("simt: " + what + ": " + std::to_string(bytes) + " bytes where the allocation of " +
                std::to_string(allocation->second) + " bytes has " + std::to_string(left) + " left");
}

void require_host_memory(const void* pointer, size_t bytes, const std::string& what) {
  const uintptr_t address = address_of(pointer);
  const auto* allocation = allocation_before(address + bytes - 1);
  if (allocation != nullptr && allocation->first + allocation->second > address)
    throw Error("simt: " + what + ": device memory where the host's is expected");
}

}  // namespace simt::detail
