#!/usr/bin/env python3
"""Checks that every #include of a tracked C++ or CUDA file points downwards in docs/architecture.md's order.

  tools/check_layers.py           one line per violation, FILE:LINE: includes X: RULE; exit code 1 if there is one
  tools/check_layers.py --graph   also prints which folder includes which, with the number of includes

A folder may include itself and folders of lower layers, so there can be no circle of folders. tests/ may include
anything. A test file tests/FOLDER/NAME_test.cpp puts its code into namespace FOLDER_NAME_test, so that files compiled as one
unit do not clash.
"""
import argparse
import collections
import pathlib
import posixpath
import re
import subprocess
import sys

# From the bottom to the top. lib/X is lib/include/sotalign/X together with lib/src/X. Folders of one layer do not
# include each other.
LAYERS = [
    ["kernels"],  # the headers, which are the same for both backends
    ["kernels/cpu", "kernels/cuda"],
    ["lib/core"],
    ["lib/io", "lib/linalg", "lib/optim", "lib/sampling"],
    ["lib/nn", "lib/ot"],
    ["lib/eval", "lib/loss"],
    ["lib/teacher"],
    ["lib/train"],
    ["lib/c"],  # the C header
    ["lib/sotalign.h"],  # includes all public headers
    ["apps/sotalign/cli", "apps/sotalign/plot", "bench", "examples"],
    ["apps/sotalign/page"],
    ["apps/sotalign/data"],
    ["apps/sotalign/run"],
    ["apps/sotalign/report"],
    ["apps/sotalign/study", "apps/sotalign/sweep", "python"],
    ["apps/sotalign/commands"],
    ["apps/sotalign/main.cpp"],
]
LAYER = {folder: number for number, folders in enumerate(LAYERS) for folder in folders}

# Includes that break the order, each with the reason why it stays.
EXCEPTIONS = {
    ("kernels/cuda/simt.h", "tests/simt/emulator.h"): "only without nvcc: the emulator then stands in for CUDA",
    ("bench/train/student_settings.cpp", "lib/src/train/teacher_heads.h"): "tries other training steps",
    ("kernels/cuda/cub.h", "tests/simt/cub.h"): "only without nvcc: the twin then stands in for CUB",
}

SOURCE = re.compile(r"\.(h|hpp|cuh|cpp|cu|inl)(\.in)?$")
TEST = re.compile(r"tests/(\w+)/(\w+_test)\.cpp")
INCLUDE = re.compile(r'\s*#\s*include\s*["<]([^">]+)[">]')
KERNEL_NAME = re.compile(r"\bkernels\s*::|\bnamespace\s+(\w+::)*kernels\b")
SEARCH_PATH = ["", "lib/include", "lib/src", "apps/sotalign", "tests", "tests/fuzz"]
PUBLIC = "lib/include/"


def folder_of(path):
    """The name in LAYERS for a file, or the folder itself if LAYERS lacks it."""
    parts = path.split("/")
    if path == PUBLIC + "sotalign/version.h":
        return "lib/core"
    if path == PUBLIC + "sotalign/c.h":
        return "lib/c"
    if path.startswith(PUBLIC + "sotalign/"):
        return "lib/" + parts[3]
    if path.startswith("lib/src/"):
        return "lib/" + parts[2]
    if path.startswith("apps/sotalign/"):
        return "/".join(parts[:3])
    for folder in ("bench", "python"):
        if path.startswith(folder + "/"):
            return folder
    return posixpath.dirname(path)


def resolve(included, includer, files):
    """The project's file that an include names, or None for other libraries' headers."""
    for directory in [posixpath.dirname(includer)] + SEARCH_PATH:
        path = posixpath.normpath(posixpath.join(directory, included))
        if path in files or path + ".in" in files:
            return path
    return None


def broken_rule(includer, included):
    """The rule that an include breaks, or None."""
    source, target = folder_of(includer), folder_of(included)
    source_top, target_top = source.split("/")[0], target.split("/")[0]
    if source_top == "tests" or (includer, included) in EXCEPTIONS:
        return None
    if target_top == "tests":
        return "only tests/ may include tests/"
    if includer.startswith(PUBLIC) and target_top == "kernels":
        return "public headers do not include kernels/"
    if includer.startswith(PUBLIC) and included.startswith("lib/src/"):
        return "public headers do not include lib/src/"
    if source_top in ("apps", "bench", "examples"):
        if target_top == "kernels" or included.startswith("lib/src/"):
            return f"{source_top}/ includes only the public headers of lib/"
    if source_top == "kernels" and target_top != "kernels":
        return "kernels/ includes nothing outside kernels/, except what EXCEPTIONS in this script lists"
    if source_top == "lib" and target_top not in ("lib", "kernels"):
        return f"lib/ does not include {target_top}/"
    for folder in (source, target):
        if folder not in LAYER:
            return f"{folder} is in no layer: add it to LAYERS in this script and to docs/architecture.md"
    if source == target or LAYER[target] < LAYER[source]:
        return None
    relation = "in the same layer as" if LAYER[target] == LAYER[source] else "in a higher layer than"
    return f"{target} is {relation} {source}"


def main():
    parser = argparse.ArgumentParser(description="Checks the order of the folders that docs/architecture.md states.")
    parser.add_argument("--graph", action="store_true", help="also print which folder includes which")
    arguments = parser.parse_args()

    root = pathlib.Path(__file__).resolve().parent.parent
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    files = {path for path in listed.split("\0") if SOURCE.search(path) and (root / path).exists()}
    graph = collections.defaultdict(collections.Counter)
    violations = []
    used = set()
    for path in sorted(files):
        lines = (root / path).read_text(encoding="utf-8").splitlines()
        test = TEST.fullmatch(path)
        if test and f"namespace {test[1]}_{test[2]} {{" not in lines:
            violations.append(f"{path}: no namespace {test[1]}_{test[2]}, or an unnamed one")
        for number, line in enumerate(lines, 1):
            if path.startswith(PUBLIC) and KERNEL_NAME.search(line):
                violations.append(f"{path}:{number}: names namespace kernels: public headers do not")
            match = INCLUDE.match(line)
            included = match and resolve(match[1], path, files)
            if not included:
                continue
            used.add((path, included))
            rule = broken_rule(path, included)
            if rule:
                violations.append(f"{path}:{number}: includes {match[1]}: {rule}")
            if folder_of(path) != folder_of(included):
                graph[folder_of(path)][folder_of(included)] += 1
    violations += [f"{a}: no longer includes {b}: remove it from EXCEPTIONS" for a, b in sorted(set(EXCEPTIONS) - used)]

    def height(folder):
        return (LAYER.get(folder, len(LAYERS)), folder)

    if arguments.graph:
        for source in sorted(graph, key=height):
            print(f"{source} -> " + ", ".join(f"{t} {graph[source][t]}" for t in sorted(graph[source], key=height)))
    for violation in violations:
        print(violation, file=sys.stderr)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
