#!/usr/bin/env python3
"""Draws docs/images/retrieval.svg from the committed studies: MeanR@1 by number of pairs, a panel for each data set.

  docs/images/plot_retrieval.py
"""
import json
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SETS = ["flickr8k", "flickr8k_eff", "words", "shopclip", "emoji"]
SERIES = [("SOTAlign (default)", "SOTAlign, by default", "#0b6e99", 2.5),
          ("self-training", "self-training, tuned", "#58a6c7", 1.5),
          ("SOTAlign", "SOTAlign, tuned", "#2d8a57", 1.5),
          ("teacher", "linear teacher, tuned", "#6b6b6b", 1.5), ("SAIL", "SAIL, tuned", "#c4622d", 1.5)]
LEFT, TOP, WIDTH, HEIGHT, GAP = 34, 66, 148, 170, 36


def cells_of(name):
    """{(row, pairs): (mean, standard deviation)} in percent."""
    study = json.loads((ROOT / "bench/results/studies" / name / "study.json").read_text())
    return {(c["row"], c["pairs"]): (100 * c["mean"], 100 * c["deviation"]) for c in study["cells"]
            if c["section"] == "methods" and c["unpaired"] == "all"}


def panel(left, name, cells):
    """One data set; each panel has its own scale from 0."""
    bottom = TOP + HEIGHT
    pairs = sorted({pairs for row, pairs in cells if row == SERIES[0][0]})
    highest = 1.1 * max(cells[row, p][0] for row, *_ in SERIES for p in pairs)
    step = next(s for s in (2, 5, 10, 20) if highest / s <= 6)
    y = lambda percent: bottom - percent / highest * HEIGHT  # noqa: E731
    x = lambda p: left + 16 + (WIDTH - 32) * math.log(p / 100) / math.log(10)  # noqa: E731
    out = [f'<text x="{left}" y="{TOP - 10}" class="title">{name}</text>']
    for percent in range(0, int(highest) + 1, step):
        out.append(f'<path d="M{left} {y(percent):.1f}h{WIDTH}" class="grid"/>')
        out.append(f'<text x="{left - 6}" y="{y(percent) + 4:.1f}" class="axis" text-anchor="end">{percent}</text>')
    for p in pairs:
        out.append(f'<text x="{x(p):.1f}" y="{bottom + 16}" class="axis" text-anchor="middle">{p}</text>')
    for row, _, colour, width in reversed(SERIES):
        points = [(x(p), *cells[row, p]) for p in pairs]
        line = "L".join(f"{at:.1f} {y(mean):.1f}" for at, mean, _ in points)
        out.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        for at, mean, deviation in points:
            out.append(f'<path d="M{at:.1f} {y(mean - deviation):.1f}V{y(mean + deviation):.1f}" stroke="{colour}"/>')
            out.append(f'<circle cx="{at:.1f}" cy="{y(mean):.1f}" r="3" fill="{colour}"/>')
    return out


def main():
    found = [name for name in SETS if (ROOT / "bench/results/studies" / name).is_dir()]
    width = max(LEFT + len(found) * (WIDTH + GAP), 900)  # 900: the legend
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 46}" width="{width}">',
           "<style>text{font:12px Helvetica,Arial,sans-serif}.title{font-weight:bold;fill:#222}.axis{fill:#555}"
           ".grid{stroke:#ddd}</style>", '<rect width="100%" height="100%" fill="#fff"/>']
    at = LEFT
    for _, label, colour, stroke in SERIES:
        out.append(f'<path d="M{at} 18h22" stroke="{colour}" stroke-width="{stroke}"/>')
        out.append(f'<text x="{at + 28}" y="22" fill="#222">{label}</text>')
        at += 44 + 6.4 * len(label)
    for number, name in enumerate(found):
        out += panel(LEFT + number * (WIDTH + GAP), name, cells_of(name))
    out.append(f'<text x="{LEFT}" y="{TOP + HEIGHT + 38}" class="axis">Pairs; MeanR@1 in percent, mean and standard '
               "deviation of three seeds. Each panel has its own scale.</text>")
    (Path(__file__).parent / "retrieval.svg").write_text("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main()
