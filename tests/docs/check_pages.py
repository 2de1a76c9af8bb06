#!/usr/bin/env python3
"""Runs what the pages show: README.md, CONTRIBUTING.md and docs/*.md.

  tests/docs/check_pages.py --program build/release/apps/sotalign/sotalign --library build/release

* ```sh       runs with `sotalign` on the PATH
* ```cpp      is compiled against the installed library, and runs
* ```python   runs; needs the modules that it imports: NumPy, PyTorch, the Python package
* a link to a file or a heading resolves, in every tracked .md file
* every --flag that a page names is an option of some command

The blocks of one page share one temporary directory, in their order, and find there what `pages_data.py` makes.
Comments in front of a block steer it; a reader does not see them:

  <!-- not run: why -->         it needs the network, a GPU, hours, or is no program
  <!-- output -->               in front of ```text: the block before printed these lines. `...` stands for
                                anything; as a line of its own, for any lines
  <!-- output, +- X -->         the same, and numbers may differ by X
  <!-- file: NAME -->           the block is also kept under this name, for later blocks of the page
  <!-- in main -->              C++ statements: they are compiled inside main()
  <!-- in main, after: CODE --> the same, with CODE (may span lines) in front of them

Ends with 1 and one line for each failure, file:line first.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import pages_data  # noqa: E402
from pages_links import check_links  # noqa: E402
from pages_markdown import read_blocks  # noqa: E402
from pages_output import difference  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# Options of other programs that the pages name.
OTHER_FLAGS = {
    "--all-files", "--build", "--cflags", "--config", "--exclude", "--full", "--gtest_filter", "--install",
    "--install-suggests", "--keep-going", "--klot-sizes", "--library", "--libs", "--minutes", "--no-verify",
    "--out", "--output-on-failure", "--prefix", "--preset", "--program", "--quick", "--require", "--rows",
    "--seconds", "--seed", "--sizes", "--tables", "--target", "--targets", "--test-dir",
}


class Checker:
    def __init__(self, arguments, work):
        self.program = Path(arguments.program).resolve()
        self.library = Path(arguments.library).resolve() if arguments.library else None
        self.required = set(arguments.require)
        self.work = work
        self.failures, self.ran, self.not_run = [], 0, []
        self.environment = dict(os.environ, PATH=f"{self.work / 'bin'}:{os.environ['PATH']}", LC_ALL="C.UTF-8")
        self.environment.setdefault("OMP_WAIT_POLICY", "passive")
        (work / "bin").mkdir()
        (work / "bin" / "sotalign").symlink_to(self.program)
        self.modules = {}

    def fail(self, where, message):
        self.failures.append(f"{where}: {message}")

    def run(self, command, directory, seconds=600):
        """Exit code and output, standard error included."""
        try:
            done = subprocess.run(command, cwd=directory, env=self.environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        except subprocess.TimeoutExpired:
            return 124, f"still running after {seconds} s"
        return done.returncode, done.stdout.decode(errors="replace")

    def has_module(self, name):
        if name not in self.modules:
            self.modules[name] = self.run([sys.executable, "-c", f"import {name}"], self.work)[0] == 0
        return self.modules[name]

    # --- blocks ------------------------------------------------------------------------------------------------

    def check_page(self, page):
        directory = self.work / "pages" / page.relative_to(ROOT).with_suffix("")
        directory.mkdir(parents=True)
        for name in pages_data.FILES:
            shutil.copy(self.work / "data" / name, directory / name)
        output, where = None, None
        for block in read_blocks(page, ROOT):
            if block.expects_output:
                if output is None:
                    if where is not None:
                        self.fail(block.where, "an output without a block that ran in front of it")
                    continue
                wrong = difference(block.text, output, block.tolerance)
                if wrong:
                    self.fail(block.where, f"{wrong}\n    {where} printed:\n{indented(output)}")
                continue
            if block.language not in ("sh", "cpp", "python"):
                continue
            output, where = None, block.where
            if block.not_run:
                self.not_run.append(f"{block.where}: {block.not_run}")
                where = None
                continue
            if block.file:
                (directory / block.file).write_text(block.text)
            output = getattr(self, "run_" + block.language)(block, directory)
            if output is None:
                where = None

    def run_sh(self, block, directory):
        script = directory / ".block.sh"
        script.write_text(f"trap 'echo \"block line $LINENO failed\"' ERR\nset -euo pipefail\n{block.text}")
        code, output = self.run(["bash", str(script)], directory)
        script.unlink()
        return self.finished(block, code, output, offset=2)

    def run_python(self, block, directory):
        for module in ("numpy", "torch", "sotalign"):
            if re.search(rf"^\s*(import|from) {module}\b", block.text, re.M) and not self.has_module(module):
                if module in self.required:
                    self.fail(block.where, f"{module} cannot be imported, and --require asks for it")
                else:
                    self.not_run.append(f"{block.where}: skipped, no {module} here")
                return None
        # Compiled under the page's name, so that a traceback names its line.
        start = f"source = '\\n' * {block.line} + open('.block.py').read()\n" \
                f"exec(compile(source, {block.page!r}, 'exec'), {{'__name__': '__main__'}})"
        (directory / ".block.py").write_text(block.text)
        code, output = self.run([sys.executable, "-c", start], directory)
        (directory / ".block.py").unlink()
        return self.finished(block, code, output)

    def run_cpp(self, block, directory):
        if self.library is None:
            self.not_run.append(f"{block.where}: skipped, no --library")
            return None
        executable = self.executables.get(block.where)
        if executable is None:  # reported by build_programs()
            return None
        code, output = self.run([str(executable)], directory)
        return self.finished(block, code, output)

    def finished(self, block, code, output, offset=0):
        self.ran += 1
        if code == 0:
            return output
        where = block.where
        failed = re.findall(r"^block line (\d+) failed$", output, re.M)
        if failed:
            where = f"{block.page}:{block.line + int(failed[0]) - offset}"
        self.fail(where, f"exit code {code}\n{indented(output)}")
        return None

    # --- C++: one CMake project that uses an installed copy, as the reader's does --------------------------------

    def build_programs(self, pages):
        blocks = [b for page in pages for b in read_blocks(page, ROOT) if b.language == "cpp" and not b.not_run]
        self.executables = {}
        if self.library is None or not blocks:
            return
        prefix, project = self.work / "prefix", self.work / "programs"
        code, output = self.run(["cmake", "--install", str(self.library), "--prefix", str(prefix)], self.work)
        if code != 0:
            self.fail(self.library, f"cmake --install failed\n{indented(output)}")
            return
        project.mkdir()
        lines = ["cmake_minimum_required(VERSION 3.25)", "project(pages LANGUAGES CXX)", "find_package(sotalign REQUIRED)"]
        targets, lengths = {}, {}
        for number, block in enumerate(blocks):
            target = f"page_{number}"
            (project / f"{target}.cpp").write_text(cpp_source(block))
            lines += [f"add_executable({target} {target}.cpp)", f"target_link_libraries({target} PRIVATE sotalign::sotalign)"]
            targets[block.where] = target
            lengths[block.where] = block.text.count("\n") + 1
        (project / "CMakeLists.txt").write_text("\n".join(lines) + "\n")
        build = project / "build"
        # Not optimised: only what is compiled and computed counts, and the library brings its own speed.
        code, output = self.run(["cmake", "-S", str(project), "-B", str(build), "-G", "Ninja", "-DCMAKE_CXX_FLAGS=-O0 -Wall",
                                 f"-DCMAKE_PREFIX_PATH={prefix}"], self.work)
        if code != 0:
            self.fail(self.library, f"cmake failed\n{indented(output)}")
            return
        code, output = self.run(["cmake", "--build", str(build), "--", "-k", "0"], self.work)
        for where, target in targets.items():
            executable = build / target
            if executable.exists():
                self.executables[where] = executable
            else:
                page, first = where.split(":")
                last = int(first) + lengths[where]
                located = (re.match(rf"{re.escape(page)}:(\d+):.*error:", line) for line in output.splitlines())
                errors = [m[0] + m.string[m.end():] for m in located if m and int(first) <= int(m[1]) <= last]
                self.fail(where, "does not compile" + "".join(f"\n    {line}" for line in errors or output.splitlines()[-20:]))

    # --- flags ---------------------------------------------------------------------------------------------------

    def check_flags(self, pages):
        help_text = self.run([str(self.program), "--help"], self.work)[1]
        commands = re.findall(r"^  (\w+)  +\w", help_text.split("Subcommands:")[-1], re.M)
        known = set(OTHER_FLAGS) | {"--help", "--version"}
        for command in commands:
            known |= set(re.findall(r"--[a-z][a-z0-9-]*", self.run([str(self.program), command, "--help-all"], self.work)[1]))
        if len(commands) < 10 or len(known) < 50:
            self.fail(self.program, f"--help lists {len(commands)} commands with {len(known)} options: too few to be true")
        for page in pages:
            for number, line in enumerate(page.read_text().splitlines(), 1):
                for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9_-]*", re.sub(r"<!--|-->", "", line)):
                    if flag not in known:
                        self.fail(f"{page.relative_to(ROOT)}:{number}", f"no command has the option {flag}")


def cpp_source(block):
    line = f'#line {block.line + 1} "{block.page}"\n'
    if not block.in_main:
        return line + block.text
    # Includes stay in front of main; a blank line in their place keeps the numbers of the lines.
    source = block.text.splitlines()
    include = re.compile(r"\s*#include")
    before = "\n".join(s if include.match(s) else "" for s in source)
    inside = "\n".join("" if include.match(s) else s for s in source)
    return f"{line}{before}\nint main() {{\n{block.setup}\n{line}{inside}\n}}\n"


def indented(text, most=25):
    lines = text.rstrip().splitlines()
    return "\n".join("    " + line for line in (lines if len(lines) <= most else ["..."] + lines[-most:]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the built sotalign")
    parser.add_argument("--library", help="build directory to install the library from; without it C++ is skipped")
    parser.add_argument("--require", action="append", default=[], metavar="MODULE",
                        help="fail, instead of skipping blocks, if this Python module cannot be imported")
    parser.add_argument("--keep", action="store_true", help="leave the temporary directory")
    parser.add_argument("pages", nargs="*", type=Path, help="only these pages; default: README.md, CONTRIBUTING.md and docs/*.md")
    arguments = parser.parse_args()

    pages = [page.resolve() for page in arguments.pages] or [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    work = Path(tempfile.mkdtemp(prefix="sotalign-pages-"))
    try:
        checker = Checker(arguments, work)
        (work / "data").mkdir()
        pages_data.make(ROOT / "data" / "words", work / "data")
        for where, message in check_links(ROOT):
            checker.fail(where, message)
        checker.check_flags(pages)
        checker.build_programs(pages)
        for page in pages:
            checker.check_page(page)
    finally:
        if arguments.keep:
            print(f"Kept {work}")
        else:
            shutil.rmtree(work)

    for line in checker.not_run:
        print(f"not run  {line}")
    for line in checker.failures:
        print(f"FAILED   {line}")
    print(f"{len(pages)} pages: {checker.ran} blocks ran, {len(checker.not_run)} not run, {len(checker.failures)} failures")
    return 1 if checker.failures or checker.ran == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
