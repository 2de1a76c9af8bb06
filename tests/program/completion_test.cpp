// The man page and the scripts that complete command lines, in the shells that are installed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <regex>

#include "support/compare.h"
#include "support/program_commands.h"
#include "support/shell.h"

namespace sotalign::testing {
namespace program_completion_test {

bool installed(const std::string& tool) {
  return std::system(("command -v " + tool + " >/dev/null 2>&1").c_str()) == 0;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class CompletionProgram : public ::testing::Test {
 protected:
  /// What bash offers for the last word.
  std::vector<std::string> bash(const std::string& words) const {
    const ProgramResult result =
        run_shell(directory, "\"$S\" completion bash --out script\nbash -c '. ./script; " +
                                 ("COMP_WORDS=(" + words + "); ") +
                                 "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sotalign; "
                                 "printf \"%s\\n\" \"${COMPREPLY[@]}\"'");
    EXPECT_EQ(result.exit_code, 0) << words;
    EXPECT_EQ(result.err, "") << words;
    std::vector<std::string> found = lines_of(result.out);
    std::erase(found, "");
    std::sort(found.begin(), found.end());
    return found;
  }

  const TemporaryDirectory directory;
};

using Words = std::vector<std::string>;

TEST_F(CompletionProgram, BashCompletesCommandsFlagsAndValues) {
  EXPECT_EQ(bash("sotalign tra"), Words({"train"}));
  EXPECT_EQ(bash("sotalign s"),
            Words({"search", "shift", "similarity", "sinkhorn", "split", "study", "sweep"}));
  EXPECT_EQ(bash("sotalign --v"), Words({"--version"}));
  EXPECT_EQ(bash("sotalign train --tea"), Words({"--teacher", "--teacher-batch", "--teacher-dim",
                                                 "--teacher-learning-rate", "--teacher-steps"}));
  const Words teachers = {"auto", "cca", "contrastive", "procrustes", "self_training"};
  EXPECT_EQ(bash("sotalign train --teacher \"\""), teachers);
  EXPECT_EQ(bash("sotalign train --teacher c"), Words({"cca", "contrastive"}));
  EXPECT_EQ(bash("sotalign train --steps 3 --teacher p"), Words({"procrustes"}));
  EXPECT_EQ(bash("sotalign train --teacher ="), teachers);  // as bash splits --teacher=
  EXPECT_EQ(bash("sotalign train --teacher = s"), Words({"self_training"}));
  EXPECT_EQ(bash("sotalign train --ridge \"\""), Words({"auto"}));
  EXPECT_EQ(bash("sotalign train --residual \"\""), Words({"false", "true"}));
  EXPECT_EQ(bash("sotalign train --residual --affinity-memory-"), Words({"--affinity-memory-mib"}));
  EXPECT_EQ(bash("sotalign train --steps \"\""), Words());
  EXPECT_EQ(bash("sotalign train --klot"), Words());  // former names
  EXPECT_EQ(bash("sotalign completion \"\""), Words({"bash", "fish", "zsh"}));
  EXPECT_EQ(bash("sotalign nonsense \"\""), Words());
}

TEST_F(CompletionProgram, BashCompletesPaths) {
  for (const char* name : {"a one.npy", "a2.npy", "b.npy"}) write_file(directory / name, "");
  std::filesystem::create_directory(directory / "a3");
  EXPECT_EQ(bash("sotalign train --images a"), Words({"a one.npy", "a2.npy", "a3"}));
  EXPECT_EQ(bash("sotalign train --images = b"), Words({"b.npy"}));
  EXPECT_EQ(bash("sotalign train --out a"), Words({"a3"}));
  EXPECT_EQ(bash("sotalign embed --output a2"), Words({"a2.npy"}));
  EXPECT_EQ(bash("sotalign info b"), Words({"b.npy"}));
  EXPECT_EQ(bash("sotalign info --thr"), Words({"--threads"}));
}

TEST_F(CompletionProgram, BashOffersAllThatTheHelpLists) {
  Words expected = program_commands();
  expected.insert(expected.end(), {"--help", "--version", "-h"});
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(bash("sotalign \"\""), expected);
  for (const std::string& command : program_commands()) {
    const std::set<std::string> flags = flags_in(run_program({command, "--help-all"}).out);
    EXPECT_GE(flags.size(), 3u) << command;
    EXPECT_EQ(bash("sotalign " + command + " --"), Words(flags.begin(), flags.end())) << command;
  }
}

TEST_F(CompletionProgram, OtherScriptsHaveAllFlags) {
  for (const std::string shell : {"zsh", "fish"}) {
    const std::string script = run_program({"completion", shell}).out;
    for (const std::string& command : program_commands()) {
      // The lines that are about the command.
      std::string part;
      if (shell == "zsh") {
        const size_t begin = script.find("\n    " + command + ")\n");
        ASSERT_NE(begin, std::string::npos) << command;
        part = script.substr(begin, script.find("\n      ;;\n", begin) - begin);
      } else {
        for (const std::string& line : lines_of(script))
          if (line.find("from " + command + "'") != std::string::npos) part += line + "\n";
        EXPECT_CONTAINS(script, "-n __fish_use_subcommand -a " + command + " ");
      }
      for (const std::string& flag : flags_in(run_program({command, "--help-all"}).out)) {
        const std::regex found(shell == "zsh" ? "'" + flag + "[=[]" : " -l " + flag.substr(2) + " ");
        EXPECT_TRUE(std::regex_search(part, found)) << shell << ": " << command << " " << flag;
      }
      EXPECT_EQ(part.find("klot-weight"), std::string::npos) << command;
    }
  }
}

TEST_F(CompletionProgram, ScriptsParse) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    if (!installed(shell)) continue;
    const ProgramResult result =
        run_shell(directory, "\"$S\" completion " + shell + " >script && " + shell + " -n script");
    EXPECT_EQ(result.exit_code, 0) << shell;
    EXPECT_EQ(result.out + result.err, "") << shell;
  }
  const ProgramResult unknown = run_program({"completion", "tcsh"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(unknown.err, "sotalign completion: shell: expected bash, zsh or fish, found tcsh\n");
}

TEST_F(CompletionProgram, FishCompletes) {
  if (!installed("fish")) GTEST_SKIP() << "no fish here";
  const auto fish = [&](const std::string& line) {
    const ProgramResult result = run_shell(
        directory,
        "export HOME=\"$PWD\"\n\"$S\" completion fish >script && fish -c \"source script; complete -C '" +
            line + "'\" | cut -f1");
    EXPECT_EQ(result.err, "");
    return lines_of(result.out);
  };
  EXPECT_EQ(fish("sotalign tra"), Words({"train"}));
  EXPECT_EQ(fish("sotalign train --teacher-l"), Words({"--teacher-learning-rate"}));
  EXPECT_EQ(fish("sotalign train --teacher c"), Words({"cca", "contrastive"}));
  write_file(directory / "x.npy", "");
  EXPECT_EQ(fish("sotalign train --images x"), Words({"x.npy"}));
}

TEST_F(CompletionProgram, TheManPageHasAllCommandsAndFlags) {
  const ProgramResult man = run_program({"man"});
  EXPECT_EQ(man.exit_code, 0);
  EXPECT_EQ(man.err, "");
  for (const std::string& command : program_commands()) {
    const size_t begin = man.out.find("\n.SS \"sotalign " + command + "\"\n");
    ASSERT_NE(begin, std::string::npos) << command;
    const std::string part = man.out.substr(begin, man.out.find("\n.S", begin + 1) - begin);
    const std::string help = run_program({command, "--help-all"}).out;
    for (const std::string& flag : flags_in(help))
      EXPECT_CONTAINS(part, "\\fB" + std::regex_replace(flag, std::regex("-"), "\\-") + "\\fR");
    EXPECT_EQ(part.find("klot\\-weight"), std::string::npos) << command;
  }
  EXPECT_CONTAINS(man.out, "\n\\fB\\-\\-teacher\\fR \\fIcca|procrustes|contrastive|self_training|auto\\fR\n");
}

TEST_F(CompletionProgram, TheManPageIsWellFormed) {
  ASSERT_EQ(run_program({"man", "--out", directory / "sotalign.1"}).exit_code, 0);
  EXPECT_EQ(read_file(directory / "sotalign.1"), run_program({"man"}).out);
  if (!installed("groff")) GTEST_SKIP() << "no groff here";
  const ProgramResult result =
      run_shell(directory, "groff -man -Tutf8 -ww -rLL=100n -P-c -P-b -P-u sotalign.1");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_CONTAINS(result.out, "--teacher cca|procrustes|contrastive|self_training|auto\n");
  EXPECT_CONTAINS(result.out, "sotalign info run/model.safetensors\n");
}

}  // namespace program_completion_test
}  // namespace sotalign::testing
