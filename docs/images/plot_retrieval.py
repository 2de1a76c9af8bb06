#!/usr/bin/env python3
"""Draws docs/images/retrieval.svg from the committed studies: MeanR@1 by number of pairs, two data sets.

  docs/images/plot_retrieval.py
"""
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PANELS = [("flickr8k", "study_flickr8k", "flickr8k: 400 test rows, 3,200 to 4,100 unpaired"),
          ("emoji", "study_emoji", "emoji: 400 test rows, 211 to 1,111 unpaired")]
SERIES = [("SOTAlign", "SOTAlign", "#0b6e99", 2.5), ("teacher", "linear teacher", "#6b6b6b", 1.5),
          ("SAIL", "SAIL", "#c4622d", 1.5)]
PAIRS = [100, 300, 1000]
LEFT, TOP, WIDTH, HEIGHT, GAP, LABELS = 52, 62, 260, 220, 30, 125
HIGHEST = 26


def curves(study):
    """{method: [(mean, standard deviation) of each number of pairs]} in percent."""
    cells = json.loads((ROOT / "bench/results" / study / "study.json").read_text())["cells"]
    found = {(c["row"], c["column"]): (100 * c["mean"], 100 * c["deviation"]) for c in cells if c["section"] == "methods"}
    return {name: [found[name, str(pairs)] for pairs in PAIRS] for name, *_ in SERIES}


def panel(left, title, values):
    bottom = TOP + HEIGHT
    x = [left + 25 + i * (WIDTH - 50) / (len(PAIRS) - 1) for i in range(len(PAIRS))]
    y = lambda percent: bottom - percent / HIGHEST * HEIGHT  # noqa: E731
    out = [f'<text x="{left}" y="{TOP - 14}" class="title">{title}</text>']
    for percent in range(0, HIGHEST, 5):
        out.append(f'<path d="M{left} {y(percent):.1f}h{WIDTH}" class="grid"/>')
        out.append(f'<text x="{left - 8}" y="{y(percent) + 4:.1f}" class="axis" text-anchor="end">{percent}</text>')
    for pairs, at in zip(PAIRS, x):
        out.append(f'<text x="{at:.1f}" y="{bottom + 18}" class="axis" text-anchor="middle">{pairs}</text>')
    out.append(f'<text x="{left + WIDTH / 2}" y="{bottom + 38}" class="axis" text-anchor="middle">pairs</text>')
    for number, (name, label, colour, width) in reversed(list(enumerate(SERIES))):
        points = [(at + (number - 1) * 5, mean, deviation) for at, (mean, deviation) in zip(x, values[name])]
        line = "L".join(f"{at:.1f} {y(mean):.1f}" for at, mean, _ in points)
        out.append(f'<path d="M{line}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
        for at, mean, deviation in points:
            out.append(f'<path d="M{at:.1f} {y(mean - deviation):.1f}V{y(mean + deviation):.1f}" stroke="{colour}"/>')
            out.append(f'<circle cx="{at:.1f}" cy="{y(mean):.1f}" r="3.5" fill="{colour}"/>')
        out.append(f'<text x="{x[-1] + 16:.1f}" y="{y(points[-1][1]) + 4:.1f}" fill="{colour}">{label} '
                   f'{points[-1][1]:.1f}</text>')
    return out


def main():
    width = LEFT + 2 * (WIDTH + LABELS) + GAP
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 52}" width="{width}">',
           "<style>text{font:12px Helvetica,Arial,sans-serif}.title{font-weight:bold;fill:#222}.head{fill:#222}"
           ".axis{fill:#555}.grid{stroke:#ddd}</style>",
           '<rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="{LEFT}" y="22" class="head">MeanR@1 in percent, mean and standard deviation of three seeds, every '
           "method tuned on validation rows</text>"]
    for number, (_, study, title) in enumerate(PANELS):
        out += panel(LEFT + number * (WIDTH + LABELS + GAP), title, curves(study))
    (Path(__file__).parent / "retrieval.svg").write_text("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main()
