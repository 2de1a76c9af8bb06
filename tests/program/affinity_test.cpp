// sinkhorn, klot and divergence on affinities beyond single precision at the given epsilon, as users see it:
// one line with the file and |K| / epsilon, and exit code 2.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "support/program_data.h"

namespace sotalign::testing {
namespace program_affinity_test {

class AffinityProgram : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 12, kCols = 9;
  TemporaryDirectory files;
  std::vector<float> usual = random_uniform(kRows * kCols, 1);

  std::string write(const std::string& name, const std::vector<float>& k) const {
    write_npy(files / name, ConstMatrixF(k.data(), kRows, kCols));
    return files / name;
  }
  /// The usual affinity except for one column or row.
  std::vector<float> with_column(float value) const {
    std::vector<float> k = usual;
    for (int64_t i = 0; i < kRows; ++i) k[static_cast<size_t>(i * kCols + 4)] = value;
    return k;
  }
  std::vector<float> with_row(float value) const {
    std::vector<float> k = usual;
    std::fill_n(k.begin() + 3 * kCols, kCols, value);
    return k;
  }
  std::vector<float> times(float factor) const {
    std::vector<float> k = usual;
    for (float& x : k) x *= factor;
    return k;
  }
};

TEST_F(AffinityProgram, NamesTheFileWhoseAffinitiesAreTooLarge) {
  const std::string good = write("good.npy", usual);
  int number = 0;
  for (const std::vector<float>& k :
       {times(1e30f), times(-1e30f), std::vector<float>(kRows * kCols, 1e30f), with_column(-1e30f),
        with_column(1e30f), with_row(-1e30f), times(1e8f)}) {
    const std::string bad = write("bad" + std::to_string(number++) + ".npy", k);
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {"sinkhorn", "--affinity", bad},
             {"sinkhorn", "--affinity", bad, "--sinkhorn-form", "log_domain", "--tolerance", "1e-3"},
             {"klot", "--student", bad, "--teacher", good},
             {"klot", "--student", good, "--teacher", bad, "--affinity-memory", "fixed16"},
             {"divergence", "--student", good, "--teacher", bad},
             {"divergence", "--student", bad, "--teacher", good, "--kind", "infonce"}}) {
      const ProgramResult result = run_program(arguments);
      EXPECT_EQ(result.exit_code, 2);
      EXPECT_EQ(result.out, "");
      EXPECT_TRUE(result.err.starts_with("sotalign " + arguments[0] + ": " + bad +
                                         ": expected |K| / epsilon up to 1.7e+07, "))
          << result.err;
      EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    }
  }
}

TEST_F(AffinityProgram, WhatIsWithinReachIsSolved) {
  std::vector<float> forbidden = usual;
  for (int64_t i = 0; i < kRows; ++i) forbidden[static_cast<size_t>(i * kCols + i % kCols)] = -1e30f;
  std::vector<double> b(kCols, 1.0);
  b[4] = 0;
  write_npy(files / "b.npy", ConstMatrixD(b.data(), 1, kCols));
  const std::string e4 = write("e4.npy", times(1e4f)), pairs = write("forbidden.npy", forbidden),
                    column = write("column.npy", with_column(-1e30f));
  EXPECT_EQ(run_program({"sinkhorn", "--affinity", e4, "--epsilon", "1e-3"}).exit_code, 0);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"--affinity", pairs}, {"--affinity", column, "--b", files / "b.npy"}}) {
    std::vector<std::string> words = {"sinkhorn", "--epsilon",    "0.1", "--tolerance",
                                      "1e-5",     "--iterations", "5000"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    const ProgramResult result = run_program(words);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const nlohmann::json json = nlohmann::json::parse(result.out);
    EXPECT_EQ(json["status"], "converged");
    EXPECT_LE(json["marginal_error"], 1e-5);
  }
}

}  // namespace program_affinity_test
}  // namespace sotalign::testing
