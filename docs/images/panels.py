"""A picture of curves over numbers of pairs, a panel for each data set; shared by the scripts of this folder."""
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT, TOP, WIDTH, HEIGHT, GAP = 34, 66, 148, 170, 36


def panel(left, name, series, cells):
    """cells: {pairs: {curve: (mean, spread)}} in percent. Each panel has its own scale from 0."""
    bottom = TOP + HEIGHT
    highest = 1.1 * max(cell[curve][0] for cell in cells.values() for curve, *_ in series)
    step = next(s for s in (2, 5, 10, 20) if highest / s <= 6)
    y = lambda percent: bottom - percent / highest * HEIGHT  # noqa: E731
    x = lambda pairs: left + 16 + (WIDTH - 32) * math.log(pairs / 100) / math.log(10)  # noqa: E731
    out = [f'<text x="{left}" y="{TOP - 10}" class="title">{name}</text>']
    for percent in range(0, int(highest) + 1, step):
        out.append(f'<path d="M{left} {y(percent):.1f}h{WIDTH}" class="grid"/>')
        out.append(f'<text x="{left - 6}" y="{y(percent) + 4:.1f}" class="axis" text-anchor="end">{percent}</text>')
    for pairs in cells:
        out.append(f'<text x="{x(pairs):.1f}" y="{bottom + 16}" class="axis" text-anchor="middle">{pairs}</text>')
    for curve, _, colour, stroke in reversed(series):
        points = []
        for pairs, cell in cells.items():
            mean, spread = cell[curve]
            at = x(pairs)
            points.append(f"{at:.1f} {y(mean):.1f}")
            out.append(f'<path d="M{at:.1f} {y(mean - spread):.1f}V{y(mean + spread):.1f}" stroke="{colour}"/>')
            out.append(f'<circle cx="{at:.1f}" cy="{y(mean):.1f}" r="3" fill="{colour}"/>')
        out.append(f'<path d="M{"L".join(points)}" fill="none" stroke="{colour}" stroke-width="{stroke}"/>')
    return out


def draw(name, heading, series, sets):
    """Writes docs/images/NAME. series: (curve, label, colour, stroke) of each curve; sets: {set: cells of panel()}."""
    width = LEFT + len(sets) * (WIDTH + GAP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 42}" width="{width}">',
           "<style>text{font:12px Helvetica,Arial,sans-serif}.title{font-weight:bold;fill:#222}"
           ".axis{fill:#555}.grid{stroke:#ddd}</style>",
           '<rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="{LEFT}" y="18" fill="#222">{heading}</text>']
    at = LEFT
    for _, label, colour, _ in series:
        out.append(f'<circle cx="{at + 4}" cy="34" r="4" fill="{colour}"/>')
        out.append(f'<text x="{at + 12}" y="38" fill="{colour}">{label}</text>')
        at += 40 + 6.3 * len(label)
    for number, (title, cells) in enumerate(sets.items()):
        out += panel(LEFT + number * (WIDTH + GAP), title, series, cells)
    out.append(f'<text x="{width / 2}" y="{TOP + HEIGHT + 36}" class="axis" text-anchor="middle">pairs</text>')
    (Path(__file__).parent / name).write_text("\n".join(out) + "\n</svg>\n")
