// Notes on standard error: things a user may want to know that do not stop the command.
#pragma once

#include <string>

namespace sotalign::app {

/// Keeps "note: TEXT" until show_notes(). A command that fails early prints only its error, in one line.
void note(const std::string& text);

/// The same, once in a process for each subject, and not after hide_hints().
void hint(const std::string& subject, const std::string& text);

/// For --quiet: hints are not shown, neither those kept so far nor later ones.
void hide_hints();

/// Prints the notes. Called when a command starts to print, or ends successfully.
void show_notes();

}  // namespace sotalign::app
