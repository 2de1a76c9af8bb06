#!/usr/bin/env python3
"""Compares teacher, SAIL and SOTAlign by the program's defaults, with and without a hubness correction, on several sets.

  bench/train/default_method.py --program build/release/apps/sotalign/sotalign --data ../shared/data \\
      --out bench/results/default_method

Runs `sotalign compare --validation 200 --hubness dbs` twice for each set and number of pairs: with the default
teacher, and with --teacher cca, which is SOTAlign from the plain teacher; validation pairs choose the step in both.
Writes OUT.json (all figures) and OUT.md (means over the seeds). Cells with too few rows are left out. --sets takes
any folder below --data that holds images.npy and texts.npy.
"""
import statistics

from compare_sets import TEST, compare, parser, run_of, write_json, write_page


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


def losses(cells):
    """Cells where SOTAlign is below a baseline, paired by seed, by more than one standard error."""
    if any(len(cell["methods"]["SOTAlign"]["mean_r1"]) < 2 for cell in cells):
        return ""
    lines = []
    for cell in cells:
        for figure, name in (("mean_r1", ""), ("dbs", ", both with DBS")):
            for baseline in ("teacher", "SAIL", "SOTAlign, plain teacher"):
                difference = [a - b for a, b in zip(cell["methods"]["SOTAlign"][figure],
                                                    cell["methods"][baseline][figure])]
                if statistics.mean(difference) < -statistics.stdev(difference) / len(difference) ** .5:
                    lines.append(f"{cell['set']}, {cell['pairs']} pairs: {text(difference)} against {baseline}{name}")
    return "\nBelow a baseline by more than one standard error: " + ("; ".join(lines) or "no cell") + ".\n"


def main():
    arguments = parser(__doc__.splitlines()[0]).parse_args()
    run = run_of("default_method.py", arguments)
    cells = []
    for name in arguments.sets:
        for pairs in arguments.pairs:
            plain = compare(arguments, name, pairs, ["--hubness", "dbs", "--teacher", "cca"])
            if plain is None:
                continue
            default = compare(arguments, name, pairs, ["--hubness", "dbs", "--teacher", "auto"])
            methods = {method: figures(default, method)
                       for method in ("teacher", "SAIL", "chosen teacher", "SOTAlign")}
            methods["SOTAlign, plain teacher"] = figures(plain, "SOTAlign")
            cells.append({"set": name, "pairs": pairs, "methods": methods})
            print(f"{name}, {pairs} pairs: " + ", ".join(f"{m} {text(f['mean_r1'])}" for m, f in methods.items()),
                  flush=True)
    write_json(arguments, run, cells)
    small = [name for name in arguments.sets if name in TEST]
    tests = "400 test rows" + (f" ({TEST[small[0]]} of {' and '.join(small)})" if small else "")
    write_page(arguments, run, "SOTAlign by the program's defaults",
               f"MeanR@1 in percent among {tests}, mean and standard error of "
               f"{arguments.seeds} seeds; 200 validation rows choose teacher and step. Gain: SOTAlign over "
               "SOTAlign from the plain teacher, paired by seed.", table(cells) + losses(cells))
    print(table(cells))


main()
