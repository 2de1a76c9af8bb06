// `sotalign info --check`: what it expects is right, every device finds it, and a wrong number is noticed.
#include "run/self_check.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/compare.h"
#include "support/devices.h"
#include "support/entropic_oracle.h"
#include "support/program.h"

namespace sotalign {
namespace program_self_check_test {

using app::SelfCheck;
using testing::EntropicOracle;

class SelfCheckTest : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(SelfCheckTest);

TEST_P(SelfCheckTest, EveryNumberIsFound) {
  const std::vector<SelfCheck> checks = app::self_check(context);
  ASSERT_EQ(checks.size(), 5u);
  for (const SelfCheck& check : checks)
    EXPECT_TRUE(check.passed()) << check.name << ": expected " << check.expected << ", found " << check.found;
}

TEST(SelfCheck, ExpectsTheNumbersOfTheOracle) {
  const std::vector<float> k = {.1f, .9f, .2f, .0f, .3f, .1f, .8f, .2f, .7f, .0f, .1f, .6f},
                           k_teacher = {.2f, .8f, .1f, .1f, .1f, .2f, .9f, .1f, .9f, .1f, .0f, .7f};
  const EntropicOracle student = EntropicOracle(k, 3, 4, 0.05).solve(100, true),
                       teacher = EntropicOracle(k_teacher, 3, 4, 0.02).solve(100, true);
  Context context;
  const std::vector<SelfCheck> checks = app::self_check(context);
  EXPECT_WITHIN(std::abs(checks[0].expected - klot_value(student, teacher)), 1e-10);
  EXPECT_WITHIN(std::abs(checks[1].expected - (student.plan()[3] - teacher.plan()[3]) / 0.05), 1e-7);
}

TEST(SelfCheck, OtherNumbersDoNotPass) {
  const SelfCheck check{.name = "x", .expected = -2, .found = -2.001, .tolerance = 1e-3};
  EXPECT_TRUE(check.passed());
  for (const double found : {-2.003, 2.0, 0.0, std::nan(""), HUGE_VAL}) {
    SelfCheck other = check;
    other.found = found;
    EXPECT_FALSE(other.passed()) << found;
  }
}

// On CUDA: cuda_test.cpp.
TEST(SelfCheck, TheProgramChecksTheCpu) {
  const testing::ProgramResult result = testing::run_program({"info", "--check"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out.find("cpu "), 0u) << result.out;
  EXPECT_NE(result.out.find("loss of training"), std::string::npos) << result.out;
  EXPECT_EQ(testing::run_program({"info", "--check", "--device", "cpu", "--quiet"}).out, "");
  EXPECT_EQ(testing::run_program({"info", "--check", "model.safetensors"}).exit_code, 2);
}

}  // namespace program_self_check_test
}  // namespace sotalign
