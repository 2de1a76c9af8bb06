// The most memory that a running program has had.
#pragma once

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "support/program.h"

namespace sotalign::testing {

struct MeasuredProgram {
  ProgramResult result;
  int64_t peak_kib = 0;  ///< resident, mapped files included; what the last millisecond adds may be missed
};

inline MeasuredProgram run_measured(const std::vector<std::string>& arguments) {
  MeasuredProgram measured;
  measured.result = run_program(arguments, [&](pid_t child) {
    const std::string status = "/proc/" + std::to_string(child) + "/status";
    siginfo_t ended = {};
    while (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0) {
      std::ifstream file(status);
      for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmHWM:"))
          measured.peak_kib = std::max<int64_t>(measured.peak_kib, std::stoll(line.substr(6)));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  return measured;
}

}  // namespace sotalign::testing
