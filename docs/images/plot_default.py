#!/usr/bin/env python3
"""Draws docs/images/default.svg from bench/results/default_method.json: MeanR@1 by number of pairs, five data sets.

  docs/images/plot_default.py
"""
import json
import statistics

from panels import ROOT, draw

SERIES = [("SOTAlign", "SOTAlign, by default", "#0b6e99", 2.5),
          ("SOTAlign, plain teacher", "SOTAlign from the plain teacher", "#58a6c7", 1.5),
          ("teacher", "linear teacher of the pairs", "#6b6b6b", 1.5), ("SAIL", "SAIL, on the pairs", "#c4622d", 1.5)]


def main():
    sets = {}
    for cell in json.loads((ROOT / "bench/results/default_method.json").read_text())["cells"]:
        values = {curve: cell["methods"][curve]["mean_r1"] for curve, *_ in SERIES}
        sets.setdefault(cell["set"], {})[cell["pairs"]] = {
            curve: (statistics.mean(v), statistics.stdev(v) / len(v) ** .5) for curve, v in values.items()}
    draw("default.svg", "MeanR@1 in percent by number of pairs, mean and standard error of three seeds", SERIES, sets)


if __name__ == "__main__":
    main()
