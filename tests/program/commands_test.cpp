// The commands on affinities, against golden vectors, and help.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sotalign/io/npy.h"
#include "sotalign/io/safetensors.h"
#include "support/compare.h"
#include "support/npy.h"
#include "support/program_data.h"
#include "support/test_files.h"

namespace sotalign::testing {
namespace program_commands_test {

using Json = nlohmann::json;

const std::string kGolden = testing::test_files() + "/golden/";

std::vector<float> floats(const std::string& path) {
  const HostMatrix matrix = read_npy_matrix(path);
  return {matrix.data(), matrix.data() + matrix.rows() * matrix.cols()};
}

TEST(Program, HelpAndVersionSucceed) {
  for (const char* command : {"train", "sweep", "split", "embed", "search", "eval", "teacher", "info", "demo",
                              "klot", "divergence", "sinkhorn"}) {
    const ProgramResult result = run_program({command, "--help"});
    EXPECT_EQ(result.exit_code, 0) << command;
    EXPECT_CONTAINS(result.out, "Example:");
    EXPECT_EQ(result.err, "");
  }
  EXPECT_CONTAINS(run_program({"--help"}).out, "sinkhorn");
  EXPECT_CONTAINS(run_program({"--version"}).out, "sotalign ");
}

TEST(Program, KlotMatchesGoldenVectors) {
  const TemporaryDirectory directory;
  for (const Json& golden : Json::parse(std::ifstream(kGolden + "manifest.json"))) {
    const std::string name = golden.value("case", "");
    if (!name.starts_with("klot_") || !std::ifstream(kGolden + name + ".grad.npy").good()) continue;
    SCOPED_TRACE(name);
    const std::string gradient = directory / (name + ".npy");
    const ProgramResult result = run_program(
        {"klot", "--student", kGolden + name + ".k_student.npy", "--teacher",
         kGolden + name + ".k_teacher.npy", "--epsilon-student", golden["epsilon_student"].dump(),
         "--epsilon-teacher", golden["epsilon_teacher"].dump(), "--iterations", golden["iterations"].dump(),
         "--symmetrize", golden["symmetrize"].dump(), "--gradient", gradient});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    const Json json = Json::parse(result.out);
    const double expected = golden["value"];
    EXPECT_WITHIN(std::abs(json["value"].get<double>() - expected),
                  std::abs(expected) < 0.1 ? 1e-6 : 1e-5 * std::abs(expected));
    EXPECT_EQ(json["student"]["iterations"], golden["iterations"]);
    EXPECT_EQ(json["status_student"], "fixed");
    const std::vector<float> found = floats(gradient);
    EXPECT_WITHIN(relative_l1(found, read_golden(kGolden + name + ".grad.npy").values,
                              0.1 / golden["epsilon_student"].get<double>()),
                  5e-5);
  }
}

TEST(Program, DivergencesMatchGoldenVectors) {
  const TemporaryDirectory directory;
  for (const Json& golden : Json::parse(std::ifstream(kGolden + "manifest.json"))) {
    const std::string name = golden.value("case", "");
    if (!name.starts_with("infonce_") && !name.starts_with("cka_")) continue;
    SCOPED_TRACE(name);
    // CKA's cases use the same affinities.
    const std::string affinities = kGolden + "infonce_" + name.back(), gradient = directory / (name + ".npy");
    const std::string kind = name.substr(0, name.find('_'));
    std::vector<std::string> arguments = {"divergence",
                                          "--kind",
                                          kind,
                                          "--student",
                                          affinities + ".k_student.npy",
                                          "--teacher",
                                          affinities + ".k_teacher.npy",
                                          "--gradient",
                                          gradient};
    if (kind == "infonce")
      arguments.insert(arguments.end(), {"--epsilon-student", golden["epsilon_student"].dump(),
                                         "--epsilon-teacher", golden["epsilon_teacher"].dump()});
    const ProgramResult result = run_program(arguments);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json["divergence"], kind);
    EXPECT_WITHIN(std::abs(json["value"].get<double>() - golden["value"].get<double>()), 1e-6);
    EXPECT_WITHIN(relative_l1(floats(gradient), read_golden(kGolden + name + ".grad.npy").values), 2e-6);
  }
  const std::string k = kGolden + "klot_1.k_student.npy", k_teacher = kGolden + "klot_1.k_teacher.npy";
  const Json klot = Json::parse(run_program({"klot", "--student", k, "--teacher", k_teacher}).out),
             same = Json::parse(run_program({"divergence", "--student", k, "--teacher", k_teacher}).out);
  for (const char* key : {"value", "student", "teacher"}) EXPECT_EQ(klot[key], same[key]);
}

TEST(Program, KlotTakesWeightsAndTolerance) {
  const TemporaryDirectory directory;
  const std::string student = kGolden + "klot_0.k_student.npy", teacher = kGolden + "klot_0.k_teacher.npy";
  const auto klot = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"klot", "--student", student, "--teacher", teacher});
    const ProgramResult result = run_program(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  };
  std::vector<double> weights(64, 1.0);
  weights[3] = 0, weights[7] = 2;
  write_npy(directory / "a.npy", ConstMatrixD(weights.data(), 1, 64));
  const Json plain = klot({}), weighted = klot({"--a", directory / "a.npy"}),
             loose = klot({"--tolerance", "1e-3", "--iterations", "500"});
  EXPECT_NE(plain["value"], weighted["value"]);
  EXPECT_EQ(loose["status_teacher"], "converged");
  EXPECT_LT(loose["student"]["iterations"], loose["teacher"]["iterations"]);
  EXPECT_WITHIN(loose["student"]["row_error"].get<double>(), 1e-3);
}

