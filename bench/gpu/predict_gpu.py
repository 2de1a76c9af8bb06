#!/usr/bin/env python3
"""Predicts the time of Sinkhorn iterations and KLOT steps on an H200 from the compiled kernels, without a GPU.

    bench/gpu/predict_gpu.py [--library build/release/libsotalign.a] [--out bench/results/gpu_prediction.md]

Next to the page it writes the same for bench/gpu/gpu_report.py: the times of the benchmark's cases, as JSON.

Registers, shared memory and spills come from `cuobjdump --dump-resource-usage` on the library's machine code for
compute capability 9.0; launch geometry and traffic come from the formulas in bench/gpu/gpu_kernels.py. Each kernel in
the files matching FILES must have a row there, and each row a kernel. The rest is a model (see ASSUMPTIONS): it shows
what limits a kernel, and measurements can be compared with it.

Looks for cuobjdump on the PATH. If the CUDA installation lacks it, run `pip install nvidia-cuda-cuobjdump` and pass
its path as --cuobjdump, or run this under .ci/cuda_tools.
"""
import argparse
import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys

from gpu_kernels import (ITERATIONS, KERNELS, SCALING_LAYOUTS, SOLVES, STEPS, WIDTHS, blocks_for, klot_step, plan,
                         scaling_iteration)

SIZES = [1024, 2048, 4096, 8192, 16384, 22000, 32768]
LARGE = [8192, 16384, 22000, 32768]  # sizes at which a memory-bound kernel should reach ENOUGH of the bandwidth
ENOUGH = 0.8
FILES = re.compile(r"(sinkhorn|klot)_\w+\.cu")

# An H200: limits per multiprocessor, and the device.
MULTIPROCESSORS, THREADS, BLOCKS, REGISTERS, SHARED = 132, 2048, 32, 65536, 228 * 1024
RESERVED_SHARED = 1024  # per block
CLOCK = 1.755e9
EXPONENTIALS, INSTRUCTIONS = 16, 128  # per clock and multiprocessor
BANDWIDTH = 4.3e12  # measured for copies on this kind of device
IN_FLIGHT = 48 * 1024  # bytes in flight per multiprocessor that this bandwidth needs
GAP, ROUND_TRIP, SUBMIT = 1.5e-6, 0.6e-6, 2.5e-6
PRODUCTS, PRODUCTS_DOUBLE = 50e12, 50e12  # FLOP/s of cuBLAS, of 67e12 each in NVIDIA's data sheet (float64: tensor cores)
PASSES = [(2500, 1280, 512), (22000, 1024, 1024)]  # a pass of self-training: rows of a batch, columns of the two sides
SHARED_DIM = 512  # a self-trained teacher's

ASSUMPTIONS = f"""\
* Memory: {BANDWIDTH / 1e12} TB/s, which needs {IN_FLIGHT // 1024} KB in flight per multiprocessor; with less, the bandwidth is
  proportionally lower. Only vectors are assumed to stay in the L2 cache; small matrices do too, and will be faster.
* Arithmetic: {EXPONENTIALS} exponentials and {INSTRUCTIONS} other instructions per clock and multiprocessor at {CLOCK / 1e9} GHz,
  with the instructions per entry given in bench/gpu/gpu_kernels.py.
* Products by cuBLAS: {PRODUCTS / 1e12:.0f} TFLOP/s in float32 and {PRODUCTS_DOUBLE / 1e12:.0f} in float64, three quarters of the data sheet's.
* A kernel takes at least its longest chain of dependent reads, {ROUND_TRIP * 1e6:.1f} us each, and {GAP * 1e6:.1f} us pass between
  two kernels. "Low" lets memory and arithmetic overlap entirely, "high" not at all.
* A launch costs the host {SUBMIT * 1e6:.1f} us without a graph: an iteration takes at least as long as its launches."""


Resources = collections.namedtuple("Resources", "registers shared spills")


