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

/// Path of the program built along with the tests.
const char* program_path();

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
  // A background job of a script ignores SIGINT, and its children would inherit that: the program respects
  // it.
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) sigaddset(&defaults, signal);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  pid_t child = 0;
  const int failed = posix_spawn(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
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
