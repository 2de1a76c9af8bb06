#!/usr/bin/env python3
"""Times KLOT (value and gradient) against the same formulas in PyTorch, in one run on one machine.

Both sides get the same two affinity matrices from disk, the same number of threads and the same fixed number
of Sinkhorn iterations, in float32; reading files is not timed. They take turns, so that a busy moment hits
both, and the median of each is compared. The gradients must agree.

  python3 -m venv .venv && .venv/bin/pip install torch numpy
  .venv/bin/python bench/compare_pytorch.py --n 4096 --out bench/results/klot_pytorch.json
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch


def cosines(n, seed):
    """Cosines of clustered vectors: row i and column i share half of their variance."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 64))
    x, y = (common + rng.standard_normal((n, 64)) for _ in range(2))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y /= np.linalg.norm(y, axis=1, keepdims=True)
    return (x @ y.T).astype(np.float32)


def sinkhorn(k, epsilon, iterations):
    n, m = k.shape
    logits = k / epsilon
    u, v = torch.zeros(n), torch.zeros(m)
    for _ in range(iterations):
        u = -np.log(n) - torch.logsumexp(logits + v[None, :], dim=1)
        v = -np.log(m) - torch.logsumexp(logits + u[:, None], dim=0)
    u = 0.5 * (u - np.log(n) - torch.logsumexp(logits + v[None, :], dim=1))
    return logits + u[:, None] + v[None, :]


def klot(student, teacher, epsilon_student, epsilon_teacher, iterations):
    log_p = sinkhorn(student, epsilon_student, iterations)
    log_q = sinkhorn(teacher, epsilon_teacher, iterations)
    p, q = log_p.exp(), log_q.exp()
    return (q * (log_q - log_p)).sum().item(), (p - q) / epsilon_student


def cpu_name():
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[4096])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each side; PyTorch takes the time")
    parser.add_argument("--program", default="build/release/apps/sotalign/sotalign")
    parser.add_argument("--out", help="write the figures as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    epsilon_student, epsilon_teacher = 0.05, 0.01

    cases = []
    for n in arguments.n:
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, name) for name in ("student.npy", "teacher.npy", "gradient.npy")]
            matrices = [cosines(n, seed) for seed in (1, 2)]
            for path, matrix in zip(paths, matrices):
                np.save(path, matrix)
            student, teacher = map(torch.from_numpy, matrices)
            command = [arguments.program, "klot", "--student", paths[0], "--teacher", paths[1], "--gradient", paths[2],
                       "--epsilon-student", str(epsilon_student), "--epsilon-teacher", str(epsilon_teacher),
                       "--iterations", str(arguments.iterations), "--threads", str(arguments.threads)]
            ours, theirs = [], []
            for _ in range(arguments.repeats):
                result = json.loads(output(*command))
                ours.append(result["seconds"])
                start = time.perf_counter()
                value, gradient = klot(student, teacher, epsilon_student, epsilon_teacher, arguments.iterations)
                theirs.append(time.perf_counter() - start)
            mine = torch.from_numpy(np.load(paths[2]))
            difference = ((mine - gradient).abs().sum() / gradient.abs().sum()).item()
        if not abs(result["value"] - value) <= 1e-4 * abs(value) or not difference <= 1e-3:
            sys.exit(f"n = {n}: results differ: value {result['value']} and {value}, gradient by {difference}")
        case = {
            "n": n,
            "sotalign_seconds": {"median": statistics.median(ours), "all": ours},
            "pytorch_seconds": {"median": statistics.median(theirs), "all": theirs},
            "ratio_of_medians": statistics.median(theirs) / statistics.median(ours),
            "ratio_per_pair": [t / o for o, t in zip(ours, theirs)],
            "relative_l1_difference_of_gradients": difference,
        }
        cases.append(case)
        print(f"n = {n}: sotalign {case['sotalign_seconds']['median']:.3f} s, "
              f"PyTorch {case['pytorch_seconds']['median']:.3f} s, ratio {case['ratio_of_medians']:.1f}", flush=True)

    if arguments.out:
        report = {
            "what": "KLOT value and gradient, fixed iterations of both solves, float32",
            "iterations": arguments.iterations, "epsilon_student": epsilon_student, "epsilon_teacher": epsilon_teacher,
            "threads": arguments.threads, "cpu": cpu_name(), "cores": os.cpu_count(),
            "torch": torch.__version__, "commit": output("git", "rev-parse", "HEAD"),
            "modified": bool(output("git", "status", "--porcelain", "--untracked-files=no")),
            "command": " ".join(["bench/compare_pytorch.py", *sys.argv[1:]]), "cases": cases,
        }
        with open(arguments.out, "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
