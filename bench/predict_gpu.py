#!/usr/bin/env python3
"""Predicts the time of Sinkhorn iterations and KLOT steps on an H200 from the compiled kernels, without a GPU.

    bench/predict_gpu.py [--library build/release/libsotalign.a] [--out bench/results/gpu_prediction.md]

Registers, shared memory and spills are what `cuobjdump --dump-resource-usage` says of the library's machine code
for compute capability 9.0; launch geometry and traffic are the formulas of bench/gpu_kernels.py. Each kernel of the
files named in FILES must have a row there, and each row a kernel. The rest is a model (see ASSUMPTIONS): good for
the question what limits a kernel, and to be compared with measurements.

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

from gpu_kernels import STEPS, WIDTHS, blocks_for

SIZES = [1024, 2048, 4096, 8192, 16384, 22000, 32768]
FILES = re.compile(r"(sinkhorn|klot)_\w+\.cu")

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
  with the instructions per entry that bench/gpu_kernels.py says.
* A kernel takes at the least its longest chain of dependent reads, {ROUND_TRIP * 1e6:.1f} us each, and {GAP * 1e6:.1f} us pass between
  two kernels. "Low" lets memory and arithmetic overlap entirely, "high" not at all.
* A launch costs the host {SUBMIT * 1e6:.1f} us where no graph is used: an iteration does not take less than its launches."""


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
        for _, launches, _ in STEPS:
            for row in launches(n, n):
                uses.setdefault((row.file, row.kernel, row.threads, row.dynamic), {}).setdefault(n, row)
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
    named = {(row.file, row.kernel) for m in WIDTHS for _, launches, _ in STEPS for row in launches(m, m)}
    for missing in sorted(named - found.keys()):
        sys.exit(f"{': '.join(missing)}: no such kernel in {arguments.library} for compute capability 9.0")
    for missing in sorted(found.keys() - named):
        sys.exit(f"{': '.join(missing)}: this kernel has no row in bench/gpu_kernels.py")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True,
                            text=True).stdout.strip()
    arguments.out.write_text(report(found, commit))
    print(arguments.out)


if __name__ == "__main__":
    main()
