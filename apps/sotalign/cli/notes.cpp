#include "cli/notes.h"

#include <cstdio>
#include <set>
#include <vector>

namespace sotalign::app {

namespace {

struct Note {
  std::string text;
  bool is_hint;
};

std::vector<Note> kept;
std::set<std::string> subjects;  // of the hints so far
bool hints_hidden = false;

}  // namespace

void note(const std::string& text) { kept.push_back({text, false}); }

void hint(const std::string& subject, const std::string& text) {
  if (subjects.insert(subject).second) kept.push_back({text, true});
}

void hide_hints() { hints_hidden = true; }

void show_notes() {
  for (const Note& n : kept)
    if (!n.is_hint || !hints_hidden) std::fputs(("note: " + n.text + '\n').c_str(), stderr);
  kept.clear();
}

}  // namespace sotalign::app
