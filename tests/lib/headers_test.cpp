// The headers that describe the library as a whole.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "sotalign/sotalign.h"
#include "sotalign/version.h"
#include "support/test_files.h"

namespace sotalign {
namespace lib_headers_test {

TEST(Headers, VersionOfTheLibraryIsThatOfTheHeaders) {
  EXPECT_EQ(version(),
            fmt::format("{}.{}.{}", SOTALIGN_VERSION_MAJOR, SOTALIGN_VERSION_MINOR, SOTALIGN_VERSION_PATCH));
  static_assert(SOTALIGN_VERSION_NUMBER >= 200);
}

TEST(Headers, TheWholeIncludesEveryPublicHeader) {
  const std::filesystem::path folder = std::filesystem::path(testing::test_files()) / "../lib/include";
  std::ifstream file(folder / "sotalign/sotalign.h");
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  const std::set<std::string> left_out = {"sotalign/sotalign.h", "sotalign/ot/streamed_klot.h"};  // old name
  int headers = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (!entry.is_regular_file() || left_out.contains(name)) continue;
    EXPECT_NE(whole.find("#include \"" + name + "\"\n"), std::string::npos) << name;
    ++headers;
  }
  EXPECT_GT(headers, 40);
}

}  // namespace lib_headers_test
}  // namespace sotalign
