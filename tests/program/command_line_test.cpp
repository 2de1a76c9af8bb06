// What the program says to a misspelt word or a missing option, and what --help lists.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "support/compare.h"
#include "support/program.h"
#include "support/program_commands.h"
#include "support/temporary_directory.h"

namespace sotalign::testing {
namespace program_command_line_test {

void expect_error(const std::vector<std::string>& arguments, const std::string& message) {
  const ProgramResult result = run_program(arguments);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, message + "\n");
}

TEST(CommandLineProgram, ANearCommandIsSuggested) {
  for (const char* word : {"trian", "trai", "tra", "tr", "tarin", "trains", "brain"})
    expect_error({word}, std::string("sotalign: unknown command '") + word + "'; the nearest one is 'train'");
  expect_error({"sinkhron"}, "sotalign: unknown command 'sinkhron'; the nearest one is 'sinkhorn'");
  expect_error({"--verison"}, "sotalign: unknown option '--verison'; the nearest one is '--version'");
}

TEST(CommandLineProgram, WithoutANearCommandTheListIsNamed) {
  for (const char* word : {"frobnicate", "t", "xyz", "", "trainandevaluate"})
    expect_error({word},
                 std::string("sotalign: unknown command '") + word + "'; 'sotalign --help' lists them");
  expect_error({"--frobnicate"}, "sotalign: unknown option '--frobnicate'; 'sotalign --help' lists them");
}

TEST(CommandLineProgram, ANearFlagIsSuggested) {
  for (const auto& [word, flag] : {std::pair<const char*, const char*>{"--stpes", "--steps"},
                                   {"--step", "--steps"},
                                   {"--sed", "--seed"},
                                   {"--val-image", "--val-images"},
                                   {"--learning", "--learning-rate"},
                                   {"--learnign_rate", "--learning-rate"},
                                   {"--divergance-weight", "--divergence-weight"}})
    expect_error({"train", word, "3"}, std::string("sotalign train: unknown option '") + word +
                                           "'; the nearest one is '" + flag + "'");
  expect_error({"train", "--stpes=3"},
               "sotalign train: unknown option '--stpes=3'; the nearest one is '--steps'");
}

TEST(CommandLineProgram, AFormerFlagLeadsToThePresentOne) {
  for (const char* word : {"--klot-wieght", "--klot-w", "--klot-weigth"})
    expect_error({"train", word, "3"}, std::string("sotalign train: unknown option '") + word +
                                           "'; the nearest one is '--divergence-weight'");
}

TEST(CommandLineProgram, WithoutANearFlagTheListIsNamed) {
  for (const char* word : {"--frobnicate", "--x", "-z", "--banana", "--steps-per-epoch"})
    expect_error({"train", word}, std::string("sotalign train: unknown option '") + word +
                                      "'; 'sotalign train --help-all' lists them");
  expect_error({"split", "--method", "sail"},
               "sotalign split: unknown option '--method'; 'sotalign split --help-all' lists them");
  expect_error({"train", "word"}, "sotalign train: unexpected argument 'word'");
}

TEST(CommandLineProgram, LongWordsAreCutAndNotNear) {
  const std::string tail(100'000, 's'), cut = tail.substr(0, 57);
  for (const std::string& start : {std::string("train"), std::string()})
    expect_error({start + tail}, "sotalign: unknown command '" + (start + cut).substr(0, 57) +
                                     "...'; 'sotalign --help' lists them");
  expect_error({"train", "--steps" + tail}, "sotalign train: unknown option '" +
                                                ("--steps" + cut).substr(0, 57) +
                                                "...'; 'sotalign train --help-all' lists them");
}

TEST(CommandLineProgram, AKeyThatIsNotNearIsNotSuggested) {
  const TemporaryDirectory directory;
  write_file(directory / "c.json", R"({"frobnicate": 3})");
  expect_error({"train", "--config", directory / "c.json"},
               "sotalign train: " + directory / "c.json" + ": unknown key \"frobnicate\"");
  write_file(directory / "plan.json", R"({"frobnicate": 3})");
  const ProgramResult plan =
      run_program({"study", "--images", "i", "--texts", "t", "--dry-run", "--plan", directory / "plan.json"});
  EXPECT_EQ(plan.exit_code, 2);
  EXPECT_CONTAINS(plan.err, "unknown key \"frobnicate\"; known keys are ");
}

TEST(CommandLineProgram, MissingOptionsAreAllNamed) {
  expect_error({"train"},
               "sotalign train: --out, --pairs-images, --pairs-texts, --images and --texts are required");
  expect_error({"train", "--method", "sail", "--teacher", "cca", "--out", "o", "--pairs-images", "p"},
               "sotalign train: --pairs-texts is required");
  expect_error({"train", "--resume"}, "sotalign train: --out is required");
  expect_error(
      {"sweep"},
      "sotalign sweep: --out, --pairs-images, --pairs-texts, --val-images and --val-texts are required");
  expect_error({"compare"}, "sotalign compare: --images and --texts are required");
  expect_error({"study"}, "sotalign study: --images, --texts and --out are required");
  expect_error({"study", "--dry-run", "--texts", "t"}, "sotalign study: --images is required");
  expect_error({"split", "--images", "i"}, "sotalign split: --texts and --out are required");
  expect_error({"embed"}, "sotalign embed: --model, --side, --input and --output are required");
  expect_error({"search", "--out", ""}, "sotalign search: --gallery, --queries and --out are required");
  expect_error({"search", "--gallery", "g", "--queries", "q", "--model", "m"},
               "sotalign search: --side is required with --model");
  expect_error({"eval"}, "sotalign eval: --images and --texts are required");
  expect_error({"eval", "--images", "i", "--texts", "t", "--text-ids", "n"},
               "sotalign eval: --image-ids is required with --text-ids");
  expect_error({"zeroshot", "--images", "i"},
               "sotalign zeroshot: --labels, --prompts and --prompt-classes are required");
  expect_error({"similarity", "--y", "y"}, "sotalign similarity: --x is required");
  expect_error({"shift"},
               "sotalign shift: --images and --other-images, or --texts and --other-texts, are required");
  expect_error({"shift", "--other-texts", "t"}, "sotalign shift: --texts is required with --other-texts");
  expect_error({"teacher"}, "sotalign teacher: --out, --pairs-images and --pairs-texts are required");
  expect_error(
      {"teacher", "--teacher", "self_training", "--out", "o", "--pairs-images", "p", "--pairs-texts", "p"},
      "sotalign teacher: --images and --texts are required");
  expect_error({"klot"}, "sotalign klot: --student and --teacher are required");
  expect_error({"divergence"}, "sotalign divergence: --student and --teacher are required");
  expect_error({"sinkhorn"}, "sotalign sinkhorn: --affinity is required");
  expect_error({"completion"}, "sotalign completion: shell: expected bash, zsh or fish, found none");
}

TEST(CommandLineProgram, HelpOfALargeCommandListsWhatMattersAndHowToSeeTheRest) {
  const std::set<std::string> few = flags_in(run_program({"train", "--help"}).out),
                              all = flags_in(run_program({"train", "--help-all"}).out);
  for (const char* flag :
       {"--pairs-images", "--texts", "--val-texts", "--out", "--resume", "--config", "--steps", "--seed",
        "--method", "--teacher", "--divergence-weight", "--device", "--help-all"})
    EXPECT_TRUE(few.contains(flag)) << flag;
  for (const char* flag : {"--beta1", "--sclip-labels", "--check-every", "--stop-after"}) {
    EXPECT_FALSE(few.contains(flag)) << flag;
    EXPECT_TRUE(all.contains(flag)) << flag;
  }
  EXPECT_LE(few.size(), 20u);
  EXPECT_GT(all.size(), 60u);
}

TEST(CommandLineProgram, EveryCommandHasAHelpOfAUsableLength) {
  for (const std::string& command : program_commands()) {
    SCOPED_TRACE(command);
    const ProgramResult help = run_program({command, "--help"}), full = run_program({command, "--help-all"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_EQ(full.exit_code, 0);
    EXPECT_EQ(help.err + full.err, "");
    const std::set<std::string> few = flags_in(help.out), all = flags_in(full.out);
    EXPECT_TRUE(std::includes(all.begin(), all.end(), few.begin(), few.end()));
    EXPECT_LE(few.size(), 26u);
    EXPECT_GE(few.size(), std::min<size_t>(all.size(), 8));  // a large command marks its common options
    const std::string pointer = "sotalign " + command + " --help-all lists ";
    if (few == all)
      EXPECT_EQ(help.out, full.out);
    else
      EXPECT_CONTAINS(help.out, pointer + std::to_string(all.size() - few.size()) + " more options.\n");
    EXPECT_EQ(full.out.find(pointer), std::string::npos);
    EXPECT_CONTAINS(full.out, "\nExample:\n  ");
  }
}

}  // namespace program_command_line_test
}  // namespace sotalign::testing
