// Reads SVG documents of the program's plots, for tests of what is in them.
#pragma once

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace sotalign::testing {

struct Element {
  std::string name, text;  // text up to the first child
  std::map<std::string, std::string> attributes;
  double number(const std::string& key) const { return std::stod(attributes.at(key)); }
};

/// Resolves XML's five named entities; rejects bare special characters.
inline std::string unescape(const std::string& text) {
  const std::map<std::string, std::string> entities = {
      {"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}};
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') throw std::runtime_error("bare <");
    if (text[i] != '&') {
      result += text[i];
      continue;
    }
    const size_t end = text.find(';', i);
    result += entities.at(text.substr(i + 1, end - i - 1));
    i = end;
  }
  return result;
}

/// All elements of a document in order. Throws if it is not well-formed; supports just enough of XML.
inline std::vector<Element> parse(const std::string& xml) {
  std::vector<Element> elements;
  std::vector<size_t> open;
  const auto expect = [](bool fits, const std::string& what) {
    if (!fits) throw std::runtime_error("not well-formed: " + what);
  };
  for (const char c : xml) expect(c == '\n' || static_cast<unsigned char>(c) >= 0x20, "control character");
  size_t at = 0;
  while (at < xml.size()) {
    const size_t tag = std::min(xml.find('<', at), xml.size());
    const std::string text = unescape(xml.substr(at, tag - at));
    if (open.empty()) {
      expect(text.find_first_not_of('\n') == std::string::npos, "text outside");
    } else {
      elements[open.back()].text += text;
    }
    if (tag == xml.size()) break;
    size_t i = tag + 1;
    const auto word = [&] {
      const size_t first = i;
      while (i < xml.size() && (std::isalnum(static_cast<unsigned char>(xml[i])) != 0 || xml[i] == '-')) ++i;
      expect(i > first, "name");
      return xml.substr(first, i - first);
    };
    if (xml[i] == '/') {
      ++i;
      expect(!open.empty() && word() == elements[open.back()].name && xml[i] == '>', "end tag");
      open.pop_back();
      at = i + 1;
      continue;
    }
    expect(!open.empty() || elements.empty(), "second root");
    Element element{.name = word(), .text = "", .attributes = {}};
    while (true) {
      while (i < xml.size() && xml[i] == ' ') ++i;
      if (xml[i] == '>' || xml[i] == '/') break;
      const std::string key = word();
      expect(xml[i] == '=' && xml[i + 1] == '"', "attribute");
      const size_t end = xml.find('"', i + 2);
      expect(end != std::string::npos, "attribute's end");
      expect(element.attributes.emplace(key, unescape(xml.substr(i + 2, end - i - 2))).second, "twice");
      i = end + 1;
    }
    elements.push_back(element);
    if (xml[i] == '/') {
      expect(xml[++i] == '>', "empty element");
    } else {
      open.push_back(elements.size() - 1);
    }
    at = i + 1;
  }
  expect(open.empty() && !elements.empty(), "end");
  return elements;
}

inline std::optional<Element> text(const std::vector<Element>& elements, const std::string& words) {
  for (const Element& e : elements)
    if (e.name == "text" && e.text == words) return e;
  return std::nullopt;
}

inline size_t count(const std::vector<Element>& elements, const std::string& name) {
  size_t n = 0;
  for (const Element& e : elements) n += e.name == name ? 1 : 0;
  return n;
}

/// Tick labels follow the gridlines; those of y are end-aligned.
inline std::map<double, double> y_ticks(const std::vector<Element>& elements) {
  std::map<double, double> ticks;
  for (size_t i = 1; i < elements.size(); ++i)
    if (const Element& e = elements[i];
        e.attributes.contains("text-anchor") && e.attributes.at("text-anchor") == "end") {
      const std::string d = elements[i - 1].attributes.at("d");
      ticks[std::stod(e.text)] = std::stod(d.substr(d.find(',') + 1));
    }
  return ticks;
}

inline std::map<double, double> x_ticks(const std::vector<Element>& elements) {
  std::map<double, double> ticks;
  for (const Element& e : elements)
    if (e.attributes.contains("text-anchor") && e.attributes.at("text-anchor") == "middle" &&
        !e.text.empty() && std::isdigit(static_cast<unsigned char>(e.text.back())) != 0)
      ticks[std::stod(e.text)] = e.number("x");
  return ticks;
}

}  // namespace sotalign::testing
