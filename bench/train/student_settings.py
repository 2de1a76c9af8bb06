#!/usr/bin/env python3
"""Compares settings of the student on several sets, on rows that no reported figure is measured on.

  bench/train/student_settings.py --program build/cpu-only/bench/student_settings --data ../shared/data \\
      --out bench/results/student_settings

Runs student_settings.cpp, which chooses a teacher once for each set, number of pairs and seed, and trains a student
with every setting from it; it says which rows are measured. Writes OUT.json (a line for each student) and OUT.md.
--lines reads what the program printed before, instead of running it. Cells with too few rows are left out.
"""
import collections
import json
import os
import statistics
import subprocess
import tempfile

from compare_sets import parser, run_of

# How a model comes out of a training.
LAST, CHOSEN, AVERAGE, BOTH = "last step", "best by validation", "average", "average or best"


def model(line, how):
    """The scores of the model that is left."""
    if how == LAST:
        return line["last"]
    best, half = line["best"], line["half"]
    if how == CHOSEN:
        return best
    if how == AVERAGE:
        return half
    error = line.get("half_error_best")
    if error is None:  # not measured
        return None
    return half if half["validation"] >= best["validation"] - error else best


def gains(lines, setting, how, over=None, over_setting=None):
    """The gain in mean reciprocal rank for each set and number of pairs: one value for each seed. `over` None: the teacher."""
    cells = collections.defaultdict(list)
    by_unit = {(line["set"], line["pairs"], line["seed"], line["setting"]): line for line in lines}
    for (name, pairs, seed, of), line in by_unit.items():
        found = model(line, how)
        other = line["teacher"] if over is None else None
        if over is not None:
            reference = by_unit.get((name, pairs, seed, over_setting))
            other = model(reference, over) if reference else None
        if of == setting and found is not None and other is not None:
            cells[name, pairs].append(found["mrr"] - other["mrr"])
    return cells


def text(values):
    error = f" ± {statistics.stdev(values) / len(values) ** .5:.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):+.2f}{error}"


def summary(cells):
    """Mean over cells with its standard error between cells, and the lowest cell."""
    means = [statistics.mean(values) for values in cells.values()]
    return f"{text(means)} ({min(means):+.2f})" if means else "-"


def settings_table(lines):
    """Settings without a line for some cell are left out."""
    names = list(dict.fromkeys(line["setting"] for line in lines))
    everything = set(gains(lines, "default", LAST))
    ways = (LAST, CHOSEN, AVERAGE)
    pairs = ((LAST, LAST), (LAST, CHOSEN), (CHOSEN, CHOSEN), (AVERAGE, CHOSEN))  # a setting's way and the default's
    rows = ["| setting | seeds | " + " | ".join(f"{how}, over the teacher" for how in ways) + " | " +
            " | ".join(f"{how}, over the default's {over}" for how, over in pairs) + " |",
            "|---" * 9 + "|"]
    for name in names:
        cells = gains(lines, name, LAST)
        if set(cells) != everything:
            continue
        seeds = sorted(set(map(len, cells.values())))
        rows.append(f"| {name} | {' to '.join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))} | " + " | ".join(
            [summary(gains(lines, name, how)) for how in ways] +
            [summary(gains(lines, name, how, over, "default")) for how, over in pairs]) + " |")
    return "\n".join(rows)


def cells_table(lines):
    lines = [line for line in lines if line["setting"] == "default" and "half_error_best" in line]
    if not lines:
        return ""
    ways = (LAST, CHOSEN, AVERAGE, BOTH)
    found = {how: gains(lines, "default", how) for how in ways}
    more = {how: gains(lines, "default", how, CHOSEN, "default") for how in (AVERAGE, BOTH)}
    rows = ["| data | pairs | teacher | " + " | ".join(ways) + " | average less best | average or best less best |",
            "|---" * 9 + "|"]
    for cell in found[LAST]:
        teacher = [line["teacher"]["mrr"] for line in lines if (line["set"], line["pairs"]) == cell]
        rows.append(f"| {cell[0]} | {cell[1]} | {statistics.mean(teacher):.1f} | " + " | ".join(
            [text(found[how][cell]) for how in ways] + [text(more[how][cell]) for how in more]) + " |")
    rows.append("| mean | | | " + " | ".join([summary(found[how]) for how in ways] +
                                             [summary(more[how]) for how in more]) + " |")
    return "\n".join(rows)


def measured(arguments):
    if arguments.lines:
        output = "".join(open(path).read() for path in arguments.lines)
    else:
        with tempfile.TemporaryDirectory() as cache:
            command = [arguments.program, arguments.data, ";".join(arguments.sets), ";".join(map(str, arguments.pairs)),
                       ";".join(map(str, range(arguments.seeds))), ";".join(arguments.settings), cache]
            environment = dict(os.environ, OMP_NUM_THREADS=str(arguments.threads))
            output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    found = {}
    for line in map(json.loads, output.splitlines()):
        found[line["set"], line["pairs"], line["seed"], line["setting"]] = line
    return list(found.values())


def main():
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--settings", nargs="+", default=["all"])
    options.add_argument("--lines", nargs="+", help="files with lines that the program printed before")
    arguments = options.parse_args()
    lines = measured(arguments)
    run = run_of("student_settings.py", arguments, " --settings " + " ".join(f"'{s}'" for s in arguments.settings))
    with open(arguments.out + ".json", "w") as file:
        file.write(json.dumps(run)[:-1] + ', "students": [\n' + ",\n".join(map(json.dumps, lines)) + "\n]}\n")
    with open(arguments.out + ".md", "w") as file:
        file.write(f"""# Settings of the student

Gain in mean reciprocal rank, in points of percent, over the chosen teacher that the student starts from, measured on rows that
are test rows of none of the reported seeds (400; shopclip and emoji 300). "Last step": the weights after the last step. "Best
by validation": of every tenth step, step 0 included, the one with the best score on the 200 validation rows that chose
the teacher, too. "Average": the mean of first and last weights. Mean over the {len(gains(lines, "default", LAST))} cells (set and number of pairs) with
the standard error between them; in brackets the lowest cell. Gains over the default are paired by seed. Command: `{run['command']}`, at commit {run['commit']}.

{settings_table(lines)}

## The default, set by set

Mean and standard error of the seeds. "Average or best": the average, unless the best by validation is more than one standard error of the
paired difference above it.

{cells_table(lines)}
""")


main()
