#!/usr/bin/env python3
"""Plots the measurements of bench/ot/compare_solvers.py: time of a Sinkhorn iteration against n, and one read of the
matrix, the lower bound for any solver that reads it.

  .venv/bin/pip install matplotlib
  .venv/bin/python bench/ot/plot_sinkhorn.py bench/results/solvers_cpu.json bench/results/solvers_cpu.svg
"""
import argparse
import json

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

LABELS = {
    "pytorch": "PyTorch, logsumexp", "pot_sinkhorn": "POT, sinkhorn", "pot_stabilized": "POT, sinkhorn_stabilized",
    "pot_log": "POT, sinkhorn_log", "geomloss": "GeomLoss", "ott_log": "OTT-JAX, log domain",
    "ott_scaling": "OTT-JAX, scaling",
}


def curves(report):
    """{label: [(n, milliseconds)]}, ours first. Skips differences lost in noise."""
    found = {}
    for case in report["sinkhorn"]:
        times = {report["ours"]: case["ours"], **{peer["solver"]: peer["seconds"] for peer in case["solvers"]}}
        for name, seconds in times.items():
            if seconds["median"] > 0:
                found.setdefault(LABELS.get(name, name), []).append((case["n"], 1e3 * seconds["median"]))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", help="from bench/ot/compare_solvers.py")
    parser.add_argument("svg")
    arguments = parser.parse_args()
    with open(arguments.json) as file:
        report = json.load(file)

    # Text elements keep the file small; no date and a fixed hash salt make the output reproducible.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "sotalign", "font.size": 10,
                         "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(7.2, 4.6), layout="constrained")
    markers = iter("osD^v<>pXP*h")
    # The legend lists curves in their order at the largest n.
    for label, points in sorted(curves(report).items(), key=lambda item: -item[1][-1][1]):
        ours = label.startswith("sotalign")
        axes.plot(*zip(*points), label=label, marker=next(markers), markersize=5, zorder=3 if ours else 2,
                  linewidth=2.4 if ours else 1.2, color="black" if label == report["ours"] else None)
    axes.plot([case["n"] for case in report["sinkhorn"]],
              [1e3 * case["read"]["median"] for case in report["sinkhorn"]],
              label="one read of the matrix", color="grey", linestyle="--", linewidth=1.2)
    sizes = [case["n"] for case in report["sinkhorn"]]
    axes.set(xscale="log", yscale="log", xlabel="n (matrix n × n, float32)", ylabel="ms per iteration",
             title=f"Sinkhorn on {report['device']}, {report['threads']} threads")
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    axes.grid(True, which="major", linewidth=0.4, alpha=0.6)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    figure.savefig(arguments.svg, metadata={"Date": None})


if __name__ == "__main__":
    main()
