#!/usr/bin/env python3
"""Times sotalign.sinkhorn() and sotalign.klot() against the program on the same matrices.

Both take turns (program, Python, program, ...), so that a busy moment affects both; a turn is the median of a few
computations. The program makes its solver once and repeats the computation; a call from Python also checks and converts its
arguments, makes the solver, and allocates its result. Needs an installed package, and the program of the same commit.

  python bench/python/overhead.py --program build/release/apps/sotalign/sotalign --out bench/results/python_overhead.json
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import sotalign

ITERATIONS = 100


def affinity(n, seed):
    """Cosines of unit rows that have a part in common."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 64))
    x, y = (common + rng.normal(size=(n, 64)) for _ in range(2))
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    return (x @ y.T).astype(np.float32)


def median_seconds(function, repeat):
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/apps/sotalign/sotalign")
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048, 4096])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pairs", type=int, default=11, help="turns of each side")
    parser.add_argument("--repeat", type=int, default=3, help="computations in a turn")
    parser.add_argument("--out", help="write the figures as JSON")
    arguments = parser.parse_args()

    cases = []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for n in arguments.sizes:
            student, teacher = affinity(n, 0), affinity(n, 1)
            np.save(folder / "student.npy", student)
            np.save(folder / "teacher.npy", teacher)
            sides = {
                "sinkhorn": (["sinkhorn", "--affinity", "student.npy"], lambda: sotalign.sinkhorn(student, 0.05)),
                "klot": (["klot", "--student", "student.npy", "--teacher", "teacher.npy", "--gradient", "g.npy"],
                         lambda: sotalign.klot(student, teacher)),
            }
            for threads in arguments.threads:
                sotalign.set_threads(threads)
                for name, (words, call) in sides.items():
                    command = [arguments.program, *words, "--threads", str(threads), "--repeat", str(arguments.repeat),
                               "--iterations", str(ITERATIONS), "--device", "cpu"]
                    call()  # scratch memory stays for the calls that follow
                    turns = []
                    for _ in range(arguments.pairs):
                        done = subprocess.run([pathlib.Path(arguments.program).resolve(), *command[1:]], cwd=folder,
                                              check=True, capture_output=True)
                        turns.append((json.loads(done.stdout)["seconds"], median_seconds(call, arguments.repeat)))
                    ratios = sorted(python / program for program, python in turns)
                    quartiles = statistics.quantiles(ratios, n=4)
                    best = min(python for _, python in turns) / min(program for program, _ in turns)
                    case = {"case": name, "n": n, "threads": threads,
                            "program_ms": 1e3 * statistics.median(program for program, _ in turns),
                            "python_ms": 1e3 * statistics.median(python for _, python in turns),
                            "ratio": quartiles[1], "ratio_quartiles": [quartiles[0], quartiles[2]],
                            "ratio_of_fastest": best, "turns": turns}
                    cases.append(case)
                    print(f"{name} n={n} threads={threads}: program {case['program_ms']:.1f} ms, Python "
                          f"{case['python_ms']:.1f} ms, ratio {quartiles[1]:.3f} [{quartiles[0]:.3f}, {quartiles[2]:.3f}], "
                          f"of the fastest {best:.3f}", flush=True)
    if arguments.out:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        result = {"commit": commit, "command": "bench/python/overhead.py " + " ".join(sys.argv[1:]), "pairs": arguments.pairs, "repeat": arguments.repeat,
                  "iterations": ITERATIONS, "cases": cases}
        pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
