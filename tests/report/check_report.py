#!/usr/bin/env python3
"""Opens the pages of train, sweep and study in headless Chromium, and leaves screenshots.

  tests/report/check_report.py --program build/release/apps/sotalign/sotalign --out build/report

Makes small runs on data/emoji, with captions and with thumbnails, and opens each report.html on a screen and on a phone, light
and dark. Fails, with one line for each failure, if a page

* logs anything, or asks for any file but itself,
* lacks a plot that it should have, or has one without a name or a caption,
* is wider than the phone's screen, or has a label of a plot that is smaller than 9 pixels there,
* has text whose contrast with its background is below 4.5 (labels of plots: below 3).

Also reads metrics.csv with Python's csv module and, if it is installed, with pandas. Needs Debian's package chromium.
"""
import argparse
import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from browser import Browser  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
EMOJI = ROOT / "data" / "emoji"
VIEWS = {  # name: width, height, phone
    "desktop": (1280, 900, False),
    "phone": (390, 844, True),
}
SPACES = ["similarity-teacher", "similarity-model", "projection-before", "projection-after"]
CURVES = ["loss", "siglip", "term-klot", "validation-mrr", "validation-recall", "sinkhorn-error", "sinkhorn-iterations"]

# What is measured in an open page.
MEASURES = """(() => {
  const channels = text => {
    const n = text.match(/[\\d.]+/g).map(Number);
    return n.length > 3 && n[3] === 0 ? null : n.slice(0, 3);
  };
  const luminance = rgb => {
    const [r, g, b] = rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = element => {
    for (let e = element; e; e = e.parentElement) {
      const rgb = channels(getComputedStyle(e).backgroundColor);
      if (rgb) return rgb;
    }
    return [255, 255, 255];
  };
  const contrast = (element, property) => {
    const [a, b] = [channels(getComputedStyle(element)[property]), background(element)].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const least = numbers => numbers.reduce((a, b) => Math.min(a, b), 1e9);
  const all = selector => [...document.querySelectorAll(selector)];
  const own = element => [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return {
    width: document.documentElement.clientWidth,
    scroll: document.documentElement.scrollWidth,
    height: document.documentElement.scrollHeight,
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    page: luminance(background(document.body)),
    text: least(all('body *').filter(e => own(e) && !e.closest('svg') && !e.closest('details:not([open]) > :not(summary)'))
                 .map(e => contrast(e, 'color'))),
    labels: least(all('svg text').map(e => contrast(e, 'fill'))),
    size: least(all('svg').map(e => parseFloat(e.getAttribute('font-size'))
                                    * e.getBoundingClientRect().width / e.viewBox.baseVal.width)),
    broken: all('img').filter(e => e.complete && e.naturalWidth === 0).length,
  };
})()"""


