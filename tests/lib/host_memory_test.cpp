// Available memory as reported by the system's files.
#include "core/host_memory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "support/devices.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_host_memory_test {

using detail::available_host_bytes;

class HostMemoryTest : public ::testing::Test {
 protected:
  testing::TemporaryDirectory root;
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path full = root / path;
    std::filesystem::create_directories(full.parent_path());
    testing::write_file(full, text);
  }
  int64_t available() const {
    const std::string path = root / "";
    return available_host_bytes(path.substr(0, path.size() - 1));
  }
  void SetUp() override {
    write("proc/meminfo", "MemTotal:   9000 kB\nMemFree:  10 kB\nMemAvailable:    1000 kB\nBuffers: 5 kB\n");
  }
};

TEST_F(HostMemoryTest, WithoutGroupsTheSystemDecides) {
  EXPECT_EQ(available(), 1000 * 1024);
  write("proc/self/cgroup", "0::/\n");
  EXPECT_EQ(available(), 1000 * 1024);
  write("proc/self/cgroup", "0::/some/slice\n7:cpu,cpuacct:/\nnonsense\n");
  EXPECT_EQ(available(), 1000 * 1024);
  write("proc/meminfo", "MemTotal:   9000 kB\n");
  EXPECT_EQ(available(), -1);
}

TEST_F(HostMemoryTest, TheTightestGroupDecides) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write("sys/fs/cgroup/outer/inner/memory.current", "70000\n");
  EXPECT_EQ(available(), 1000 * 1024);
  write("sys/fs/cgroup/outer/memory.max", "100000\n");
  write("sys/fs/cgroup/outer/memory.current", "70000\n");
  EXPECT_EQ(available(), 30000);
  write("sys/fs/cgroup/outer/memory.stat", "anon 60000\ninactive_file 4000\nactive_file 6000\n");
  EXPECT_EQ(available(), 34000);
  write("sys/fs/cgroup/outer/inner/memory.max", "60000\n");
  EXPECT_EQ(available(), 0) << "usage exceeds the limit";
}

TEST_F(HostMemoryTest, ContainersSeeTheirGroupAtTheBase) {
  write("sys/fs/cgroup/memory.max", "500000\n");
  write("sys/fs/cgroup/memory.current", "100000\n");
  for (const char* path : {"/", "/not/visible/here"}) {
    write("proc/self/cgroup", std::string("0::") + path + "\n");
    EXPECT_EQ(available(), 400000) << path;
  }
}

TEST_F(HostMemoryTest, VersionOne) {
  write("proc/self/cgroup", "12:cpuset:/\n4:hugetlb,memory:/job\n");
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "200000\n");
  write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "150000\n");
  write("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 20000\n");
  EXPECT_EQ(available(), 70000);
  write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(available(), 1000 * 1024);
}

class AvailableBytesTest : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(AvailableBytesTest);

TEST_P(AvailableBytesTest, IsPlausible) {
  EXPECT_GT(context.available_bytes(), int64_t{1} << 20);
  EXPECT_LT(context.available_bytes(), int64_t{1} << 50);
}

}  // namespace lib_host_memory_test
}  // namespace sotalign