def resources(library, cuobjdump):
    """{(file, kernel): Resources} for compute capability 9.0."""
    text = subprocess.run([cuobjdump, "--dump-resource-usage", library], check=True, capture_output=True,
                          text=True).stdout
    text = subprocess.run(["c++filt"], input=re.sub(r"^ Function (\w+):", r" Function \1 :", text, flags=re.M),
                          check=True, capture_output=True, text=True).stdout
    found, architecture, file, kernel = {}, "", "", ""
    for line in text.splitlines():
        if line.startswith("arch = "):
            architecture = line.split()[-1]
        elif line.startswith("identifier = "):
            file = line.rsplit("/", 1)[-1]
        elif line.startswith(" Function "):
            name = re.search(r"::(\w+(?:<[^(]*>)?)\(", line.replace("(anonymous namespace)", ""))
            kernel = name.group(1) if name else ""
        elif "REG:" in line and architecture == "sm_90" and FILES.fullmatch(file):
            value = {name: int(number) for name, number in re.findall(r"(\w+):(\d+)", line)}
            # cuobjdump's figure includes the reserved part for kernels with shared memory.
            shared = max(0, value["SHARED"] - RESERVED_SHARED)
            found[file, kernel] = Resources(value["REG"], shared, value["LOCAL"] + value["STACK"])
    return found


