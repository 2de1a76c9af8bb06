// A memory resource that records its calls and can fail.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <new>
#include <set>
#include <vector>

#include "sotalign/core/context.h"
#include "sotalign/core/memory_resource.h"

namespace sotalign::testing {

enum class Fault { kNull, kBadAlloc, kInt, kMisaligned };

/// Memory of another context, with a record of every call. One allocation can be made to fail.
class RecordingResource : public MemoryResource {
 public:
  explicit RecordingResource(Device device) : backing_(device) {}
  ~RecordingResource() override {
    for (void* pointer : returned_) backing_.deallocate(pointer);
  }
  RecordingResource(const RecordingResource&) = delete;
  RecordingResource& operator=(const RecordingResource&) = delete;

  void* allocate(size_t bytes, size_t alignment, CudaStream stream) override {
    EXPECT_GT(bytes, 0u);
    EXPECT_EQ(alignment, 64u);
    if (faults_left > 0 && skipped++ == fault_at) {
      --faults_left;
      if (fault == Fault::kNull) return nullptr;
      if (fault == Fault::kBadAlloc) throw std::bad_alloc();
      if (fault == Fault::kInt) throw 7;
      char* pointer = static_cast<char*>(backing_.allocate(bytes + 4, "test")) + 4;
      record(pointer, {bytes, alignment, stream});
      return pointer;
    }
    void* pointer = backing_.allocate(bytes, "test");
    record(pointer, {bytes, alignment, stream});
    ++allocations;
    return pointer;
  }
  void deallocate(void* pointer, size_t bytes, size_t alignment, CudaStream stream) noexcept override {
    const auto found = live.find(pointer);
    ASSERT_TRUE(found != live.end()) << "returned twice, or not from here";
    EXPECT_EQ(found->second, (Request{bytes, alignment, stream}));
    live.erase(found);
    bytes_in_use -= static_cast<int64_t>(bytes);
    char* start = static_cast<char*>(pointer);
    // Kept until the end: work of the context, on another stream than the backing one, may still use it.
    returned_.push_back(reinterpret_cast<uintptr_t>(start) % 64 == 0 ? start : start - 4);
  }
  int64_t available_bytes() const override { return 123'456; }

  /// Allocation number `at` from now on, from 0, fails in this way.
  void fail(Fault how, int64_t at) { fault = how, fault_at = at, skipped = 0, faults_left = 1; }

  struct Request {
    size_t bytes, alignment;
    CudaStream stream;
    bool operator==(const Request&) const = default;
  };
  std::map<void*, Request> live;
  std::set<CudaStream> streams;
  int64_t allocations = 0, bytes_in_use = 0, peak_bytes = 0;
  int faults_left = 0;

 private:
  void record(void* pointer, const Request& request) {
    live[pointer] = request;
    streams.insert(request.stream);
    bytes_in_use += static_cast<int64_t>(request.bytes);
    // The context does not count memory that it rejects.
    if (reinterpret_cast<uintptr_t>(pointer) % 64 == 0) peak_bytes = std::max(peak_bytes, bytes_in_use);
  }

  Context backing_;
  std::vector<void*> returned_;
  Fault fault = Fault::kNull;
  int64_t fault_at = 0, skipped = 0;
};

}  // namespace sotalign::testing
