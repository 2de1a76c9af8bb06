#!/usr/bin/env python3
"""Compares teacher, SAIL and SOTAlign by the program's defaults, with and without a hubness correction, on several sets.

  bench/train/default_method.py --program build/release/apps/sotalign/sotalign --data ../shared/data \\
      --out bench/results/default_method

Runs `sotalign compare --validation 200 --hubness dbs` twice for each set and number of pairs: with the default
teacher, and with --teacher cca, which is SOTAlign from the plain teacher; validation pairs choose the step in both.
Writes OUT.json (all figures) and OUT.md (means over the seeds). Cells with too few rows are left out. --sets takes
any folder below --data that holds images.npy and texts.npy.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

TEST = {"emoji": 300, "shopclip": 300}  # small sets; 400 elsewhere


def compare(arguments, name, pairs, teacher):
    """The report of `sotalign compare`, or None if the set has too few rows."""
    folder = pathlib.Path(arguments.data) / name
    with tempfile.TemporaryDirectory() as work:
        out = f"{work}/compare.json"
        command = [arguments.program, "compare", "--images", folder / "images.npy", "--texts", folder / "texts.npy",
                   "--pairs", pairs, "--test", TEST.get(name, 400), "--validation", 200, "--hubness", "dbs",
                   "--teacher", teacher, "--seeds", ",".join(map(str, range(arguments.seeds))), "--threads",
                   arguments.threads, "--quiet", "--json", out]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            if "rows: expected more than" in done.stderr:
                return None
            raise SystemExit(f"{name}, {pairs} pairs: {done.stderr}")
        return json.load(open(out))


def figures(report, method):
    def recalls(methods):
        return [100 * run["mean_r1"] for run in methods[method]["seeds"]]
    return {"mean_r1": recalls(report["methods"]), "dbs": recalls(report["hubness"]["methods"]),
            "mean_reciprocal_rank": report["methods"][method]["mean_reciprocal_rank"],
            "seconds": statistics.mean(run.get("seconds", 0) for run in report["methods"][method]["seeds"])}


def text(values):
    error = statistics.stdev(values) / len(values) ** .5 if len(values) > 1 else 0
    return f"{statistics.mean(values):.1f} ± {error:.1f}"


def table(cells):
    columns = ["teacher", "SAIL", "SOTAlign, plain teacher", "chosen teacher", "SOTAlign"]
    lines = ["| data | pairs | " + " | ".join(columns) + " | SOTAlign + DBS | gain |", "|---" * 9 + "|"]
    for cell in cells:
        methods = cell["methods"]
        gain = [a - b for a, b in zip(methods["SOTAlign"]["mean_r1"],
                                      methods["SOTAlign, plain teacher"]["mean_r1"])]
        lines.append(f"| {cell['set']} | {cell['pairs']} | " + " | ".join(text(methods[c]["mean_r1"]) for c in columns)
                     + f" | {text(methods['SOTAlign']['dbs'])} | {text(gain)} |")
    mean = {c: statistics.mean(statistics.mean(cell["methods"][c]["mean_r1"]) for cell in cells) for c in columns}
    dbs = statistics.mean(statistics.mean(cell["methods"]["SOTAlign"]["dbs"]) for cell in cells)
    lines.append("| mean | | " + " | ".join(f"{mean[c]:.1f}" for c in columns)
                 + f" | {dbs:.1f} | {mean['SOTAlign'] - mean['SOTAlign, plain teacher']:.1f} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--sets", nargs="+", default=["flickr8k", "flickr8k_eff", "wordnet", "shopclip", "emoji"])
    parser.add_argument("--pairs", nargs="+", type=int, default=[100, 300, 1000])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    cells = []
    for name in arguments.sets:
        for pairs in arguments.pairs:
            plain = compare(arguments, name, pairs, "cca")
            if plain is None:
                continue
            default = compare(arguments, name, pairs, "auto")
            methods = {method: figures(default, method)
                       for method in ("teacher", "SAIL", "chosen teacher", "SOTAlign")}
            methods["SOTAlign, plain teacher"] = figures(plain, "SOTAlign")
            cells.append({"set": name, "pairs": pairs, "methods": methods})
            print(f"{name}, {pairs} pairs: " + ", ".join(f"{m} {text(f['mean_r1'])}" for m, f in methods.items()),
                  flush=True)
    command = (f"bench/train/default_method.py --sets {' '.join(arguments.sets)} --pairs "
               f"{' '.join(map(str, arguments.pairs))} --seeds {arguments.seeds} --threads {arguments.threads}")
    with open(arguments.out + ".json", "w") as file:
        json.dump({"command": command, "commit": commit, "cells": cells}, file, indent=1)
    with open(arguments.out + ".md", "w") as file:
        file.write("# SOTAlign by the program's defaults\n\n"
                   "MeanR@1 in percent among 400 test rows (300 of emoji and shopclip), mean and standard error of "
                   f"{arguments.seeds} seeds; 200 validation rows choose teacher and step. Gain: SOTAlign over "
                   "SOTAlign from the plain teacher, paired by seed. "
                   f"Command: `{command}`, at commit {commit}.\n\n" + table(cells))
    print(table(cells))


main()
