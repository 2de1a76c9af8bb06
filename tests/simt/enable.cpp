// Linked into test executables: gives them an emulated device, and each test the same random schedules
// whether it runs alone or after others. The program itself has no device unless SIMT_DEVICES is set.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "simt/emulator.h"
#include "support/default_stream.h"
#include "support/deferred_work.h"
#include "support/launch_count.h"

namespace {

class ScheduleListener : public testing::EmptyTestEventListener {
  void OnTestProgramStart(const testing::UnitTest&) override { simt::config.check_leaks = true; }
  void OnTestStart(const testing::TestInfo& test) override {
    simt::restart_schedule(std::string(test.test_suite_name()) + "." + test.name());
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    if (!test.result()->Failed() || (simt::config.seed == 0 && !simt::config.deferred)) return;
    std::printf("simt: the test failed with SIMT_SEED=%llu SIMT_DEFERRED=%d\n",
                static_cast<unsigned long long>(simt::config.seed), simt::config.deferred ? 1 : 0);
  }
};

const bool enabled = [] {
  if (std::getenv("SIMT_DEVICES") == nullptr) simt::config.devices = 1;
  // A death test's child receives no events and ends abruptly.
  simt::config.check_leaks = false;
  testing::UnitTest::GetInstance()->listeners().Append(new ScheduleListener);
  return true;
}();

}  // namespace

void simt::allow_default_stream(bool allow) { config.default_stream = allow; }
bool simt::defer_work(bool defer) { return std::exchange(config.deferred, defer); }
int64_t simt::launch_count() { return counters().launches; }