def blocks_per_multiprocessor(row, resource):
    """Returns the number of resident blocks, and what limits it."""
    warps = row.threads // 32
    # Registers are allocated to warps in units of 256.
    per_warp = blocks_for(resource.registers * 32, 256) * 256
    shared = blocks_for(resource.shared + row.dynamic + RESERVED_SHARED, 128) * 128
    limits = {"threads": THREADS // row.threads, "registers": REGISTERS // per_warp // warps,
              "shared memory": SHARED // shared, "blocks": BLOCKS}
    limit = min(limits, key=limits.get)
    return limits[limit], limit


def on_their_way(row, resource):
    """Bytes in flight per multiprocessor, and the number of active blocks on the device."""
    # Some multiprocessors may be idle.
    used = min(row.blocks, MULTIPROCESSORS * blocks_per_multiprocessor(row, resource)[0])
    return blocks_for(used, MULTIPROCESSORS) * row.threads * row.in_flight, used


def predict(row, resource):
    """Lower and upper bounds in seconds."""
    in_flight, used = on_their_way(row, resource)
    share = min(1.0, in_flight / IN_FLIGHT) * min(1.0, used / MULTIPROCESSORS)
    memory = row.moved / (BANDWIDTH * share)
    clocks = row.entries * (row.exponentials / EXPONENTIALS + row.instructions / INSTRUCTIONS)
    arithmetic = clocks / (MULTIPROCESSORS * min(1.0, used / MULTIPROCESSORS) * CLOCK)
    latency = row.trips * ROUND_TRIP
    return GAP + max(memory, arithmetic, latency), GAP + max(memory + arithmetic, latency)


def total(rows, found):
    times = [predict(row, found[row.file, row.kernel]) for row in rows]
    submitted = SUBMIT * len(rows)
    return max(submitted, sum(low for low, _ in times)), max(submitted, sum(high for _, high in times))


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def milliseconds(seconds):
    return f"{1e3 * seconds:.3f}" if seconds < 0.1 else f"{1e3 * seconds:.0f}"


def report(found, commit):
    parts = ["# Predicted, not measured", f"Sinkhorn and KLOT on an H200, predicted by bench/gpu/predict_gpu.py from the "
             f"machine code of commit {commit}. **No GPU was used; no figure here is a measurement.**", ASSUMPTIONS,
             "## Time", "Milliseconds for an n x n problem of float32. \"Moved\" is the traffic with memory, \"floor\" "
             "the time of the unavoidable matrix traffic."]
    for name, launches, reads in STEPS:
        rows = []
        for n in SIZES:
            kernels = launches(n, n)
            floor = reads * 4.0 * n * n / BANDWIDTH
            low, high = total(kernels, found)
            rows.append([n, len(kernels), f"{sum(row.moved for row in kernels) / 1e6:.1f} MB", milliseconds(floor),
                         milliseconds(low), milliseconds(high), f"{100 * floor / high:.0f}-{100 * floor / low:.0f} %"])
        parts += [f"### {name}", table(["n", "launches", "moved", "floor", "low", "high", "of the floor's rate"], rows)]
    return "\n\n".join(parts + [self_training(found)] + kernel_parts(found) + [clusters(found), confirm(found)]) + "\n"


def benchmarks(found):
    """[low, high] in milliseconds for the cases of bench/ot/klot_bench.cpp: an iteration, from the difference of solves of 70
    and 30 iterations, and a step of KLOT."""
    cases = {}
    for way, (_, solve, _) in zip(("scaling", "ladder", "log_domain"), SOLVES):
        for n in [256, 512] + SIZES:
            for batch in (1, 2, 8):
                more, less = (total(solve(n, n, batch=batch, iterations=count), found) for count in (70, 30))
                cases[f"sinkhorn/{way}/n:{n}/batch:{batch}"] = [1e3 * (a - b) / 40 for a, b in zip(more, less)]
            cases[f"klot/{way}/n:{n}"] = [1e3 * time for time in total(klot_step(solve)(n, n), found)]
    return cases


def self_training(found):
    """A pass of self-training with a stored plan (lib/src/teacher/self_training), without its decompositions."""
    rows = []
    for n, dx, dy in PASSES:
        single = 2 * n * (dx + dy) * SHARED_DIM + 2 * n * n * SHARED_DIM + 2 * n * n * dy  # projections, K, P Y
        double = 2 * n * (dx * dx + dy * dy + dx * dy)  # covariances and cross-covariance
        products = single / PRODUCTS, double / PRODUCTS_DOUBLE
        (_, solve, _), = [step for step in STEPS if step[0] == f"Solve of {ITERATIONS} iterations, scaling form"]
        low, high = total(solve(n, n) + plan(n, n), found)
        rows.append([n, dx, dy, *map(milliseconds, products), milliseconds(low), milliseconds(high),
                     milliseconds(low + sum(products)), milliseconds(high + sum(products))])
    return f"""\
## A pass of self-training

Milliseconds of a pass over n rows of each side, of dx and dy columns, with {SHARED_DIM} shared dimensions and {ITERATIONS} Sinkhorn iterations.
The fit after it decomposes matrices of dx and dy columns: two eigendecompositions and an SVD in float64 by cuSOLVER, whose time
does not depend on n. Nothing here predicts that time: measure it first.

""" + table(["n", "dx", "dy", "float32 products", "float64 products", "solve and plan, low", "high", "pass, low", "high"],
            rows)


def joined(values):
    return " / ".join(dict.fromkeys(values)) if len(set(values)) == 1 else " / ".join(values)


def kernel_row(name, by_size, found):
    """The table row of a kernel, with its figures at each size."""
    launches = list(by_size.values())
    resources_of = [found[row.file, row.kernel] for row in launches]
    resident, limit = blocks_per_multiprocessor(launches[0], resources_of[0])
    in_flight = [f"{on_their_way(row, resource)[0] / 1024:.0f}" for row, resource in zip(launches, resources_of)]
    times = [predict(row, resource) for row, resource in zip(launches, resources_of)]
    at_full = [1e6 * row.moved / BANDWIDTH for row in launches]
    return [name, launches[0].threads, resources_of[0].registers, resources_of[0].shared + launches[0].dynamic,
            resources_of[0].spills, f"{resident}, {limit}", joined(in_flight), ", ".join(map(str, by_size)),
            joined([f"{row.moved / 1e6:.1f}" for row in launches]), joined([f"{time:.1f}" for time in at_full]),
            joined([f"{time / ENOUGH:.1f}" for time in at_full]),
            joined([f"{1e6 * low:.0f}-{1e6 * high:.0f}" for low, high in times])]


def kernel_parts(found):
    """Tables of the kernels: the scaling form's rows kernels in every layout, and all kernels at the large sizes."""
    head = ["kernel", "threads", "registers", "shared", "spilled", "resident blocks, limit", "KB in flight", "n",
            "MB moved", "us at 4.3 TB/s", "us at 80 %", "us predicted"]
    layouts = []
    for entry, of_type in SCALING_LAYOUTS.items():
        widths = [16 // entry * threads * packets for threads, packets, _, _ in of_type]
        for width in widths + [max(LARGE) + 4]:
            # The large sizes that use the layout or, if there are none, its widest matrix.
            sizes = [n for n in LARGE if scaling_iteration(n, n, entry)[0].kernel == scaling_iteration(
                width, width, entry)[0].kernel] or [width]
            for place in range(len(scaling_iteration(width, width, entry)) - 1):
                by_size = {n: scaling_iteration(n, n, entry)[place] for n in sizes}
                layouts.append(kernel_row(f"`{next(iter(by_size.values())).kernel}`", by_size, found))
    others = []
    for name, launches in KERNELS:
        by_kernel = {}
        for n in LARGE:
            for row in launches(n, n):
                if row.file != "sinkhorn_scaling.cu" or row.kernel == "finish_kernel":  # its rows have a table
                    by_kernel.setdefault(row.kernel, {})[n] = row
        # Skips kernels that bfloat16 does not change: they are listed already.
        others += [(f"{name}: `{kernel}`", by_size) for kernel, by_size in by_kernel.items()
                   if by_size not in [sizes for _, sizes in others]]
    return ["## Kernels", "Registers per thread, bytes of shared memory per block, spilled bytes, resident blocks per "
            "multiprocessor and what limits them, KB in flight per multiprocessor; then, for each n, MB moved, and the "
            "microseconds that they take at copy bandwidth, at 80 % of it, and according to the model.",
            "### Rows kernels of the scaling form, every layout", table(head, layouts),
            "### The other kernels", table(head, [kernel_row(*other, found) for other in others])]


def iteration_range(found, n, entry):
    return total(scaling_iteration(n, n, entry), found)


def clusters(found):
    """Estimates whether thread-block clusters that share rows would be faster."""
    n, columns = 32768, 16384  # columns per block in a cluster of two
    row = 4 * columns / (BANDWIDTH / MULTIPROCESSORS)
    arithmetic = columns * 3.5 / INSTRUCTIONS / CLOCK
    exchange = 450 / CLOCK
    low, high = iteration_range(found, n, 4)
    one_read = 4.0 * n * n / BANDWIDTH
    gain = low - one_read - 2 * GAP
    solves = {name: total(launches(n, n), found)[0] for name, launches, _ in STEPS if name.startswith("Solve")}
    scaling, ladder = [1e3 * time for name, time in solves.items() if "scaling" in name]
    worst = {entry: min(entry * n * n / BANDWIDTH / iteration_range(found, n, entry)[1] for n in LARGE[1:-1])
             for entry in (4, 2)}
    return f"""\
## Would thread-block clusters pay?

A cluster of blocks can share a row, each with its part of the columns, and exchange sums through distributed
shared memory. This is not implemented, and measurements on a device should come first:

* **Up to 24,576 columns (float32) or 32,768 (bfloat16)** the rows kernel already reads the density only once: a cluster moves
  the same bytes. Smaller blocks would let one add while another waits. That gains at most the difference of "high" and
  the floor, {100 * (1 - worst[4]):.0f} % of an iteration in float32 and {100 * (1 - worst[2]):.0f} % in bfloat16 at {LARGE[1]} and {LARGE[2]}. The first measurement
  will show whether any of it is lost.
* **Wider**, it would halve the traffic. At {n} in float32 an iteration takes {1e3 * low:.2f} ms at least with two reads, {1e3 * one_read:.2f} ms with
  one; a solve of 100 iterations {scaling:.0f} ms, {scaling - 99e3 * gain:.0f} ms. With the ladder only the 20 float32 iterations gain: {ladder:.0f} ms become
  {ladder - 20e3 * gain:.0f} ms, and bfloat16 needs clusters only above 32,768 columns.
* **Cost of a row** in a cluster of two, {columns} columns in each block: {4 * columns // 1024} KB from memory take {1e6 * row:.1f} us at a multiprocessor's
  share of the bandwidth, the arithmetic {1e6 * arithmetic:.2f} us. Each warp stores its 4-byte sum once per block (16 warps: 64 bytes per
  row to the other block), and a cluster barrier replaces the block barrier: 450 clocks for store and barrier
  (assuming two trips of about 200 clocks between multiprocessors) are {1e6 * exchange:.2f} us. The next row is being loaded
  meanwhile: up to {1e6 * (row - arithmetic):.1f} us of exchange and waiting are hidden. In a cluster of four (65,536 columns) a block sends
  64 bytes to each of three; groups of 18 multiprocessors then leave two idle.

Conclusion: use clusters above 24,576 columns once users have such matrices, and below only if a device shows that the
plain kernel misses {100 * ENOUGH:.0f} %."""


def confirm(found):
    rows = []
    for entry, kind in ((4, "float32"), (2, "bfloat16")):
        for n in LARGE:
            kernels = scaling_iteration(n, n, entry)
            main, matrix = kernels[:-1], float(entry) * n * n
            low, high = total(main, found)
            all_low, all_high = iteration_range(found, n, entry)
            rate = [f"{100 * matrix / BANDWIDTH / time:.0f}" for time in (high - GAP, low - GAP, all_high, all_low)]
            rows.append([kind, n, f"{1e3 * matrix / BANDWIDTH / ENOUGH:.3f}", f"{rate[0]}-{rate[1]} %",
                         f"{rate[2]}-{rate[3]} %"])
    return f"""\
## What a first run on hardware must confirm or refute

On an H200, with the copy bandwidth measured in the same run in place of {BANDWIDTH / 1e12} TB/s:

* the rows kernel alone, n >= 8192: reads its matrix at {100 * ENOUGH:.0f} % of the copy bandwidth or more, that is, within "limit";
* the whole iteration in the predicted range; if it misses {100 * ENOUGH:.0f} % there, the cause is gaps between launches and `finish_kernel`;
* registers, shared memory and resident blocks as in the tables (a profiler shows them);
* bfloat16 reaches {100 * ENOUGH:.0f} % only if arithmetic overlaps with memory traffic: the lower bounds below assume no overlap;
* with 32 KB in flight (density, plan) no more than {100 * 32 // (IN_FLIGHT // 1024)} % of the bandwidth, with 40 (column update, KLOT's gradient)
  no more than {100 * 40 // (IN_FLIGHT // 1024)} %: if so, process more rows at a time. A solve runs each of them only a few times.

""" + table(["density", "n", "limit, ms", "rows kernel, predicted", "iteration, predicted"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/libsotalign.a")
    parser.add_argument("--cuobjdump", default=shutil.which("cuobjdump") or "/usr/local/cuda/bin/cuobjdump")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("bench/results/gpu_prediction.md"))
    arguments = parser.parse_args()
    if shutil.which(arguments.cuobjdump) is None:
        parser.error(f"{arguments.cuobjdump} not found; pip install nvidia-cuda-cuobjdump, then --cuobjdump PATH")
    found = resources(arguments.library, arguments.cuobjdump)
    named = {(row.file, row.kernel) for m in WIDTHS for _, launches in KERNELS for row in launches(m, m)}
    for missing in sorted(named - found.keys()):
        sys.exit(f"{': '.join(missing)}: no such kernel in {arguments.library} for compute capability 9.0")
    for missing in sorted(found.keys() - named):
        sys.exit(f"{': '.join(missing)}: this kernel has no row in bench/gpu/gpu_kernels.py")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True,
                            text=True).stdout.strip()
    arguments.out.write_text(report(found, commit))
    predicted = {"what": "predicted by bench/gpu/predict_gpu.py, not measured: [low, high] in milliseconds", "commit": commit,
                 "device": "H200", "bandwidth_GB_per_s": BANDWIDTH / 1e9,
                 "cases": {name: [round(time, 5) for time in times] for name, times in benchmarks(found).items()}}
    text = re.sub(r"\[\s+([\d.]+),\s+([\d.]+)\s+\]", r"[\1, \2]", json.dumps(predicted, indent=1))
    arguments.out.with_suffix(".json").write_text(text + "\n")
    print(arguments.out)


if __name__ == "__main__":
    main()
