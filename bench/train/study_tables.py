#!/usr/bin/env python3
"""Prints the tables of docs/results.md from committed studies.

  bench/train/study_tables.py bench/results/studies/*/study.json
"""
import json
import re
import sys
from pathlib import Path

BASELINES = ["SAIL", "SAIL semi", "STRUCTURE", "NNCLR", "S-CLIP"]
OURS = ["SOTAlign (paper)", "SOTAlign", "self-training", "SOTAlign (default)"]


def cells_of(path, section):
    """{(row, column): cell} of a section."""
    return {(cell["row"], cell["column"]): cell for cell in json.loads(path.read_text())["cells"]
            if cell["section"] == section}


def text(cell):
    return "-" if cell is None else f'{100 * cell["mean"]:.1f} ± {100 * cell["deviation"]:.1f}'


def table(head, rows):
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def highlighted(cells):
    """Texts of the cells, the best one in bold."""
    best = max(cell["mean"] for cell in cells if cell)
    return [f"**{text(cell)}**" if cell and cell["mean"] == best else text(cell) for cell in cells]


def methods(name, path):
    cells = cells_of(path, "methods")
    for column in dict.fromkeys(column for _, column in cells):
        best = max((cells[row, column] for row in BASELINES), key=lambda cell: cell["mean"])
        found = [cells["teacher", column], best, *(cells[row, column] for row in OURS)]
        texts = highlighted(found)
        texts[1] = f'{best["row"]} {texts[1]}'
        yield [name, column, *texts, text(cells[OURS[-1], column].get("dbs"))]


def claims(path):
    """Reads study.md, beside the study, for the verdict on each claim: {claim: verdict}."""
    return dict(re.findall(r"^\* (.*): \*\*(\w+)\*\*$", path.with_name("study.md").read_text(), re.M))


def by_set(paths, section, column):
    """Rows of a section, one column for each set."""
    found = {name: cells_of(path, section) for name, path in paths.items()}
    rows = dict.fromkeys(row for cells in found.values() for row, _ in cells)
    return [[row, *(text(cells.get((row, column))) for cells in found.values())] for row in rows]


def main():
    paths = {Path(argument).parent.name: Path(argument) for argument in sys.argv[1:]}
    table(["data", "pairs", "teacher", "best baseline", *OURS, "with DBS"],
          [row for name, path in paths.items() for row in methods(name, path)])
    verdicts = {name: claims(path) for name, path in paths.items()}
    every = dict.fromkeys(claim for found in verdicts.values() for claim in found)
    table(["claim", *paths], [[claim, *(found.get(claim, "-") for found in verdicts.values())] for claim in every])
    rows = []
    for name, path in paths.items():
        cells = cells_of(path, "teachers")
        for row in dict.fromkeys(row for row, _ in cells):
            rows.append([name, row, *highlighted([cells[row, d] for d in ("none", "cka", "infonce", "klot")])])
    table(["data", "teacher", "alone", "CKA", "InfoNCE", "KLOT"], rows)
    for section in ("unpaired", "shift"):
        table(["unpaired rows", *paths], by_set(paths, section, "MeanR@1"))


if __name__ == "__main__":
    main()