class Figures(HTMLParser):
    """The figures of a page by id: whether each has a named plot, and its caption."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.inside = {}, None, []
        self.references = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        for key in ("src", "href", "srcset", "xlink:href", "action", "poster", "data"):
            value = values.get(key)
            if value and not value.startswith(("#", "data:image/")):
                self.references.append(f"{tag} {key}={value[:60]}")
        if tag in ("script", "link", "iframe", "object", "embed"):
            self.references.append(tag)
        if tag == "figure":
            self.open = {"svg": 0, "title": "", "caption": ""}
            self.found[values.get("id", "")] = self.open
        if self.open is not None and tag == "svg":
            self.open["svg"] += 1
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass
        if tag == "figure":
            self.open = None

    def handle_data(self, data):
        if self.open is None or not self.inside:
            return
        if self.inside[-1] == "title" and self.inside[-2:-1] == ["svg"]:
            self.open["title"] += data
        if self.inside[-1] == "figcaption":
            self.open["caption"] += data


class Check:
    def __init__(self, arguments):
        self.program = Path(arguments.program).resolve()
        self.out = Path(arguments.out).resolve()
        self.failures = []

    def fail(self, where, what):
        self.failures.append(f"{where}: {what}")

    def run(self, *arguments):
        result = subprocess.run([self.program, *map(str, arguments)], cwd=self.out, capture_output=True, text=True)
        if result.returncode != 0:
            raise SystemExit(f"sotalign {' '.join(map(str, arguments))}: {result.stderr.strip()}")

    def make_runs(self):
        """Directories of runs, and the figures that each page should have."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)
        self.run("split", "--images", EMOJI / "images.npy", "--texts", EMOJI / "texts.npy", "--pairs", 150,
                 "--validation", 100, "--test", 100, "--seed", 0, "--out", "data")
        rows = json.loads((self.out / "data/split.json").read_text())["validation"]
        captions = (EMOJI / "captions.txt").read_text(encoding="utf-8").splitlines()
        lines = [captions[row] for row in rows]
        lines[20] = "<script>alert('caption')</script> & <img src=x onerror=alert(1)> \"quoted\""
        (self.out / "data/captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        # Discs whose colour says which row they are; some rows have none.
        (self.out / "data/thumbnails").mkdir()
        for i in range(0, len(rows), 3):
            (self.out / f"data/thumbnails/{i}.svg").write_text(
                '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">'
                f'<circle cx="48" cy="48" r="40" fill="hsl({3.6 * i:.0f},70%,55%)"/></svg>')
        pairs = ["--pairs-images", "data/pairs_images.npy", "--pairs-texts", "data/pairs_texts.npy"]
        unpaired = ["--images", "data/images.npy", "--texts", "data/texts.npy"]
        validation = ["--val-images", "data/val_images.npy", "--val-texts", "data/val_texts.npy"]
        shown = ["--val-captions", "data/captions.txt", "--val-thumbnails", "data/thumbnails"]
        quick = ["--teacher", "cca", "--batch-unpaired", 300]
        self.run("train", *pairs, *unpaired, *validation, *shown, *quick, "--steps", 40, "--log-every", 1, "--out", "train")
        self.run("train", *pairs, *unpaired, *validation, *quick, "--steps", 12, "--log-every", 2, "--stop-after", 6,
                 "--out", "stopped")
        self.run("train", *pairs, "--method", "sail", "--steps", 8, "--log-every", 1, "--out", "pairs")
        self.run("sweep", *pairs, *unpaired, *validation, *quick, "--steps", 5, "--vary", "learning_rate=1e-4,3e-4",
                 "--vary", "divergence_weight=0,10,30", "--test-images", "data/test_images.npy", "--test-texts",
                 "data/test_texts.npy", "--out", "sweep")
        plan = {
            "set": {"steps": 5, "batch_unpaired": 300},
            "methods": [
                {"name": "SAIL", "set": {"method": "sail"}, "grid": {"learning_rate": [3e-4, 1e-3]}},
                {"name": "SOTAlign", "set": {"teacher": "cca"}, "grid": {"learning_rate": [1e-4, 3e-4]}}],
            "sections": {
                "methods": {"pairs": [50, 150], "methods": ["SAIL", "SOTAlign"], "proposed": ["SOTAlign"]},
                "unpaired": {"pairs": 150, "method": "SOTAlign", "without": "SAIL", "rows": [100, "all"]},
                "shift": {"pairs": 150, "method": "SOTAlign", "without": "SAIL", "pools": ["same", "disjoint"]}}}
        (self.out / "plan.json").write_text(json.dumps(plan))
        self.run("study", "--images", EMOJI / "images.npy", "--texts", EMOJI / "texts.npy", "--seeds", "0,1", "--plan",
                 "plan.json", "--out", "study")
        return {"train": CURVES + SPACES, "stopped": CURVES[:3] + CURVES[5:] + SPACES, "pairs": ["loss"] + SPACES,
                "sweep": ["sweep"],
                "study": ["plot-meanr-1-by-pairs", "plot-meanr-1-by-unpaired-rows", "plot-meanr-1-by-distance"]}

    def check_text(self, name, text, expected):
        figures = Figures(text)
        if set(figures.found) != set(expected):
            self.fail(name, f"expected the figures {', '.join(expected)}, found {', '.join(figures.found)}")
        for figure, has in figures.found.items():
            if has["svg"] != 1 or not has["title"] or not has["caption"].strip():
                self.fail(name, f"{figure}: expected one plot with a title and a caption, found {has}")
        for reference in figures.references:
            self.fail(name, f"refers to something outside: {reference}")
        addresses = set(re.findall(r"\w+://[^\s\"'<>]+", text)) - {"http://www.w3.org/2000/svg"}
        if addresses:
            self.fail(name, f"has addresses: {', '.join(sorted(addresses))}")

    def check_view(self, browser, name, view, dark):
        width, height, phone = VIEWS[view]
        where = f"{name}, {view}, {'dark' if dark else 'light'}"
        url = (self.out / name / "report.html").as_uri()
        browser.open(url, width, height, dark, phone)
        found = browser.evaluate(MEASURES)
        for problem in browser.problems:
            self.fail(where, f"logged: {problem}")
        for request in browser.requests:
            if request != url and not request.startswith("data:"):
                self.fail(where, f"asked for {request[:80]}")
        if found["dark"] != dark or (found["page"] < 0.2) != dark:
            self.fail(where, f"expected a {'dark' if dark else 'light'} page, found one of luminance {found['page']:.2f}")
        if found["scroll"] > found["width"] or found["width"] != width:
            self.fail(where, f"expected a page of {width} pixels, found {found['scroll']}")
        for key, least in (("text", 4.5), ("labels", 3)):
            if not found[key] >= least:
                self.fail(where, f"{key}: expected a contrast of {least}, found {found[key]:.2f}")
        if not found["size"] >= 9:
            self.fail(where, f"expected labels of at least 9 pixels, found {found['size']:.1f}")
        if found["broken"]:
            self.fail(where, f"{found['broken']} images cannot be shown")
        browser.screenshot(self.out / f"{name}-{view}-{'dark' if dark else 'light'}.png")

    def check_csv(self):
        path = self.out / "train/metrics.csv"
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        lines = [json.loads(line) for line in (self.out / "train/metrics.jsonl").read_text().splitlines()]
        steps = [line for line in lines if line["type"] == "step"]
        if [int(row["step"]) for row in rows] != [line["step"] for line in steps]:
            self.fail(path.name, "expected a row for each step")
        for row, line in zip(rows, steps):
            if float(row["loss"]) != line["loss"] or int(row["student_iterations"]) != line["student"]["iterations"]:
                self.fail(path.name, f"step {line['step']} differs from metrics.jsonl")
        validated = [int(row["step"]) for row in rows if row["validation_mean_r1"]]
        if validated != [line["step"] for line in lines if line["type"] == "validation"]:
            self.fail(path.name, "expected validation columns where there was a validation")
        try:
            import pandas
        except ImportError:
            return "csv module"
        table = pandas.read_csv(path)
        if table.loss.tolist() != [line["loss"] for line in steps] or table.validation_mean_r1.count() != len(validated):
            self.fail(path.name, "pandas reads other numbers")
        return "csv module and pandas"


def main():
    parser = argparse.ArgumentParser(description="Checks the pages of train, sweep and study in headless Chromium.")
    parser.add_argument("--program", required=True, help="the program sotalign")
    parser.add_argument("--out", default="build/report", help="folder for runs and screenshots; it is emptied")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="default: chromium")
    arguments = parser.parse_args()
    if arguments.browser is None:
        parser.error("no chromium here: install it, or name another one with --browser")
    check = Check(arguments)
    pages = check.make_runs()
    with Browser(arguments.browser) as browser:
        for name, figures in pages.items():
            check.check_text(name, (check.out / name / "report.html").read_text(encoding="utf-8"), figures)
            for view in VIEWS:
                for dark in (False, True):
                    check.check_view(browser, name, view, dark)
    readers = check.check_csv()
    for failure in check.failures:
        print(failure, file=sys.stderr)
    print(f"{len(pages)} pages in {2 * len(VIEWS)} views, metrics.csv with Python's {readers}: "
          f"{len(check.failures)} failures; screenshots in {check.out}")
    return 1 if check.failures else 0


if __name__ == "__main__":
    sys.exit(main())
