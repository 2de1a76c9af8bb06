#!/usr/bin/env python3
"""Accuracy and iterations of the solver on real affinities: each way of solving against NumPy in float64.

Trains on some pairs of a data set, then computes the student's and the teacher's cosines on rows not paired in
training. Writes tables as Markdown and JSON:
  accuracy   relative L1 error of the KLOT gradient after 100 + 100 iterations, for each form and storage
  stopping   iterations, time and error of the plan (L1, against the converged float64 plan) with a fixed number
             of iterations, and with a tolerance: plain, over-relaxed or with epsilon scaling
  times      the student's solve with 100 iterations and with a tolerance, in turns, so that a busy machine slows
             all of them down equally; needs no float64 plans, so --rows may be large

  pip install numpy
  bench/ot/sinkhorn_study.py --images data/emoji/images.npy --texts data/emoji/texts.npy --pairs 200
"""
import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import tempfile

import numpy as np

EPSILONS = [0.1, 0.05, 0.02, 0.01, 0.005, 0.001]
WAYS = {
    "log domain": ["--sinkhorn-form", "log_domain"],
    "scaling": ["--sinkhorn-form", "scaling"],
    "scaling, ladder": ["--sinkhorn-form", "scaling", "--sinkhorn-storage", "ladder"],
    "fixed16": ["--affinity-memory", "fixed16"],
}


def run(program, *arguments):
    out = subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout
    return json.loads(out) if out.lstrip().startswith("{") else out


def lse(x, axis):
    top = x.max(axis=axis, keepdims=True)
    return (top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True))).squeeze(axis)


def solve(k, epsilon, iterations, symmetrize=False):
    """The plan, of mass 1, by Sinkhorn in the log domain in float64."""
    n, m = k.shape
    x, v = k / epsilon, np.zeros(m)
    for _ in range(iterations):
        u = -np.log(n) - lse(x + v, 1)
        v = -np.log(m) - lse(x + u[:, None], 0)
    if symmetrize:
        u = (u - np.log(n) - lse(x + v, 1)) / 2
    return np.exp(x + u[:, None] + v)


def converged(k, epsilon, tolerance=1e-9, relaxation=1.6):
    """The converged plan in float64: 20 iterations in the log domain, then over-relaxed scaling."""
    plan = solve(k, epsilon, 20)
    n, m = plan.shape
    for _ in range(5000):
        s, t = np.ones(n), np.ones(m)
        for i in range(20):
            w = 1 if i == 19 else relaxation
            s = s ** (1 - w) * ((1 / n) / (plan @ t)) ** w
            t = t ** (1 - w) * ((1 / m) / (s @ plan)) ** w
        plan *= s[:, None] * t
        if np.abs(plan.sum(1) - 1 / n).sum() <= tolerance:
            return plan
    raise RuntimeError(f"epsilon {epsilon}: not converged")


def affinities(args, folder):
    """The student's and the teacher's cosines [rows, rows] on held-out rows, float32."""
    images, texts = np.load(args.images, mmap_mode="r"), np.load(args.texts, mmap_mode="r")
    texts = texts[:, 0] if texts.ndim == 3 else texts
    order = np.random.default_rng(args.seed).permutation(min(len(images), len(texts)))
    pairs, rest = order[: args.pairs], order[args.pairs :]
    for name, data, rows in [("pi", images, pairs), ("pt", texts, pairs), ("i", images, rest), ("t", texts, rest[::-1]),
                             ("hi", images, rest[: args.rows]), ("ht", texts, rest[: args.rows])]:
        np.save(folder / f"{name}.npy", np.ascontiguousarray(data[np.asarray(rows)]))
    run(args.program, "train", "--pairs-images", folder / "pi.npy", "--pairs-texts", folder / "pt.npy", "--images",
        folder / "i.npy", "--texts", folder / "t.npy", "--out", folder / "run", "--quiet", "true")
    result = {}
    for projection in ("heads", "teacher"):
        sides = []
        for side, name in (("image", "hi"), ("text", "ht")):
            out = folder / f"{projection}_{side}.npy"
            run(args.program, "embed", "--model", folder / "run/model.safetensors", "--side", side, "--projection",
                projection, "--input", folder / f"{name}.npy", "--output", out, "--quiet", "true")
            sides.append(np.load(out))
        result[projection] = (sides[0] @ sides[1].T).astype(np.float32)
        np.save(folder / f"k_{projection}.npy", result[projection])
    return result["heads"], result["teacher"]


