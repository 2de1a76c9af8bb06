// Runs the built program and captures its output.
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

extern char** environ;

namespace sotalign::testing {

/// Path of the program built along with the tests, or SOTALIGN_TEST_PROGRAM.
const char* program_path();

/// Whether the program was built with AddressSanitizer. The tests themselves may be built without it.
extern const bool kProgramUnderAddressSanitizer;

struct ProgramResult {
  int exit_code = -1;  ///< 128 + signal number if a signal ended it
  std::string out, err;
};

inline std::string read_all(std::FILE* file) {
  std::string text;
  std::rewind(file);
  char chunk[4096];
  while (const size_t bytes = std::fread(chunk, 1, sizeof chunk, file)) text.append(chunk, bytes);
  return text;
}

/// Redirects standard output and error to temporary files, so that no pipe can fill up.
/// Calls `meanwhile` with the process while it runs.
inline ProgramResult run_program(const std::vector<std::string>& arguments,
                                 const std::function<void(pid_t)>& meanwhile = {}) {
  std::vector<std::string> words{program_path()};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  std::FILE *out = std::tmpfile(), *err = std::tmpfile();
  if (out == nullptr || err == nullptr) throw std::runtime_error("cannot create a temporary file");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
  posix_spawn_file_actions_adddup2(&actions, fileno(out), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(err), STDERR_FILENO);
  // Background jobs of a shell ignore SIGINT, and nohup ignores SIGHUP. A program that a test interrupts
  // would inherit that and never end.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t reset;
  sigemptyset(&reset);
  sigaddset(&reset, SIGINT);
  sigaddset(&reset, SIGHUP);
  posix_spawnattr_setsigdefault(&attributes, &reset);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int failed = posix_spawn(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) throw std::runtime_error(std::string("cannot run ") + program_path());
  if (meanwhile) meanwhile(child);
  int status = 0;
  waitpid(child, &status, 0);

  ProgramResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_all(out);
  result.err = read_all(err);
  std::fclose(out);
  std::fclose(err);
  return result;
}

}  // namespace sotalign::testing