TEST(Program, SinkhornWritesPlanAndPotentials) {
  const TemporaryDirectory directory;
  const std::string affinity = kGolden + "klot_1.k_student.npy", potentials = directory / "uv.safetensors";
  std::vector<std::string> arguments = {
      "sinkhorn", "--affinity",           affinity,       "--epsilon", "0.05", "--symmetrize", "true",
      "--plan",   directory / "plan.npy", "--potentials", potentials};
  ProgramResult result = run_program(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<float> plan = floats(directory / "plan.npy");
  EXPECT_WITHIN(relative_l1(plan, read_golden(kGolden + "klot_1.plan_student.npy").values), 2e-5);

  const SafetensorsFile file = SafetensorsFile::open(potentials);
  const std::vector<double> u = file.read_double("u"), v = file.read_double("v");
  const std::vector<float> k = floats(affinity);
  ASSERT_EQ(u.size(), 33u);
  ASSERT_EQ(v.size(), 57u);
  std::vector<double> from_potentials;
  for (size_t i = 0; i < u.size(); ++i)
    for (size_t j = 0; j < v.size(); ++j)
      from_potentials.push_back(std::exp(static_cast<double>(k[i * v.size() + j]) / 0.05 + u[i] + v[j]));
  EXPECT_WITHIN(relative_l1(from_potentials, plan), 2e-5);

  // A start at the solution passes the first convergence check.
  result = run_program({"sinkhorn", "--affinity", affinity, "--epsilon", "0.05", "--tolerance", "1e-4",
                        "--check-every", "1", "--start", potentials});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["status"], "converged");
  EXPECT_LE(json["iterations"].get<int64_t>(), 2);
}

TEST(Program, RepeatsSayTheSameAndTheMedianOfTheirTimes) {
  const std::string k = kGolden + "klot_1.k_student.npy", k_teacher = kGolden + "klot_1.k_teacher.npy";
  for (const std::vector<std::string>& once : std::vector<std::vector<std::string>>{
           {"sinkhorn", "--affinity", k}, {"klot", "--student", k, "--teacher", k_teacher}}) {
    std::vector<std::string> often = once;
    often.insert(often.end(), {"--repeat", "4"});
    const ProgramResult single = run_program(once), repeated = run_program(often);
    ASSERT_EQ(single.exit_code, 0) << single.err;
    ASSERT_EQ(repeated.exit_code, 0) << repeated.err;
    Json json = Json::parse(single.out), repeats = Json::parse(repeated.out);
    EXPECT_FALSE(json.contains("repeats"));
    auto seconds = repeats["repeats"].get<std::vector<double>>();
    ASSERT_EQ(seconds.size(), 4u);
    std::sort(seconds.begin(), seconds.end());
    EXPECT_GT(seconds[0], 0);
    EXPECT_DOUBLE_EQ(repeats["seconds"].get<double>(), (seconds[1] + seconds[2]) / 2);
    repeats.erase("repeats");
    json.erase("seconds"), repeats.erase("seconds");
    EXPECT_EQ(json, repeats);
  }
}

}  // namespace program_commands_test
}  // namespace sotalign::testing
