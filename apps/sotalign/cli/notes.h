// Notes on standard error about what a user may want to know of a command that goes on all the same.
#pragma once

#include <string>

namespace sotalign::app {

/// Keeps "note: TEXT" until show_notes(). A command that is refused shows none: its error is one line.
void note(const std::string& text);

/// Once a command has begun to say what it does, or has ended well.
void show_notes();

}  // namespace sotalign::app
