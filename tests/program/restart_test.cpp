// The program restarts itself once to set how OpenMP threads wait; a debugger can keep it from that.
#include <gtest/gtest.h>

#include "support/program_data.h"
#include "support/shell.h"

namespace sotalign::testing {
namespace program_restart_test {

TEST(RestartProgram, TheEnvironmentDecides) {
  const TrainingFiles files;
  // The environment of a process is the one that it was started with, so it tells whether there was a
  // restart.
  const auto restarted = [&](const std::string& settings) {
    return run_shell(files, "unset OMP_WAIT_POLICY GOMP_SPINCOUNT SOTALIGN_NO_REEXEC; rm -rf run; " +
                                settings + " \"$S\" train " + kTrainingOptions +
                                "--steps 1000000 --log-every 1 --threads 1 --out run >/dev/null & "
                                "until [ -s run/metrics.jsonl ] || ! kill -0 $!; do sleep 0.01; done; "
                                "tr '\\0' '\\n' </proc/$!/environ | grep -c GOMP_SPINCOUNT=1000; "
                                "kill -9 $!; wait")
        .out;
  };
  EXPECT_EQ(restarted(""), "1\n");
  EXPECT_EQ(restarted("SOTALIGN_NO_REEXEC=1"), "0\n");
  EXPECT_EQ(restarted("SOTALIGN_NO_REEXEC=0"), "1\n");
  EXPECT_EQ(restarted("OMP_WAIT_POLICY=passive"), "0\n");
}

}  // namespace program_restart_test
}  // namespace sotalign::testing
