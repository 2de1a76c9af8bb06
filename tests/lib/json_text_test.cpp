// JSON from outside: what check_json_text() accepts, and what it reports for hostile text.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "sotalign/core/error.h"
#include "sotalign/io/json_text.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_json_text_test {

using testing::message_of;
using namespace std::string_literals;

std::string repeated(const std::string& part, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text += part;
  return text;
}

std::string complaint(const std::string& text, int deepest = 32) {
  return message_of<IoError>([&] { check_json_text(text, "file.json", deepest); });
}

TEST(JsonText, AcceptsWhatJsonIs) {
  for (const std::string& text :
       {"null"s, "-0"s, " [1, 2.5e-3, -7, true] \n"s, R"({"a": {"b": 1}, "b": {"b": "a"}})"s,
        R"([{"a": 1}, {"a": 2}])"s, R"("\ud83d\ude00 \u0000 é 😀")"s, R"({"": 1, " ": 2})"s,
        R"([1e308, 1e-999, 18446744073709551615, 18446744073709551616, -9223372036854775809])"s,
        "\xef\xbb\xbf{}"s})
    EXPECT_NO_THROW(check_json_text(text, "file.json")) << text;
}

TEST(JsonText, CountsLevels) {
  EXPECT_NO_THROW(check_json_text(repeated("[", 32) + repeated("]", 32), "file.json"));
  EXPECT_EQ(complaint(repeated("[", 33) + repeated("]", 33)),
            "file.json: expected at most 32 levels of lists and objects, found it nested deeper");
  EXPECT_NO_THROW(check_json_text(R"({"a": [1], "b": [2], "c": {"d": 3}})", "file.json", 2));
  EXPECT_CONTAINS(complaint(R"({"a": [{}]})", 2), "at most 2 levels");
}

TEST(JsonText, DeepNestingNeitherOverflowsTheStackNorTakesLong) {
  for (const std::string& text : {repeated("[", 100000) + repeated("]", 100000),
                                  repeated(R"({"a":)", 100000) + "1" + repeated("}", 100000),
                                  repeated("[", 1 << 20), repeated(R"([{"a":)", 1 << 18)}) {
    EXPECT_CONTAINS(complaint(text), "nested deeper");
    EXPECT_CONTAINS(complaint(text, 90000), "nested deeper");
  }
  // Allowed, and deeper than the stack of a recursive reader.
  EXPECT_NO_THROW(check_json_text(repeated("[", 100000) + repeated("]", 100000), "file.json", 100000));
}

TEST(JsonText, KeysAreThereOnce) {
  EXPECT_EQ(complaint(R"({"steps": 1, "seed": 2, "steps": 3})"),
            "file.json: expected each key once, found the key 'steps' twice in one object");
  EXPECT_CONTAINS(complaint(R"([[{"x": {"y": [{"k": 1, "k": 1}]}}]])"), "the key 'k' twice");
  EXPECT_CONTAINS(complaint(R"({"a": {"x": 1}, "b": 2, "a": {"y": 1}})"), "the key 'a' twice");
  EXPECT_CONTAINS(complaint(R"({"a": 1, "\u0061": 2})"), "the key 'a' twice");
  EXPECT_CONTAINS(complaint(R"({"": 1, "": 2})"), "the key '' twice");
}

TEST(JsonText, AKeyIsShownInOneShortLine) {
  const std::string key = "\\n\\u001b[31mé" + repeated("x", 100000);
  const std::string message = complaint("{\"" + key + "\": 1, \"" + key + "\": 2}");
  EXPECT_CONTAINS(message, "the key '??[31m??xxx");
  EXPECT_LT(message.size(), 200u);
}

TEST(JsonText, NamesTheLineOfASyntaxError) {
  EXPECT_EQ(complaint("{\"a\": 1,\n \"b\": 2,\n}"),
            "file.json: line 3: expected valid JSON, found a syntax error at byte 18");
  EXPECT_EQ(complaint(""), "file.json: line 1: expected valid JSON, found a syntax error at byte 0");
  EXPECT_EQ(complaint("\n\n"), "file.json: line 3: expected valid JSON, found a syntax error at byte 2");
  for (const std::string& text :
       {"{} {}"s,           "{}x"s,        "[1,]"s, "[1 2]"s, "{\"a\"}"s, "{a: 1}"s,    "nan"s,
        "Infinity"s,        "+1"s,         "01"s,   "1."s,    ".5"s,      "0x10"s,      "'a'"s,
        "[1] // comment"s,  "/* */ 1"s,    "tru"s,  "\"a"s,   "["s,       "{\"a\": 1"s, "\xef\xbb[1]"s,
        "[1]\xef\xbb\xbf"s, "\xff\xfe[\0"s})
    EXPECT_CONTAINS(complaint(text), "expected valid JSON, found a syntax error");
}

TEST(JsonText, RefusesWhatIsNotUnicode) {
  for (const std::string& text : {R"("\ud800")"s, R"("\udc00")"s, R"("\ud800\u0041")"s, R"("\ud83dx")"s,
                                  R"({"\udfff": 1})"s, "\"\xff\""s, "\"\xc3\""s, "\"\xc0\x80\""s,
                                  "\"\xed\xa0\x80\""s, "\"\xf4\x90\x80\x80\""s, "{\"\x80\": 1}"s})
    EXPECT_CONTAINS(complaint(text), "expected valid JSON, found a syntax error");
}

TEST(JsonText, ANulByteDoesNotEndTheText) {
  for (const std::string& text : {"\0"s, "{}\0"s, "{\"a\": 1}\0{\"a\": 2}"s, "\"a\0b\""s, "[1,\0 2]"s})
    EXPECT_CONTAINS(complaint(text), "expected valid JSON, found a syntax error");
  EXPECT_EQ(complaint("{}\n\0"s), "file.json: line 2: expected valid JSON, found a syntax error at byte 3");
}

TEST(JsonText, NumbersAreFinite) {
  EXPECT_EQ(complaint("[1,\n1e999]"),
            "file.json: line 2: expected numbers of double precision, found one beyond");
  EXPECT_CONTAINS(complaint("{\"a\": -1e400}"), "found one beyond");
  EXPECT_CONTAINS(complaint("1" + repeated("0", 400)), "found one beyond");
}

TEST(JsonText, LongTextTakesLittleTime) {
  const auto start = std::chrono::steady_clock::now();
  check_json_text("[" + repeated(R"({"a":{}},)", 200000) + "1]", "file.json");
  std::string keys = "{";
  for (int i = 0; i < 200000; ++i) keys += "\"k" + std::to_string(i) + "\":{},";
  check_json_text(keys + "\"k\":0}", "file.json");
  // A quadratic reader takes minutes; a sanitizer build takes a second.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(JsonText, WhatItAcceptsNlohmannReadsAlike) {
  const std::string text = R"({"a": [1, -2, 0.5, null, true, "é\n"], "b": {"a": {}}})";
  check_json_text(text, "file.json");
  EXPECT_EQ(nlohmann::ordered_json::parse(text).dump(), R"({"a":[1,-2,0.5,null,true,"é\n"],"b":{"a":{}}})");
}

}  // namespace lib_json_text_test
}  // namespace sotalign
