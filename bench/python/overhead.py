#!/usr/bin/env python3
"""Times sotalign.sinkhorn() and sotalign.klot() against the program on the same matrices.

Both take turns (program, Python, program, ...), so that a busy moment affects both; a turn is the median of a few
computations. The program makes its solver once and repeats the computation; a call from Python also checks and converts its
arguments, makes the solver, and allocates its result. CPU time tells more than seconds on a busy machine. Needs an installed package, and the program of the same commit.

  python bench/python/overhead.py --program build/release/apps/sotalign/sotalign --out bench/results/python_overhead.json
"""
import argparse
import json
import pathlib
import resource
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


def cpu_seconds():
    """User and system time of this process and of those that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def timed(function, repeat):
    """Median of the seconds of a call, and the CPU seconds of all."""
    seconds, cpu = [], cpu_seconds()
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), cpu_seconds() - cpu


def program_times(command, folder, repeat):
    """Median of the seconds of a computation, and its CPU seconds: the difference of two runs."""
    def run(repeat):
        done = subprocess.run([*command, "--repeat", str(repeat)], cwd=folder, check=True, capture_output=True)
        return json.loads(done.stdout)["seconds"]

    _, once = timed(lambda: run(1), 1)
    cpu = cpu_seconds()
    seconds = run(1 + repeat)
    return seconds, (cpu_seconds() - cpu - once) / repeat


def spread(pairs):
    """Medians in ms of both sides, quartiles of the ratio Python / program, and the ratio of the fastest."""
    programs, pythons = zip(*pairs)
    first, ratio, third = statistics.quantiles((python / program for program, python in pairs), n=4)
    return {"program_ms": 1e3 * statistics.median(programs), "python_ms": 1e3 * statistics.median(pythons), "ratio": ratio,
            "ratio_quartiles": [first, third], "ratio_of_fastest": min(pythons) / min(programs)}


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
                    command = [pathlib.Path(arguments.program).resolve(), *words, "--threads", str(threads),
                               "--iterations", str(ITERATIONS), "--device", "cpu"]
                    call()  # scratch memory stays for the calls that follow
                    seconds, cpu = [], []
                    for _ in range(arguments.pairs):
                        program = program_times(command, folder, arguments.repeat)
                        python = timed(call, arguments.repeat)
                        seconds.append((program[0], python[0]))
                        cpu.append((program[1], python[1] / arguments.repeat))
                    case = {"case": name, "n": n, "threads": threads, "seconds": spread(seconds), "cpu": spread(cpu)}
                    cases.append(case)
                    for what in ("seconds", "cpu"):
                        shown = case[what]
                        print(f"{name} n={n} threads={threads} {what}: program {shown['program_ms']:.1f} ms, Python "
                              f"{shown['python_ms']:.1f} ms, ratio {shown['ratio']:.3f} "
                              f"[{shown['ratio_quartiles'][0]:.3f}, {shown['ratio_quartiles'][1]:.3f}], "
                              f"of the fastest {shown['ratio_of_fastest']:.3f}", flush=True)
    if arguments.out:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        command = "bench/python/overhead.py " + " ".join(sys.argv[1:])
        result = {"commit": commit, "command": command, "pairs": arguments.pairs, "repeat": arguments.repeat,
                  "iterations": ITERATIONS, "cases": cases}
        pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
