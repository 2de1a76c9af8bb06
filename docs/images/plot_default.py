#!/usr/bin/env python3
"""Draws docs/images/default.svg from bench/results/default_method.json: MeanR@1 by number of pairs, five data sets.

  docs/images/plot_default.py
"""
import json
import math
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERIES = [("SOTAlign", "SOTAlign, by default", "#0b6e99", 2.5),
          ("SOTAlign, plain teacher", "SOTAlign from the plain teacher", "#58a6c7", 1.5),
          ("teacher", "linear teacher of the pairs", "#6b6b6b", 1.5), ("SAIL", "SAIL, on the pairs", "#c4622d", 1.5)]
LEFT, TOP, WIDTH, HEIGHT, GAP = 34, 66, 148, 170, 36


def panel(left, name, cells):
    """One data set; each panel has its own scale from 0."""
    bottom = TOP + HEIGHT
    highest = 1.1 * max(statistics.mean(cell["methods"][s]["mean_r1"]) for cell in cells for s, *_ in SERIES)
    step = next(s for s in (2, 5, 10, 20) if highest / s <= 6)
    y = lambda percent: bottom - percent / highest * HEIGHT  # noqa: E731
    x = lambda pairs: left + 16 + (WIDTH - 32) * math.log(pairs / 100) / math.log(10)  # noqa: E731
    out = [f'<text x="{left}" y="{TOP - 10}" class="title">{name}</text>']
    for percent in range(0, int(highest) + 1, step):
        out.append(f'<path d="M{left} {y(percent):.1f}h{WIDTH}" class="grid"/>')
        out.append(f'<text x="{left - 6}" y="{y(percent) + 4:.1f}" class="axis" text-anchor="end">{percent}</text>')
    for cell in cells:
        out.append(f'<text x="{x(cell["pairs"]):.1f}" y="{bottom + 16}" class="axis" text-anchor="middle">'
                   f'{cell["pairs"]}</text>')
    for method, _, colour, width in reversed(SERIES):
        points = []
        for cell in cells:
            values = cell["methods"][method]["mean_r1"]
            mean, error = statistics.mean(values), statistics.stdev(values) / len(values) ** .5
            at = x(cell["pairs"])
            points.append(f"{at:.1f} {y(mean):.1f}")
            out.append(f'<path d="M{at:.1f} {y(mean - error):.1f}V{y(mean + error):.1f}" stroke="{colour}"/>')
            out.append(f'<circle cx="{at:.1f}" cy="{y(mean):.1f}" r="3" fill="{colour}"/>')
        out.append(f'<path d="M{"L".join(points)}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    return out


def main():
    cells = json.loads((ROOT / "bench/results/default_method.json").read_text())["cells"]
    sets = list(dict.fromkeys(cell["set"] for cell in cells))
    width = LEFT + len(sets) * (WIDTH + GAP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 42}" width="{width}">',
           "<style>text{font:12px Helvetica,Arial,sans-serif}.title{font-weight:bold;fill:#222}"
           ".axis{fill:#555}.grid{stroke:#ddd}</style>",
           '<rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="{LEFT}" y="18" fill="#222">MeanR@1 in percent by number of pairs, mean and standard error of three seeds'
           "</text>"]
    at = LEFT
    for _, label, colour, _ in SERIES:
        out.append(f'<circle cx="{at + 4}" cy="34" r="4" fill="{colour}"/>')
        out.append(f'<text x="{at + 12}" y="38" fill="{colour}">{label}</text>')
        at += 40 + 6.3 * len(label)
    for number, name in enumerate(sets):
        out += panel(LEFT + number * (WIDTH + GAP), name, [cell for cell in cells if cell["set"] == name])
    out.append(f'<text x="{width / 2}" y="{TOP + HEIGHT + 36}" class="axis" text-anchor="middle">pairs</text>')
    (Path(__file__).parent / "default.svg").write_text("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main()