def accuracy(args, folder, student, teacher):
    rows = []
    for epsilon in EPSILONS:
        exact = (solve(student.astype(np.float64), epsilon, 100, True) -
                 solve(teacher.astype(np.float64), epsilon, 100, True)) / epsilon
        row = {"epsilon": epsilon}
        for name, options in WAYS.items():
            run(args.program, "klot", "--student", folder / "k_heads.npy", "--teacher", folder / "k_teacher.npy",
                "--epsilon-student", epsilon, "--epsilon-teacher", epsilon, "--iterations", 100, "--gradient",
                folder / "g.npy", *options)
            row[name] = float(np.abs(np.load(folder / "g.npy") - exact).sum() / np.abs(exact).sum())
        rows.append(row)
    return rows


def stopping(args, folder, student, teacher):
    rows = []
    for side, k, path in [("student", student, "k_heads.npy"), ("teacher", teacher, "k_teacher.npy")]:
        for epsilon in (0.05, 0.02, 0.01):
            exact = converged(k.astype(np.float64), epsilon)
            settings = [("100 iterations", ["--iterations", 100])]
            stop = ["--iterations", 5000, "--tolerance", args.tolerance]
            settings.append((f"tolerance {args.tolerance:g}", stop))
            for relaxation in (1.3, 1.5, 1.7):
                settings.append((f"the same, relaxation {relaxation}", [*stop, "--relaxation", relaxation]))
            settings.append(("the same, epsilon scaling from 8 epsilon", [*stop, "--epsilon-scaling", 8]))
            for name, options in settings:
                results = [run(args.program, "sinkhorn", "--affinity", folder / path, "--epsilon", epsilon, "--plan",
                               folder / "p.npy", *options) for _ in range(max(args.repeats, 1))]
                error = float(np.abs(np.load(folder / "p.npy") - exact).sum())
                row = {"side": side, "epsilon": epsilon, "stop": name, "iterations": results[0]["iterations"],
                       "status": results[0]["status"], "plan_error": error}
                if args.repeats > 0:
                    row["milliseconds"] = 1e3 * statistics.median(r["seconds"] for r in results)
                rows.append(row)
    return rows


def times(args, folder, student, teacher):
    stop = ["--iterations", 5000, "--tolerance", args.tolerance]
    settings = {"100 iterations": ["--iterations", 100], f"tolerance {args.tolerance:g}": stop,
                **{f"the same, relaxation {r}": [*stop, "--relaxation", r] for r in (1.5, 1.7)}}
    rows = []
    for epsilon in (0.1, 0.05, 0.02):
        results = {name: [] for name in settings}
        for _ in range(max(args.repeats, 1)):
            for name, options in settings.items():
                results[name].append(run(args.program, "sinkhorn", "--affinity", folder / "k_heads.npy", "--epsilon",
                                         epsilon, "--symmetrize", "true", "--repeat", 3, *options))
        seconds = {name: statistics.median(r["seconds"] for r in found) for name, found in results.items()}
        rows += [{"epsilon": epsilon, "stop": name, "iterations": found[0]["iterations"],
                  "marginal_error": found[0]["marginal_error"], "milliseconds": 1e3 * seconds[name],
                  "of 100 iterations": seconds[name] / seconds["100 iterations"]} for name, found in results.items()]
    return rows


TABLES = {"accuracy": accuracy, "stopping": stopping, "times": times}


def markdown(rows):
    def text(value):
        return f"{value:.2g}" if isinstance(value, float) else str(value)
    lines = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    return "\n".join(lines + ["| " + " | ".join(map(text, row.values())) + " |" for row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/apps/sotalign/sotalign")
    parser.add_argument("--images", required=True)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--rows", type=int, default=800, help="held-out rows: the size of the affinities")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tolerance", type=float, default=1e-6)
    parser.add_argument("--repeats", type=int, default=5, help="timed solves; 0: no times, for a busy machine")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=["accuracy", "stopping"])
    parser.add_argument("--out", help="JSON file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        student, teacher = affinities(args, folder)
        result = {"data": pathlib.Path(args.images).parent.name, "pairs": args.pairs, "rows": args.rows,
                  "seed": args.seed, "machine": platform.processor() or platform.machine(),
                  "commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True,
                                           text=True).stdout.strip(),
                  **{name: TABLES[name](args, folder, student, teacher) for name in args.tables}}
    print(*(markdown(result[name]) for name in args.tables), sep="\n\n")
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
