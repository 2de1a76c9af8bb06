#!/usr/bin/env python3
"""Predicts the time of Sinkhorn iterations and KLOT steps on an H200 from the compiled kernels, without a GPU.

    bench/predict_gpu.py [--library build/release/libsotalign.a] [--out bench/results/gpu_prediction.md]

Registers, shared memory and spills are what `cuobjdump --dump-resource-usage` says of the library's machine code
for compute capability 9.0; launch geometry and traffic are the formulas of the rows below, which repeat those of
kernels/cuda/. Each kernel of the files named in FILES must have a row, and each row a kernel. The rest is a model
(see ASSUMPTIONS): good for the question what limits a kernel, and to be compared with measurements.

cuobjdump is looked for on the PATH; if it is not part of the CUDA installation, `pip install nvidia-cuda-cuobjdump`
brings it, and --cuobjdump names it.
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys

SIZES = [1024, 2048, 4096, 8192, 16384, 22000, 32768]
FILES = re.compile(r"(sinkhorn|klot)_\w+\.cu")
ITERATIONS = 100

# One multiprocessor of an H200, and the device.
MULTIPROCESSORS, THREADS, BLOCKS, REGISTERS, SHARED = 132, 2048, 32, 65536, 228 * 1024
RESERVED_SHARED = 1024  # of each block
CLOCK = 1.755e9
EXPONENTIALS, INSTRUCTIONS = 16, 128  # a clock and multiprocessor
BANDWIDTH = 4.3e12  # measured for copies on this kind of device
IN_FLIGHT = 48 * 1024  # bytes on their way to each multiprocessor that this bandwidth needs
GAP, ROUND_TRIP, SUBMIT = 1.5e-6, 0.6e-6, 2.5e-6

ASSUMPTIONS = f"""\
* Memory: {BANDWIDTH / 1e12} TB/s, which needs {IN_FLIGHT // 1024} KB on their way to each multiprocessor; with less, as much
  less. Nothing is assumed to stay in the L2 cache but vectors; small matrices do, and will be faster than this.
* Arithmetic: {EXPONENTIALS} exponentials and {INSTRUCTIONS} other instructions a clock and multiprocessor at {CLOCK / 1e9} GHz,
  with the instructions per entry that the table of bench/predict_gpu.py says.
* A kernel takes at the least its longest chain of dependent reads, {ROUND_TRIP * 1e6:.1f} us each, and {GAP * 1e6:.1f} us pass between
  two kernels. "Low" lets memory and arithmetic overlap entirely, "high" not at all.
* A launch costs the host {SUBMIT * 1e6:.1f} us where no graph is used: an iteration does not take less than its launches."""


# A kernel's launch for an n x m problem, batch 1. `moved`: bytes between memory and the device. `in_flight`: bytes
# that a thread has on their way at a time. `entries`: of the matrix, each with so many exponentials and other
# instructions. `trips`: the longest chain of dependent reads.
Launch = collections.namedtuple("Launch", "file kernel threads blocks dynamic moved in_flight entries exponentials "
                                          "instructions trips")


def launch(file, kernel, threads, blocks, moved=0.0, dynamic=0, in_flight=32, entries=0, exponentials=1,
           instructions=10, trips=3.0):
    return Launch(file, kernel, threads, int(blocks), dynamic, moved, in_flight, entries, exponentials, instructions,
                  trips)


def blocks_for(count, block):
    return -(-count // block)


def chunk_count(rows, most):
    return max(1, min(blocks_for(rows, 4), most))


def tiles_of(rows, cols, per_thread=1):
    """entropic.h: chunks and tiles across."""
    across = blocks_for(cols, 256 * per_thread)
    return chunk_count(rows, max(2112 // across, 64)), across


# The rows: kernels/cuda/sinkhorn_iteration.cu.
LAYOUTS = [(128, 1, 4), (128, 2, 4), (128, 4, 4), (256, 4, 4), (512, 4, 4), (512, 8, 2), (512, 16, 1), (512, 22, 1),
           (1024, 16, 1), (1024, 22, 1)]


def layout_of(cols):
    return next((layout for layout in LAYOUTS if cols <= layout[0] * layout[1]), None)


def centre_trips(cols):
    """centre_of(), entropic.h: 512 threads walk over a vector, four reads at a time."""
    return 2 + cols / 512 / 4


def fused_iteration(n, m):
    file, matrix, layout = "sinkhorn_iteration.cu", 4.0 * n * m, layout_of(m)
    tiles = tiles_of(n, m)
    chunks = chunk_count(n, max(132 * 1024 // layout[0], 264)) if layout else tiles[0]
    if layout:
        threads, columns, rows = layout
        main = [launch(file, f"rows_kernel<{threads}, {columns}, {rows}>", threads, chunks,
                       matrix + 4.0 * chunks * m + 16 * n + 4 * m, 4 * threads * columns, 4 * columns * rows, n * m)]
    else:
        main = [launch(file, "wide_rows_kernel", 256, blocks_for(n, 8), matrix + 16 * n + 4 * m, 0, 32, n * m),
                launch(file, "wide_columns_kernel", 256, tiles[0] * tiles[1], matrix + 4.0 * chunks * m, 0, 32, n * m)]
    longest = max(n, m)
    return [
        launch(file, "prepare_kernel", 512, blocks_for(longest, 512), 24 * n + 12 * m, trips=centre_trips(m)),
        *main,
        launch(file, "finish_kernel", 256, blocks_for(n, 256) + blocks_for(m, 32), 4.0 * chunks * m + 28 * n + 20 * m,
               trips=3 + chunks / 8 / 4),
        launch(file, "commit_kernel", 256, blocks_for(longest, 256), 16 * n + 16 * m),
    ]


def log_domain_iteration(n, m, work=True):
    """kernels/cuda/sinkhorn_update.cu. Without work, what each fused iteration launches in case it is needed."""
    file, matrix = "sinkhorn_update.cu", 4.0 * n * m
    chunks, across = tiles_of(n, m)
    launches = [
        launch(file, "prepare_rows_kernel", 512, blocks_for(m, 512), 12 * m, trips=centre_trips(m)),
        launch(file, "rows_kernel", 128, blocks_for(n, 4), matrix + 24 * n, entries=n * m, instructions=14),
        launch(file, "prepare_columns_kernel", 512, blocks_for(n, 512), 24 * n),
        launch(file, "tiles_kernel", 256, chunks * across, matrix + 8.0 * chunks * m, entries=n * m, instructions=14),
        launch(file, "combine_kernel", 256, blocks_for(m, 32), 8.0 * chunks * m + 16 * m, trips=4 + chunks / 8 / 2),
    ]
    return launches if work else [x._replace(moved=0.0, entries=0, trips=1) for x in launches]


def marginals(n, m):
    file = "sinkhorn_plan.cu"
    chunks, across = tiles_of(n, m, 4)
    warps = 8 * across
    return [
        launch(file, "prepare_kernel", 512, blocks_for(max(n, m), 512), 24 * n + 12 * m, trips=centre_trips(m)),
        launch(file, "marginals_kernel", 256, chunks * across, 4.0 * n * m + 4.0 * (warps * n + chunks * m),
               in_flight=64, entries=n * m, instructions=11),
        launch(file, "errors_kernel", 256, blocks_for(n, 32), 4.0 * warps * n, trips=2 + warps / 8 / 4),
        launch(file, "errors_kernel", 256, blocks_for(m, 32), 4.0 * chunks * m, trips=2 + chunks / 8 / 4),
        launch(file, "states_kernel", 1024, 1, (n + m) / 4, trips=4),
    ]


def plan(n, m):
    chunks, across = tiles_of(n, m)
    return [marginals(n, m)[0],
            launch("sinkhorn_plan.cu", "plan_kernel", 256, chunks * across, 8.0 * n * m, entries=n * m)]


def klot_gradient(n, m):
    file = "klot_gradient.cu"
    chunks, across = tiles_of(n, m)
    return [
        launch(file, "prepare_kernel", 512, blocks_for(max(n, m), 512), 72 * n + 56 * m, trips=2 * centre_trips(m)),
        # Double precision has half as many units: two instructions for each of its eight.
        launch(file, "klot_kernel", 256, chunks * across, 12.0 * n * m, entries=n * m, exponentials=2, instructions=36),
        launch(file, "value_kernel", 1024, 1, 8.0 * chunks * across, trips=4),
    ]


def iteration(n, m):
    return fused_iteration(n, m) + log_domain_iteration(n, m, work=False)


def solve(n, m):
    symmetrize = log_domain_iteration(n, m)[:2]
    return log_domain_iteration(n, m) + (ITERATIONS - 1) * iteration(n, m) + symmetrize + marginals(n, m)


def klot_step(n, m):
    return 2 * solve(n, m) + klot_gradient(n, m)


# What is predicted: name, launches, and how often it reads or writes the matrix at the least. A new form of the
# solver is a function like fused_iteration() and a line here.
STEPS = [
    ("Fused iteration, log form, as a solve launches it", iteration, 1),
    ("Log-domain iteration (the first of a solve)", log_domain_iteration, 2),
    ("Marginal errors (the end of a solve)", marginals, 1),
    ("Plan", plan, 2),
    ("KLOT's value and gradient, from the potentials", klot_gradient, 3),
    (f"KLOT step, {ITERATIONS} + {ITERATIONS} iterations", klot_step, 2 * ITERATIONS + 3),
]

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
            # For kernels with shared memory the reserved part is counted in.
            shared = max(0, value["SHARED"] - RESERVED_SHARED)
            found[file, kernel] = Resources(value["REG"], shared, value["LOCAL"] + value["STACK"])
    return found


def blocks_per_multiprocessor(row, resource):
    """How many are resident, and what allows no more."""
    warps = row.threads // 32
    # Registers are handed out to warps in units of 256.
    per_warp = blocks_for(resource.registers * 32, 256) * 256
    shared = blocks_for(resource.shared + row.dynamic + RESERVED_SHARED, 128) * 128
    limits = {"threads": THREADS // row.threads, "registers": REGISTERS // per_warp // warps,
              "shared memory": SHARED // shared, "blocks": BLOCKS}
    limit = min(limits, key=limits.get)
    return limits[limit], limit


def predict(row, resource):
    """Seconds at the least and at the most."""
    resident, _ = blocks_per_multiprocessor(row, resource)
    # The last multiprocessors may have nothing left to do.
    used = min(row.blocks, MULTIPROCESSORS * resident)
    per_multiprocessor = blocks_for(used, MULTIPROCESSORS)
    share = min(1.0, per_multiprocessor * row.threads * row.in_flight / IN_FLIGHT) * min(1.0, used / MULTIPROCESSORS)
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
    parts = ["# Predicted, not measured", f"Sinkhorn and KLOT on an H200, predicted by bench/predict_gpu.py from the "
             f"machine code of commit {commit}. **No GPU was used; no figure here is a measurement.**", ASSUMPTIONS,
             "## Time", "Milliseconds for an n x n problem of float32. \"Moved\" is the traffic with memory, \"floor\" "
             "the time of the matrix traffic that cannot be avoided."]
    for name, launches, reads in STEPS:
        rows = []
        for n in SIZES:
            kernels = launches(n, n)
            floor = reads * 4.0 * n * n / BANDWIDTH
            low, high = total(kernels, found)
            rows.append([n, len(kernels), f"{sum(row.moved for row in kernels) / 1e6:.1f} MB", milliseconds(floor),
                         milliseconds(low), milliseconds(high), f"{100 * floor / high:.0f}-{100 * floor / low:.0f} %"])
        parts += [f"### {name}", table(["n", "launches", "moved", "floor", "low", "high", "of the floor's rate"], rows)]
    parts += ["## Kernels", "Registers of a thread, static and dynamic shared memory of a block, spilled bytes, blocks "
              "resident on a multiprocessor and what allows no more, for the sizes that use the kernel."]
    uses = {}
    for n in SIZES:
        for _, launches, _ in STEPS[:-1]:
            for row in launches(n, n):
                uses.setdefault((row.file, row.kernel, row.threads, row.dynamic), {})[n] = row
    rows = []
    for (file, kernel, threads, dynamic), by_size in sorted(uses.items()):
        resource = found[file, kernel]
        resident, limit = blocks_per_multiprocessor(next(iter(by_size.values())), resource)
        blocks = [row.blocks for row in by_size.values()]
        rows.append([file, f"`{kernel}`", threads, "-".join(map(str, sorted({min(blocks), max(blocks)}))),
                     resource.registers, resource.shared, dynamic, resource.spills,
                     f"{resident} ({100 * resident * threads // THREADS} %), {limit}",
                     "all" if len(by_size) == len(SIZES) else ", ".join(map(str, by_size))])
    parts.append(table(["file", "kernel", "threads", "blocks", "registers", "shared", "dynamic", "spilled", "resident",
                        "n"], rows))
    return "\n\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", default="build/release/libsotalign.a")
    parser.add_argument("--cuobjdump", default=shutil.which("cuobjdump") or "/usr/local/cuda/bin/cuobjdump")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("bench/results/gpu_prediction.md"))
    arguments = parser.parse_args()
    if shutil.which(arguments.cuobjdump) is None:
        parser.error(f"{arguments.cuobjdump} not found; pip install nvidia-cuda-cuobjdump, then --cuobjdump PATH")
    found = resources(arguments.library, arguments.cuobjdump)
    # Matrices of all widths, so that the layouts of narrow ones count as well.
    named = {(row.file, row.kernel) for m in [1, *(t * c for t, c, _ in LAYOUTS), *SIZES] for _, launches, _ in STEPS[:-1]
             for row in launches(m, m)}
    for missing in sorted(named - found.keys()):
        sys.exit(f"{': '.join(missing)}: no such kernel in {arguments.library} for compute capability 9.0")
    for missing in sorted(found.keys() - named):
        sys.exit(f"{': '.join(missing)}: this kernel has no row in bench/predict_gpu.py")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True,
                            text=True).stdout.strip()
    arguments.out.write_text(report(found, commit))
    print(arguments.out)


if __name__ == "__main__":
    main()
