#include "cli/notes.h"

#include <cstdio>

namespace sotalign::app {

namespace {
std::string kept;
}

void note(const std::string& text) { kept += "note: " + text + '\n'; }

void show_notes() {
  std::fputs(kept.c_str(), stderr);
  kept.clear();
}

}  // namespace sotalign::app
