#!/usr/bin/env python3
"""Makes the results of first_hour.sh into one file and one page, which put each measurement next to its prediction.

    ./run gpu                                  runs first_hour.sh on this machine, then this script
    bench/gpu/gpu_report.py OUT [--results bench/results]
                                               for the folder OUT that came back from another machine

Writes gpu_DEVICE.json and gpu_DEVICE.md. Needs only the Python standard library. Predictions are those of
bench/results/gpu_prediction.json.
"""
import argparse
import json
import pathlib
import re
import sys

RESULTS = pathlib.Path(__file__).resolve().parents[1] / "results"
OUTCOME = re.compile(r"(passed|failed|skipped) +(\w+) +(.*)")
CASE = re.compile(r"(\w+)/cuda/(.*)/iterations:\d+(?:/manual_time)?")


def read_summary(folder):
    """What summary.txt says: facts by name, the device's line of nvidia-smi, and the outcome of each step."""
    facts, device, steps = {}, "", {}
    for line in (folder / "summary.txt").read_text().splitlines():
        if outcome := OUTCOME.fullmatch(line):
            steps[outcome[2]] = {"outcome": outcome[1], "text": outcome[3]}
        elif fact := re.fullmatch(r"(commit|CUDA|started): (.*)", line):
            facts[fact[1]] = fact[2]
        elif re.fullmatch(r"[^,]+(, [^,]+){6}", line):  # --query-gpu of first_hour.sh
            device = line
    return facts, device, steps


def read_benchmarks(folder):
    """The cases on the device by name, without its name: "sinkhorn/scaling/n:4096/batch:1"."""
    cases = {}
    for name in ("bench.json", "bench_large.json"):
        path = folder / name
        if not path.exists() or not path.read_text().strip():
            continue
        for entry in json.loads(path.read_text())["benchmarks"]:
            case = CASE.fullmatch(entry["name"])
            if case and not entry.get("error_occurred"):
                keys = ("median_ms", "p10_ms", "p90_ms", "GB_per_s", "percent")
                cases[f"{case[1]}/{case[2]}"] = {key: entry[key] for key in keys if key in entry}
    return cases


def verdict(measured, low, high):
    if low <= measured <= high:
        return "as predicted"
    return f"{measured / high:.2f} times slower" if measured > high else f"{low / measured:.2f} times faster"


def table(head, rows):
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *rows])


def page(report):
    rows = []
    for name, case in report["cases"].items():
        predicted = report["predicted"].get(name)
        span = f"{predicted[0]:.3f}-{predicted[1]:.3f}" if predicted else ""
        rows.append([name, span, f"{case['median_ms']:.3f}", f"{case['p10_ms']:.3f}-{case['p90_ms']:.3f}",
                     f"{case['percent']:.0f}" if "percent" in case else "",
                     verdict(case["median_ms"], *predicted) if predicted else ""])
    parts = [f"# Measured on {report['device'].split(',')[0] or 'a GPU without nvidia-smi'}",
             f"Commit {report['commit']}, CUDA {report['CUDA']}, started {report['started']}.",
             f"Device (name, driver, compute capability, memory, SM clock, memory clock, power limit): {report['device']}",
             "Made by bench/gpu/gpu_report.py from the results of bench/gpu/first_hour.sh.",
             "## Steps", table(["step", "outcome", ""], [[name, step["outcome"], step["text"].replace("|", "\\|")]
                                                         for name, step in report["steps"].items()])]
    if rows:
        parts += ["## Prediction and measurement",
                  f"Milliseconds of an iteration (`sinkhorn`) or of a step (`klot`): the [prediction](gpu_prediction.md) for an "
                  f"{report['prediction']['device']} from commit {report['prediction']['commit']}, the median, and the range "
                  f"from the 10th to the 90th percentile; then the percentage of the bandwidth of a copy of the same size, "
                  f"measured in the same run.",
                  table(["case", "predicted", "median", "10-90 %", "% of copy", ""], rows)]
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, metavar="OUT", help="what first_hour.sh wrote")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="folder of the two files")
    arguments = parser.parse_args()
    if not (arguments.folder / "summary.txt").exists():
        print(f"gpu_report.py: {arguments.folder}/summary.txt not found", file=sys.stderr)
        return 2
    facts, device, steps = read_summary(arguments.folder)
    prediction = json.loads((RESULTS / "gpu_prediction.json").read_text())
    cases = read_benchmarks(arguments.folder)
    tests = arguments.folder / "tests.json"
    report = {"device": device, **{key: facts.get(key, "unknown") for key in ("commit", "CUDA", "started")}, "steps": steps,
              "tests": json.loads(tests.read_text())["tests"] if tests.exists() and tests.stat().st_size else None,
              "cases": cases, "predicted": {name: times for name, times in prediction["cases"].items() if name in cases},
              "prediction": {key: prediction[key] for key in ("device", "commit", "bandwidth_GB_per_s")}}
    name = "gpu_" + re.sub(r"\W+", "_", device.split(",")[0] or "unknown").lower().strip("_")
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.results / f"{name}.md").write_text(page(report))
    print(arguments.results / f"{name}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
