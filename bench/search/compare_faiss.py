#!/usr/bin/env python3
"""Times exact search by sotalign and by faiss's flat index for inner products, in turns.

  bench/search/compare_faiss.py --build build/release --work /tmp/search [--rows 500000] [--pairs 15] [--out FILE]

Needs NumPy and faiss-cpu. Makes random unit rows under --work. Two comparisons, each in pairs, the order within a pair
alternating, so that other load on the machine meets both sides:

* call: top_k() of the library (bench/search/top_k_times) against index.search(), the gallery in memory of both, in the
  index already. top_k() also scales rows to unit length, which the flat index does not.
* command: `sotalign search` on the .npy file against a Python process that loads the same file, adds it to an index and
  searches.

Prints and writes medians of seconds, and of seconds of all cores, which other load disturbs less; the median of the ratios
of pairs, faiss over sotalign; and how many of the ids are the same. Where ids differ, the
cosines, in double precision, must be equal within 1e-6.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

COMMAND = """
import sys, numpy as np, faiss
faiss.omp_set_num_threads(int(sys.argv[4]))
gallery, queries = np.load(sys.argv[1]), np.load(sys.argv[2])
index = faiss.IndexFlatIP(gallery.shape[1])
index.add(gallery)
np.save(sys.argv[5], index.search(queries, int(sys.argv[3]))[1])
"""


def unit_rows(path, rows, cols, seed):
    if not path.exists():
        generator = np.random.default_rng(seed)
        out = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, cols))
        for first in range(0, rows, 50000):
            x = generator.standard_normal((min(50000, rows - first), cols), dtype=np.float32)
            out[first:first + len(x)] = x / np.linalg.norm(x, axis=1, keepdims=True)
        out.flush()
    return path


def in_turns(count, ours, theirs):
    """Seconds of both, and seconds of all cores: [pairs] of pairs."""
    times = {ours: [], theirs: []}
    for action in (ours, theirs):
        action()  # warm-up
    for pair in range(count):
        for action in (ours, theirs) if pair % 2 == 0 else (theirs, ours):
            times[action].append(action())
    return times[ours], times[theirs]


def summary(ours, theirs):
    def compare(a, b):
        ratios = [y / x for x, y in zip(a, b)]
        return {"sotalign": statistics.median(a), "faiss": statistics.median(b), "sotalign_least": min(a),
                "faiss_least": min(b), "median_ratio": statistics.median(ratios),
                "ratios": [round(r, 2) for r in sorted(ratios)]}

    return {"pairs": len(ours), "seconds": compare(*([wall for wall, _ in side] for side in (ours, theirs))),
            "core_seconds": compare(*([cores for _, cores in side] for side in (ours, theirs)))}


def compare_ids(gallery, queries, ours, theirs):
    """The share of equal ids. Fails unless other ones have equal cosines."""
    same = ours == theirs
    for q in np.unique(np.argwhere(~same)[:, 0]):
        a, b = ((gallery[ids[q]].astype(np.float64) @ queries[q].astype(np.float64)) for ids in (ours, theirs))
        if not np.abs(a - b).max() <= 1e-6:
            sys.exit(f"query {q}: other rows: {ours[q]} and {theirs[q]}")
    return float(same.mean()), int((~same).sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--work", required=True)
    parser.add_argument("--rows", type=int, default=500000)
    parser.add_argument("--cols", type=int, default=512)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--command-pairs", type=int, default=5)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    # Both sides wait at barriers for microseconds only, as the program does by itself. With the default, milliseconds, faiss
    # takes several times as long when other work shares the cores. Libraries read this when they are loaded.
    waiting = {"OMP_NUM_THREADS": str(arguments.threads), "GOMP_SPINCOUNT": "1000"}
    if any(os.environ.get(key) != value for key, value in waiting.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **waiting})
    import faiss

    work, build, k = Path(arguments.work), Path(arguments.build), arguments.k
    work.mkdir(parents=True, exist_ok=True)
    size = f"{arguments.cols}"
    gallery_path = unit_rows(work / f"gallery_{arguments.rows}_{size}.npy", arguments.rows, arguments.cols, 1)
    queries_path = unit_rows(work / f"queries_{arguments.queries}_{size}.npy", arguments.queries, arguments.cols, 2)
    gallery, queries = np.load(gallery_path, mmap_mode="r"), np.load(queries_path)

    server = subprocess.Popen([build / "bench" / "top_k_times", gallery_path, queries_path, str(k), str(arguments.threads)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(line):
        server.stdin.write(line + "\n")
        server.stdin.flush()
        return server.stdout.readline()

    faiss.omp_set_num_threads(arguments.threads)
    index = faiss.IndexFlatIP(arguments.cols)
    index.add(np.asarray(gallery))
    found = {}

    def library():
        return tuple(map(float, ask("run").split()))

    def flat_index():
        start, cores = time.perf_counter(), time.process_time()
        found["call"] = index.search(queries, k)[1]
        return time.perf_counter() - start, time.process_time() - cores

    result = {"rows": arguments.rows, "cols": arguments.cols, "queries": arguments.queries, "k": k,
              "threads": arguments.threads, "faiss": faiss.__version__, "load_average_before": os.getloadavg()[0]}
    result["call"] = summary(*in_turns(arguments.pairs, library, flat_index))
    ask(str(work / "ids.npy"))
    ours = np.load(work / "ids.npy").reshape(arguments.queries, k)
    result["call"]["same_ids"], result["call"]["other_ids"] = compare_ids(gallery, queries, ours, found["call"])
    server.stdin.close()
    server.wait()
    del index

    def timed(words):
        def cores():
            children = os.times()
            return children.children_user + children.children_system

        start, before = time.perf_counter(), cores()
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start, cores() - before

    def command():
        return timed([build / "apps/sotalign/sotalign", "search", "--gallery", gallery_path, "--queries", queries_path,
                      "--k", str(k), "--threads", str(arguments.threads), "--out", work / "hits.npy"])

    def script():
        return timed([sys.executable, "-c", COMMAND, gallery_path, queries_path, str(k), str(arguments.threads),
                      work / "faiss.npy"])

    if arguments.command_pairs > 0:
        result["command"] = summary(*in_turns(arguments.command_pairs, command, script))
        hits, theirs = np.load(work / "hits.npy"), np.load(work / "faiss.npy")
        result["command"]["same_ids"], result["command"]["other_ids"] = compare_ids(gallery, queries, hits, theirs)
    result["load_average_after"] = os.getloadavg()[0]
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.out:
        Path(arguments.out).write_text(text + "\n")


if __name__ == "__main__":
    main()
