#!/usr/bin/env python3
"""Training on unpaired rows that stay in their files: time of a step and memory, against sets that are in memory.

  bench/train/streamed_training.py --program build/release/apps/sotalign/sotalign --data DIR [--rows 1000000] [--pairs 5]
      [--steps 30] [--batch 1200] [--results bench/results/streamed_training.md]

Writes float16 sets of `--rows` images x 1280 and texts x 512 to DIR once: sums of 64 common factors and noise. Then runs
each of these --pairs times, in turn: `large`, all rows, streamed; `large_stored`, the same rows, stored; `small`, the first 20,000
rows, stored; `small_streamed`, the same rows, streamed. The time of a step is the median of the differences between lines of
metrics.jsonl; memory is the peak of the process. Ratios are medians over neighbouring runs.
"""
import argparse
import json
import multiprocessing
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

import numpy as np

FACTORS, IMAGE_DIM, TEXT_DIM, SMALL = 64, 1280, 512, 20_000


def write_side(path, mixing, rows, seed, factors=None):
    random = np.random.default_rng(seed)
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, mixing.shape[1]))
    for first in range(0, rows, 20000):
        count = min(20000, rows - first)
        z = random.standard_normal((count, FACTORS), dtype=np.float32)
        if factors is not None:
            z = factors[first:first + count]
        noise = random.standard_normal((count, mixing.shape[1]), dtype=np.float32)
        out[first:first + count] = z @ mixing + 2 * noise
    out.flush()


def write_data(directory, rows):
    random = np.random.default_rng(1)
    mixing = [random.standard_normal((FACTORS, dim), dtype=np.float32) for dim in (IMAGE_DIM, TEXT_DIM)]
    common = random.standard_normal((500, FACTORS), dtype=np.float32)
    for side, name in enumerate(("images", "texts")):
        write_side(directory / f"{name}.npy", mixing[side], rows, 2 + side)
        write_side(directory / f"pairs_{name}.npy", mixing[side], 500, 4 + side, common)
        np.save(directory / f"small_{name}.npy", np.load(directory / f"{name}.npy", mmap_mode="r")[:SMALL])


def run(program, directory, images, texts, memory, arguments):
    """Seconds of a step, seconds of the process, and peak memory in MiB."""
    out = directory / "run"
    shutil.rmtree(out, ignore_errors=True)
    command = [program, "train", "--pairs-images", directory / "pairs_images.npy", "--pairs-texts",
               directory / "pairs_texts.npy", "--images", directory / images, "--texts", directory / texts, "--out", out,
               "--steps", str(arguments.steps), "--batch-unpaired", str(arguments.batch), "--log-every", "1",
               "--teacher", "cca", "--unpaired-memory", memory, "--quiet"]
    began = time.monotonic()
    process = subprocess.Popen([str(part) for part in command])
    _, status, usage = os.wait4(process.pid, 0)
    total = time.monotonic() - began
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit status {status}")
    seconds = [json.loads(line)["seconds"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    return statistics.median(b - a for a, b in zip(seconds, seconds[1:])), total, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=1200)
    parser.add_argument("--results", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.data.mkdir(parents=True, exist_ok=True)
    if not (arguments.data / "small_texts.npy").exists():
        # In a process of its own: the peak memory of a child contains what its parent held at the fork.
        writer = multiprocessing.Process(target=write_data, args=(arguments.data, arguments.rows))
        writer.start()
        writer.join()
    kinds = {"large": ("images.npy", "texts.npy", "streamed"), "large_stored": ("images.npy", "texts.npy", "stored"),
             "small": ("small_images.npy", "small_texts.npy", "stored"),
             "small_streamed": ("small_images.npy", "small_texts.npy", "streamed")}
    found = {kind: [] for kind in kinds}
    for _ in range(arguments.pairs):
        for kind, (images, texts, memory) in kinds.items():
            found[kind].append(run(arguments.program, arguments.data, images, texts, memory, arguments))
            print(kind, *(f"{number:.3f}" for number in found[kind][-1]), flush=True)

    def ratios(kind):
        values = [a[0] / b[0] for a, b in zip(found[kind], found["small"])]
        return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"

    median = {kind: [statistics.median(column) for column in zip(*runs)] for kind, runs in found.items()}
    commit = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()
    models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    cpu = models[0] if models else platform.machine()
    text = f"""# Unpaired rows in memory and in files

`bench/train/streamed_training.py --program PROGRAM --data DIR --pairs {arguments.pairs} --steps {arguments.steps}
--batch {arguments.batch}`, commit {commit}, {cpu}, {os.cpu_count()} cores. Sets of {arguments.rows} images x {IMAGE_DIM} and texts x
{TEXT_DIM} in float16, 500 pairs; `small` is the first {SMALL} rows of each side. Medians of {arguments.pairs} runs, which took turns.

| run | unpaired rows | ms per step | seconds in all | peak memory, MiB | step, relative to `small` |
|---|---|---|---|---|---|
"""
    for kind, (_, _, memory) in kinds.items():
        step, total, memory_mib = median[kind]
        text += f"| {kind} | {memory} | {1e3 * step:.0f} | {total:.1f} | {memory_mib:.0f} | {ratios(kind)} |\n"
    text += """
In `small` and `small_streamed` the teacher projects all rows once; in `large` and `large_stored` it projects each batch,
since all projections would take more memory than the batches. Seconds in all contain the two passes over the files before
the first step.
"""
    print(text)
    if arguments.results:
        arguments.results.write_text(text)


if __name__ == "__main__":
    main()
