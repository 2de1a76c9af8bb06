// A context on the caller's memory resource.
#include <gtest/gtest.h>

#include <set>

#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"
#include "support/descend.h"
#include "support/devices.h"
#include "support/error_message.h"
#include "support/recording_resource.h"

namespace sotalign {
namespace lib_context_test {

using testing::descend;
using testing::Fault;
using testing::RecordingResource;
using testing::Steps;

class ContextTest : public ::testing::TestWithParam<Device> {
 protected:
  RecordingResource resource{GetParam()};
  const ContextOptions options{.device = GetParam(), .memory = &resource};
};
SOTALIGN_ON_EVERY_DEVICE(ContextTest);

TEST_P(ContextTest, AllMemoryComesFromTheResourceAndReturnsToIt) {
  {
    Context context(options);
    {
      Buffer<double> buffer(context, 5, "buffer");
      EXPECT_EQ(resource.live.at(buffer.data()),
                (RecordingResource::Request{5 * sizeof(double), 64, context.stream()}));
      Matrix<float> matrix(context, 3, 7), moved = std::move(matrix);
      Buffer<float> nothing(context, 0);
      EXPECT_EQ(resource.live.size(), 2u);
      Workspace workspace(context);
      workspace.take<float>(400'000);
      Workspace inner(context);
      inner.take<float>(300'000);
      EXPECT_EQ(resource.live.size(), 4u);
      EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
    }
    // The workspace keeps its memory, as one piece.
    EXPECT_EQ(resource.live.size(), 1u);
    EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
    EXPECT_GT(context.bytes_in_use(), 0);
    EXPECT_EQ(context.peak_bytes(), resource.peak_bytes);
    EXPECT_EQ(context.allocations(), resource.allocations);
    EXPECT_EQ(resource.streams, std::set<CudaStream>{context.stream()});
  }
  EXPECT_TRUE(resource.live.empty());
  EXPECT_EQ(resource.bytes_in_use, 0);
}

TEST_P(ContextTest, AMovedContextReturnsItsMemoryOnce) {
  {
    Context context(options);
    { Workspace(context).take<float>(10); }
    const Context moved(std::move(context));
    EXPECT_EQ(resource.live.size(), 1u);
    EXPECT_EQ(moved.bytes_in_use(), resource.bytes_in_use);
  }
  EXPECT_TRUE(resource.live.empty());
}

TEST_P(ContextTest, ResultsDoNotDependOnTheResource) {
  Context with_defaults(GetParam());
  const Steps expected = descend(with_defaults);
  {
    Context context(options);
    EXPECT_EQ(descend(context), expected);
    EXPECT_EQ(context.allocations(), resource.allocations);
    EXPECT_EQ(context.allocations(), with_defaults.allocations());
    EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
    EXPECT_EQ(context.peak_bytes(), resource.peak_bytes);
    EXPECT_EQ(context.peak_bytes(), with_defaults.peak_bytes());
  }
  EXPECT_TRUE(resource.live.empty());
}

TEST_P(ContextTest, ContextsShareAResource) {
  {
    Context first(options), second(options);
    const Steps expected = descend(first);
    EXPECT_EQ(descend(second), expected);
    EXPECT_EQ(first.bytes_in_use() + second.bytes_in_use(), resource.bytes_in_use);
  }
  EXPECT_TRUE(resource.live.empty());
}

TEST_P(ContextTest, AvailableBytesAreThoseOfTheResource) {
  EXPECT_EQ(Context(options).available_bytes(), 123'456);
  struct Silent final : RecordingResource {
    using RecordingResource::RecordingResource;
    int64_t available_bytes() const override { return MemoryResource::available_bytes(); }
  } silent(GetParam());
  EXPECT_EQ(Context({.device = GetParam(), .memory = &silent}).available_bytes(), -1);
}

TEST_P(ContextTest, FailureOfTheResourceNamesThePurpose) {
  Context context(options);
  const Buffer<float> kept(context, std::vector<float>{1, 2, 3});
  const int64_t before = context.bytes_in_use();
  const auto message = [&](auto exception) -> std::string {
    try {
      Buffer<float> buffer(context, int64_t{3} << 20, "affinity");
    } catch (const decltype(exception)& error) {
      return error.what();
    }
    return "no exception";
  };
  const std::string out_of_memory = "out of memory on " + to_string(GetParam()) +
                                    ": 0.01 GiB asked for as affinity, 0.00 GiB in use; the memory resource";
  resource.fail(Fault::kNull, 0);
  EXPECT_EQ(message(OutOfMemory("")), out_of_memory + " returned null");
  resource.fail(Fault::kBadAlloc, 0);
  EXPECT_EQ(message(OutOfMemory("")), out_of_memory + ": std::bad_alloc");
  resource.fail(Fault::kInt, 0);
  EXPECT_EQ(message(OutOfMemory("")), out_of_memory + " threw an exception");
  resource.fail(Fault::kMisaligned, 0);
  const std::string misaligned = message(InvalidArgument(""));
  EXPECT_TRUE(misaligned.starts_with(
      "memory resource: expected memory aligned to 64 bytes for affinity, found address 0x"))
      << misaligned;

  EXPECT_EQ(context.bytes_in_use(), before);
  EXPECT_EQ(resource.bytes_in_use, before) << "misaligned memory is returned";
  EXPECT_EQ(resource.live.size(), 1u);
  EXPECT_EQ(kept.download(), (std::vector<float>{1, 2, 3}));
}

// Every allocation fails once, in the constructors and in the runs.
TEST_P(ContextTest, NothingLeaksWhereAnAllocationFails) {
  const Steps expected = [&] {
    Context with_defaults(GetParam());
    return descend(with_defaults, 1);
  }();
  for (const Fault fault : {Fault::kNull, Fault::kBadAlloc, Fault::kInt, Fault::kMisaligned}) {
    int64_t failures = 0;
    for (bool failed = true; failed; ++failures) {
      SCOPED_TRACE("fault " + std::to_string(int(fault)) + ", allocation " + std::to_string(failures));
      {
        Context context(options);
        resource.fail(fault, failures);
        failed = false;
        try {
          descend(context, 1);
        } catch (const OutOfMemory&) {
          failed = fault != Fault::kMisaligned;
          EXPECT_TRUE(failed);
        } catch (const InvalidArgument&) {
          failed = fault == Fault::kMisaligned;
          EXPECT_TRUE(failed);
        }
        EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
        EXPECT_EQ(resource.faults_left == 0, failed);
        resource.faults_left = 0;
        if (failed && (failures == 0 || failures == 3)) {
          EXPECT_EQ(descend(context, 1), expected) << "the context is still usable";
        }
      }
      ASSERT_TRUE(resource.live.empty());
      ASSERT_LT(failures, 200);
    }
    EXPECT_GT(failures, 5);
  }
}

// At the end of its outermost scope a workspace becomes one piece.
TEST_P(ContextTest, AWorkspaceThatCannotBecomeOnePieceIsAllocatedAgain) {
  Context context(options);
  const auto use = [&](Workspace& workspace) {
    for (const int64_t count : {400'000, 300'000}) EXPECT_NE(workspace.take<float>(count), nullptr);
  };
  {
    Workspace workspace(context);
    use(workspace);
    EXPECT_EQ(resource.live.size(), 2u);
    resource.fail(Fault::kNull, 0);
  }
  EXPECT_EQ(resource.faults_left, 0);
  EXPECT_TRUE(resource.live.empty());
  EXPECT_EQ(context.bytes_in_use(), 0);
  Workspace workspace(context);
  use(workspace);
  EXPECT_EQ(context.bytes_in_use(), resource.bytes_in_use);
}

TEST_P(ContextTest, AStreamNeedsACudaDevice) {
  if (GetParam().kind != DeviceKind::kCpu) GTEST_SKIP() << "a CUDA context accepts a stream";
  const char* expected = "stream: expected none with device cpu, found a CUDA stream";
  int not_a_stream = 0;
  for (const CudaStream stream : {CudaStream(nullptr), reinterpret_cast<CudaStream>(&not_a_stream)})
    EXPECT_EQ(testing::error_message([&] { Context context({.stream = stream}); }), expected);
  EXPECT_EQ(Context(options).stream(), nullptr);
}

}  // namespace lib_context_test
}  // namespace sotalign
