#!/usr/bin/env python3
"""Times sotalign.sinkhorn() and sotalign.klot() against the program on the same matrices.

Both take turns (program, Python, program, ...), so that a busy moment affects both; a turn is the median of a few
computations. The program makes its solver once and repeats the computation; a call from Python also checks and converts its
arguments, makes the solver, and allocates its result. Page faults show whether a call allocates its scratch memory again; a tiny
problem shows the fixed cost of a call. Needs an installed package, and the program of the same commit.

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


def affinity(n, seed):
    """Cosines of unit rows that have a part in common."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 64))
    x, y = (common + rng.normal(size=(n, 64)) for _ in range(2))
    x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
    return (x @ y.T).astype(np.float32)


def seconds_of(call, repeat):
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def page_faults(call):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


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
                    command = [pathlib.Path(arguments.program).resolve(), *words, "--threads", str(threads), "--device", "cpu",
                               "--iterations", "100", "--repeat", str(arguments.repeat)]
                    call()  # scratch memory stays for the calls that follow
                    turns = []
                    for _ in range(arguments.pairs):
                        done = subprocess.run(command, cwd=folder, check=True, capture_output=True)
                        turns.append((json.loads(done.stdout)["seconds"], seconds_of(call, arguments.repeat)))
                    programs, pythons = zip(*turns)
                    first, ratio, third = statistics.quantiles((python / program for program, python in turns), n=4)
                    case = {"case": name, "n": n, "threads": threads, "program_ms": 1e3 * statistics.median(programs),
                            "python_ms": 1e3 * statistics.median(pythons), "ratio": ratio, "ratio_quartiles": [first, third],
                            "ratio_of_fastest": min(pythons) / min(programs), "page_faults_per_call": page_faults(call)}
                    cases.append(case)
                    print(json.dumps(case), flush=True)
    sotalign.set_threads(1)
    tiny = affinity(4, 0)
    fixed = {name: 1e6 * seconds_of(call, 1000)
             for name, call in (("sinkhorn", lambda: sotalign.sinkhorn(tiny, 0.05, iterations=1)),
                                ("klot", lambda: sotalign.klot(tiny, tiny, iterations=1)))}
    print(f"us of a call for 4 x 4 and one iteration: {fixed}")
    if arguments.out:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        command = "bench/python/overhead.py " + " ".join(sys.argv[1:])
        result = {"commit": commit, "command": command, "cases": cases, "us_of_a_call_for_4_by_4": fixed}
        pathlib.Path(arguments.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
