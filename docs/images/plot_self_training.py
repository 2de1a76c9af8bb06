#!/usr/bin/env python3
"""Draws docs/images/self_training.svg from bench/results/self_training.txt: MeanR@1 by pass.

  docs/images/plot_self_training.py
"""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLOURS = {"wordnet": "#0b6e99", "flickr8k_eff": "#2f7d32", "flickr8k": "#c4622d", "shopclip": "#7b3f99", "emoji": "#6b6b6b"}
DASHES = {"100": "", "300": "6 3", "1000": "2 3"}
LEFT, TOP, WIDTH, HEIGHT, LABELS = 46, 42, 420, 300, 150
HIGHEST, PASSES = 35, 12


def curves():
    """[(data set, pairs, MeanR@1 of each pass)]"""
    found = []
    for line in (ROOT / "bench/results/self_training.txt").read_text().splitlines():
        if title := re.match(r"(\w+), (\d+) pairs$", line):
            found.append((title[1], title[2], []))
        elif (row := re.match(r"\s*(\d+)\s+([\d.]+)\s", line)) and found:
            found[-1][2].append(float(row[2]))
    return found


def main():
    bottom = TOP + HEIGHT
    x = lambda number: LEFT + number / PASSES * WIDTH  # noqa: E731
    y = lambda percent: bottom - percent / HIGHEST * HEIGHT  # noqa: E731
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + LABELS} {bottom + 48}" '
           f'width="{LEFT + WIDTH + LABELS}">',
           "<style>text{font:12px Helvetica,Arial,sans-serif}.head{fill:#222}.axis{fill:#555}.grid{stroke:#ddd}</style>",
           '<rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="{LEFT}" y="22" class="head">MeanR@1 in percent by pass, mean of three seeds</text>']
    for percent in range(0, HIGHEST + 1, 5):
        out.append(f'<path d="M{LEFT} {y(percent):.1f}h{WIDTH}" class="grid"/>')
        out.append(f'<text x="{LEFT - 8}" y="{y(percent) + 4:.1f}" class="axis" text-anchor="end">{percent}</text>')
    for number in range(0, PASSES + 1, 2):
        out.append(f'<text x="{x(number):.1f}" y="{bottom + 18}" class="axis" text-anchor="middle">{number}</text>')
    out.append(f'<text x="{LEFT + WIDTH / 2}" y="{bottom + 38}" class="axis" text-anchor="middle">passes; 0 is the teacher '
               "that they begin with</text>")
    lowest = bottom + 100.0  # labels from the bottom up, none over another
    for name, pairs, values in sorted(curves(), key=lambda curve: curve[2][-1]):
        line = "L".join(f"{x(number):.1f} {y(value):.1f}" for number, value in enumerate(values))
        out.append(f'<path d="M{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="2" '
                   f'stroke-dasharray="{DASHES[pairs]}"/>')
        at = min(y(values[-1]) + 4, lowest - 13)
        lowest = at
        out.append(f'<text x="{LEFT + WIDTH + 8}" y="{at:.1f}" fill="{COLOURS[name]}">{name}, {pairs} pairs</text>')
    (Path(__file__).parent / "self_training.svg").write_text("\n".join(out) + "\n</svg>\n")


if __name__ == "__main__":
    main()
