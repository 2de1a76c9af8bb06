#include "sotalign/core/context.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "core/runtime.h"
#include "core/text.h"
#include "kernels/queue.h"
#include "sotalign/core/error.h"

namespace sotalign {

namespace {
constexpr size_t kAlignment = 64;
constexpr size_t kSmallestChunk = size_t{1} << 20;

constexpr size_t round_up(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }
}  // namespace

struct Context::Impl {
  struct Chunk {
    char* data;
    size_t size;
  };

  Device device;
  std::unique_ptr<detail::Runtime> runtime;
  MemoryResource* memory = nullptr;  // the caller's, or null
  ProductMath product_math = ProductMath::kFp32;
  int64_t allocations = 0;
  int64_t host_copies = 0;
  int64_t synchronizations = 0;
  int64_t bytes_in_use = 0;
  int64_t peak_bytes = 0;
  std::unordered_map<void*, size_t> sizes;

  CudaStream stream() const { return static_cast<CudaStream>(runtime->queue.stream); }
  void* allocate_from_resource(size_t bytes, const char* purpose);
  void release(void* pointer, size_t bytes) noexcept;
  [[noreturn]] void fail(size_t bytes, const char* purpose, const std::string& reason) const;

  // The workspace is a stack over `chunks`: a scope saves the top and restores it when it ends.
  std::vector<Chunk> chunks;
  size_t top_chunk = 0;
  size_t top_offset = 0;
};

MemoryResource::~MemoryResource() = default;

void Context::Impl::fail(size_t bytes, const char* purpose, const std::string& reason) const {
  const auto gib = [](auto count) { return static_cast<double>(count) / (1 << 30); };
  throw OutOfMemory(fmt::format("out of memory on {}: {:.2f} GiB asked for as {}, {:.2f} GiB in use{}",
                                to_string(device), gib(bytes), purpose, gib(bytes_in_use), reason));
}

void* Context::Impl::allocate_from_resource(size_t bytes, const char* purpose) {
  void* pointer = nullptr;
  runtime->select();
  try {
    pointer = memory->allocate(bytes, kAlignment, stream());
  } catch (const std::exception& error) {
    fail(bytes, purpose, fmt::format("; the memory resource: {}", detail::printable(error.what())));
  } catch (...) {
    fail(bytes, purpose, "; the memory resource threw an exception");
  }
  if (pointer == nullptr) fail(bytes, purpose, "; the memory resource returned null");
  if (const auto address = reinterpret_cast<uintptr_t>(pointer); address % kAlignment != 0) {
    memory->deallocate(pointer, bytes, kAlignment, stream());
    throw InvalidArgument(
        fmt::format("memory resource: expected memory aligned to {} bytes for {}, found address {:#x}",
                    kAlignment, purpose, address));
  }
  return pointer;
}

void Context::Impl::release(void* pointer, size_t bytes) noexcept {
  if (memory == nullptr) {
    runtime->deallocate(pointer);
  } else {
    runtime->select();
    memory->deallocate(pointer, bytes, kAlignment, stream());
  }
}

Context::Context(Device device, int threads) : Context({.device = device, .threads = threads}) {}

Context::Context(const ContextOptions& options) : impl_(std::make_unique<Impl>()) {
  const auto& [device, threads, stream, memory] = options;
  if (threads < 0 || threads > 4096)
    throw InvalidArgument(fmt::format("threads: expected 0 (all cores) to 4096, found {}", threads));
  impl_->device = device;
  impl_->memory = memory;
  if (device.kind == DeviceKind::kCpu) {
    if (stream) throw InvalidArgument("stream: expected none with device cpu, found a CUDA stream");
    impl_->runtime = detail::make_cpu_runtime();
  } else {
#ifdef SOTALIGN_WITH_CUDA
    impl_->runtime = detail::make_cuda_runtime(device.index, stream);
#else
    throw InvalidArgument(fmt::format("device: this build has no CUDA backend, found {}", to_string(device)));
#endif
  }
  impl_->runtime->queue.threads = threads == 0 ? omp_get_max_threads() : threads;
}

Context::~Context() {
  if (!impl_) return;
  for (const Impl::Chunk& chunk : impl_->chunks) deallocate(chunk.data);
}
Context::Context(Context&&) noexcept = default;

Device Context::device() const { return impl_->device; }
int Context::threads() const { return impl_->runtime->queue.threads; }
CudaStream Context::stream() const { return impl_->stream(); }
const detail::Queue& Context::queue() const { return impl_->runtime->queue; }
ProductMath Context::product_math() const { return impl_->product_math; }
void Context::set_product_math(ProductMath math) { impl_->product_math = math; }
int64_t Context::allocations() const { return impl_->allocations; }
int64_t Context::host_copies() const { return impl_->host_copies; }
int64_t Context::synchronizations() const { return impl_->synchronizations; }
int64_t Context::bytes_in_use() const { return impl_->bytes_in_use; }
int64_t Context::peak_bytes() const { return impl_->peak_bytes; }
int64_t Context::available_bytes() const {
  return impl_->memory == nullptr ? impl_->runtime->free_bytes() : impl_->memory->available_bytes();
}

void* Context::allocate(size_t bytes, const char* purpose) {
  if (bytes == 0) return nullptr;
  void* pointer = nullptr;
  if (impl_->memory != nullptr) {
    pointer = impl_->allocate_from_resource(bytes, purpose);
  } else {
    pointer = impl_->runtime->allocate(bytes);
    if (pointer == nullptr) {
      const int64_t free = impl_->runtime->free_bytes();
      impl_->fail(bytes, purpose,
                  free < 0 ? "" : fmt::format(", {:.2f} GiB free", static_cast<double>(free) / (1 << 30)));
    }
  }
  try {
    impl_->sizes.emplace(pointer, bytes);
  } catch (...) {
    impl_->release(pointer, bytes);
    throw;
  }
  ++impl_->allocations;
  impl_->bytes_in_use += static_cast<int64_t>(bytes);
  impl_->peak_bytes = std::max(impl_->peak_bytes, impl_->bytes_in_use);
  return pointer;
}

void Context::deallocate(void* pointer) noexcept {
  const auto found = impl_->sizes.find(pointer);
  if (found == impl_->sizes.end()) return;
  const size_t bytes = found->second;
  impl_->bytes_in_use -= static_cast<int64_t>(bytes);
  impl_->sizes.erase(found);
  impl_->release(pointer, bytes);
}

void Context::copy_to_device(void* destination, const void* source, size_t bytes) {
  ++impl_->synchronizations;
  impl_->runtime->copy_to_device(destination, source, bytes);
}
void Context::copy_to_host(void* destination, const void* source, size_t bytes) {
  ++impl_->synchronizations;
  ++impl_->host_copies;
  impl_->runtime->copy_to_host(destination, source, bytes);
}
void Context::copy_on_device(void* destination, const void* source, size_t bytes) {
  impl_->runtime->copy_on_device(destination, source, bytes);
}
void Context::fill_zero(void* destination, size_t bytes) { impl_->runtime->fill_zero(destination, bytes); }
void Context::synchronize() {
  ++impl_->synchronizations;
  impl_->runtime->synchronize();
}
void Context::load_libraries() { impl_->runtime->load_libraries(); }

Workspace::Workspace(Context& context)
    : impl_(context.impl_.get()),
      context_(&context),
      saved_chunk_(impl_->top_chunk),
      saved_offset_(impl_->top_offset) {}

Workspace::~Workspace() {
  impl_->top_chunk = saved_chunk_;
  impl_->top_offset = saved_offset_;
  // When the outermost scope ends, merge the chunks into one of their total size, so that later passes
  // allocate nothing. If that fails, take_bytes() allocates again and reports the failure.
  if (saved_chunk_ == 0 && saved_offset_ == 0 && impl_->chunks.size() > 1) {
    size_t total = 0;
    for (const Context::Impl::Chunk& chunk : impl_->chunks) {
      total += chunk.size;
      context_->deallocate(chunk.data);
    }
    impl_->chunks.clear();  // keeps its capacity: push_back() cannot throw
    try {
      impl_->chunks.push_back({static_cast<char*>(context_->allocate(total, "workspace")), total});
    } catch (...) {
      impl_->chunks.clear();
    }
  }
}

void* Workspace::take_bytes(size_t bytes) {
  if (bytes == 0) return nullptr;
  bytes = round_up(bytes);
  std::vector<Context::Impl::Chunk>& chunks = impl_->chunks;
  while (impl_->top_chunk < chunks.size() && impl_->top_offset + bytes > chunks[impl_->top_chunk].size) {
    ++impl_->top_chunk;
    impl_->top_offset = 0;
  }
  if (impl_->top_chunk == chunks.size()) {
    const size_t size = std::max(bytes, kSmallestChunk);
    chunks.reserve(chunks.size() + 1);  // so that nothing throws between the allocation and its entry
    chunks.push_back({static_cast<char*>(context_->allocate(size, "workspace")), size});
  }
  void* pointer = chunks[impl_->top_chunk].data + impl_->top_offset;
  impl_->top_offset += bytes;
  return pointer;
}

}  // namespace sotalign
