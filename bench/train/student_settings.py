#!/usr/bin/env python3
"""Compares settings of the student on several sets, measured on validation rows.

  bench/train/student_settings.py --program build/release/apps/sotalign/sotalign --data ../shared/data \\
      --out bench/results/student_settings

Runs `sotalign compare --validation 200 --measure-on validation` for each set, number of pairs and setting, with the
default teacher. Test rows stay unseen, so that a setting chosen here can be measured on them. Writes OUT.json (all
figures) and OUT.md (the gain of each setting over the first, paired by seed). Cells with too few rows are left out.
"""
import shlex
import statistics

from compare_sets import compare, parser, run_of, write_json, write_page

SETTINGS = {
    "weight 30": ["--divergence-weight", "30"],
    "weight 100": ["--divergence-weight", "100"],
    "weight 300": ["--divergence-weight", "300"],
    "weight 30, rate 1e-4": ["--divergence-weight", "30", "--learning-rate", "1e-4"],
    "weight 100, rate 1e-4": ["--divergence-weight", "100", "--learning-rate", "1e-4"],
    "weight 100, 120 steps": ["--divergence-weight", "100", "--steps", "120"],
    "weight 100, batch 2400": ["--divergence-weight", "100", "--batch-unpaired", "2400"],
    "weight 100, epsilon student 0.05": ["--divergence-weight", "100", "--epsilon-student", "0.05"],
    "weight 100, epsilon teacher 0.05": ["--divergence-weight", "100", "--epsilon-teacher", "0.05"],
}


def scores(arguments, name, pairs, setting):
    """Mean reciprocal ranks of the seeds, in percent, of both methods; None if the set has too few rows."""
    report = compare(arguments, name, pairs, ["--measure-on", "validation", *SETTINGS[setting]])
    if report is None:
        return None
    return {method: [100 * run["mean_reciprocal_rank"] for run in report["methods"][method]["seeds"]]
            for method in ("chosen teacher", "SOTAlign")}


def text(values):
    error = statistics.stdev(values) / len(values) ** .5 if len(values) > 1 else 0
    return f"{statistics.mean(values):+.2f} ± {error:.2f}"


def table(cells, settings):
    """One row for each cell: the gain of each setting over the first one."""
    lines = ["| data | pairs | chosen teacher | " + " | ".join(settings) + " |", "|---" * (3 + len(settings)) + "|"]
    gains = {setting: [] for setting in settings}
    for cell in cells:
        first = cell["settings"][settings[0]]["SOTAlign"]
        teacher = cell["settings"][settings[0]]["chosen teacher"]
        row = [f"{statistics.mean(teacher):.1f}", f"{statistics.mean(first):.1f}"]
        for setting in settings[1:]:
            gain = [a - b for a, b in zip(cell["settings"][setting]["SOTAlign"], first)]
            gains[setting].append(statistics.mean(gain))
            row.append(text(gain))
        lines.append(f"| {cell['set']} | {cell['pairs']} | " + " | ".join(row) + " |")
    means = [text(gains[setting]) for setting in settings[1:]]
    lines.append("| mean | | | | " + " | ".join(means) + " |")
    return "\n".join(lines) + "\n"


def main():
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    arguments = options.parse_args()
    run = run_of("student_settings.py", arguments, f" --settings {shlex.join(arguments.settings)}")
    cells = []
    for pairs in arguments.pairs:
        for name in arguments.sets:
            results = {setting: scores(arguments, name, pairs, setting) for setting in arguments.settings}
            if None in results.values():
                continue
            cells.append({"set": name, "pairs": pairs, "settings": results})
            write_json(arguments, run, cells)  # after each cell, for all take hours
            print(table(cells, arguments.settings), flush=True)
    write_page(arguments, run, "Settings of the student",
               f"Mean reciprocal rank in percent among 200 validation rows, mean of {arguments.seeds} seeds: the "
               "chosen teacher, SOTAlign by the first setting, and what the others gain over it, with standard "
               "errors paired by seed; in the last line with those between cells.", table(cells, arguments.settings))


main()
