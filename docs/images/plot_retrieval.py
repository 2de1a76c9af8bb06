#!/usr/bin/env python3
"""Draws docs/images/retrieval.svg from the committed studies: MeanR@1 by number of pairs, five data sets.

  docs/images/plot_retrieval.py
"""
import json

from panels import ROOT, draw

SETS = ["flickr8k", "flickr8k_eff", "words", "shopclip", "emoji"]
SERIES = [("SOTAlign (default)", "SOTAlign, by default", "#0b6e99", 2.5),
          ("self-training", "self-training, tuned", "#58a6c7", 1.5),
          ("SOTAlign", "SOTAlign, tuned", "#2d8a57", 1.5),
          ("teacher", "linear teacher, tuned", "#6b6b6b", 1.5), ("SAIL", "SAIL, tuned", "#c4622d", 1.5)]


def cells_of(name):
    """{pairs: {method: (mean, standard deviation)}} in percent."""
    study = json.loads((ROOT / "bench/results/studies" / name / "study.json").read_text())
    cells = {}
    for c in study["cells"]:
        if c["section"] == "methods" and c["column"] == str(c["pairs"]):
            cells.setdefault(c["pairs"], {})[c["row"]] = (100 * c["mean"], 100 * c["deviation"])
    return cells


def main():
    draw("retrieval.svg", "MeanR@1 in percent by number of pairs, mean and standard deviation of three seeds", SERIES,
         {name: cells_of(name) for name in SETS})


if __name__ == "__main__":
    main()
