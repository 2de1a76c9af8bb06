"""The CUDA kernels of Sinkhorn and KLOT: launch geometry, traffic and work, following the files in kernels/cuda/,
and the launches of a solve. For bench/gpu/predict_gpu.py.
"""
import collections

ITERATIONS = 100

# A kernel's launch for an n x m problem, batch 1. `moved`: bytes of memory traffic. `in_flight`: bytes in flight per
# thread. `entries`: matrix entries, each with `exponentials` and other `instructions`. `trips`: length of the longest
# chain of dependent reads.
Launch = collections.namedtuple("Launch", "file kernel threads blocks dynamic moved in_flight entries exponentials "
                                          "instructions trips")


def launch(file, kernel, threads, blocks, moved=0.0, dynamic=0, in_flight=32, entries=0, exponentials=1,
           instructions=10, trips=3.0):
    return Launch(file, kernel, threads, int(blocks), dynamic, moved, in_flight, entries, exponentials, instructions,
                  trips)


def idle(launches):
    """The same kernels when their blocks have nothing to do and return at once."""
    return [row._replace(moved=0.0, entries=0, trips=1) for row in launches]


def batched(launches, batch):
    return [row._replace(blocks=batch * row.blocks, moved=batch * row.moved, entries=batch * row.entries)
            for row in launches]


def blocks_for(count, block):
    return -(-count // block)


def chunk_count(rows, most):
    return max(1, min(blocks_for(rows, 4), most))


def tiles_of(rows, cols, per_thread=1):
    """entropic.h: number of chunks, and of tiles across."""
    across = blocks_for(cols, 256 * per_thread)
    return chunk_count(rows, max(2112 // across, 64)), across


# Row layouts of kernels/cuda/sinkhorn_iteration.cu: threads, columns per thread, rows at a time.
LAYOUTS = [(128, 1, 4), (128, 2, 4), (128, 4, 4), (256, 4, 4), (512, 4, 4), (512, 8, 2), (512, 16, 1), (512, 22, 1),
           (1024, 16, 1), (1024, 22, 1)]


def layout_of(cols, own_shapes=False):
    """Batches of several shapes use layouts of at most 512 threads."""
    return next((layout for layout in LAYOUTS
                 if cols <= layout[0] * layout[1] and (layout[0] <= 512 or not own_shapes)), None)


def centre_trips(cols):
    """centre_of(), entropic.h: 512 threads traverse a vector, four reads at a time."""
    return 2 + cols / 512 / 4


def fused_iteration(n, m, own_shapes=False):
    """`own_shapes`: the kernel for batches of several shapes, here with one problem."""
    file, matrix, layout = "sinkhorn_iteration.cu", 4.0 * n * m, layout_of(m, own_shapes)
    tiles = tiles_of(n, m)
    chunks = chunk_count(n, max(132 * 1024 // layout[0], 264)) if layout else tiles[0]
    if layout:
        threads, columns, rows = layout
        main = [launch(file, f"rows_kernel<{threads}, {columns}, {rows}, {str(own_shapes).lower()}>", threads, chunks,
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


def log_domain_iteration(n, m):
    """kernels/cuda/sinkhorn_update.cu, rows and columns."""
    file, matrix = "sinkhorn_update.cu", 4.0 * n * m
    chunks, across = tiles_of(n, m)
    return [
        launch(file, "prepare_rows_kernel", 512, blocks_for(m, 512), 12 * m, trips=centre_trips(m)),
        launch(file, "rows_kernel", 128, blocks_for(n, 4), matrix + 24 * n, entries=n * m, instructions=14),
        launch(file, "prepare_columns_kernel", 512, blocks_for(n, 512), 24 * n),
        launch(file, "tiles_kernel", 256, chunks * across, matrix + 8.0 * chunks * m, entries=n * m, instructions=14),
        launch(file, "combine_kernel", 256, blocks_for(m, 32), 8.0 * chunks * m + 16 * m, trips=4 + chunks / 8 / 2),
    ]


# kernels/cuda/scaling_layout.h: threads, packets, rows and rows ahead, by bytes per entry.
SCALING_LAYOUTS = {
    4: [(128, 1, 4, 4), (128, 2, 4, 4), (128, 4, 2, 2), (256, 4, 2, 2), (256, 8, 1, 1), (512, 8, 1, 1), (512, 12, 1, 1)],
    2: [(128, 1, 4, 4), (128, 2, 4, 4), (128, 4, 2, 2), (256, 4, 2, 2), (512, 4, 2, 2), (512, 6, 1, 1), (512, 8, 1, 1)],
}


def scaling_iteration(n, m, entry=4):
    """kernels/cuda/sinkhorn_scaling.cu; `entry`: bytes per entry of the density."""
    file, matrix = "sinkhorn_scaling.cu", float(entry) * n * m
    kind = {4: "float", 2: "unsigned short"}[entry]
    layout = next((x for x in SCALING_LAYOUTS[entry] if m <= 16 // entry * x[0] * x[1]), None)
    tiles = tiles_of(n, m)
    chunks = chunk_count(n, max(132 * 512 // layout[0], 264)) if layout else tiles[0]
    # Per entry: a row sum, a column sum, a share of packets and factors, and unpacking bfloat16 for both sums.
    work = {"entries": n * m, "exponentials": 0, "instructions": {4: 3.5, 2: 5}[entry]}
    if layout:
        threads, packets, rows, ahead = layout
        main = [launch(file, f"rows_kernel<{kind}, {threads}, {packets}, {rows}, {ahead}>", threads, chunks,
                       matrix + 4.0 * chunks * m + 12 * n + 4 * m, 16 * threads * packets * ahead,
                       16 * blocks_for(m, 16 // entry) * ahead / threads, **work)]
    else:
        main = [launch(file, f"wide_rows_kernel<{kind}>", 256, blocks_for(n, 8), matrix + 4 * n, 0, 64, **work),
                launch(file, f"wide_columns_kernel<{kind}>", 256, tiles[0] * tiles[1], matrix + 4.0 * chunks * m, 0,
                       8 * entry, **work)]
    return main + [launch(file, "finish_kernel", 256, blocks_for(n, 256) + blocks_for(m, 32),
                          4.0 * chunks * m + 16 * n + 12 * m, trips=6 + chunks / 8 / 4)]


# kernels/cuda/sinkhorn_on_chip.cu, on a device with 132 multiprocessors of 227 KB.
def on_chip(n, m, iterations, entry=4, batch=1):
    """One launch for all iterations; none if the densities do not fit. An iteration waits for about seven reads one after
    the other: factors, two at each of two barriers, sums over chunks, and the decision."""
    kind, block = {4: ("float", 512), 2: ("unsigned short", 256)}[entry]
    layout = next((x for x in SCALING_LAYOUTS[entry][:4] if m <= 16 // entry * x[0] * x[1]), None)
    if layout is None or n > 8192:
        return []
    threads, packets, rows, _ = layout
    chunks = chunk_count(n, max(132 * 512 // threads, 264))
    blocks = min(132 // batch, chunks)
    first_row = [n * (chunks * i // blocks) // chunks for i in range(blocks + 1)]
    dynamic = max(end - begin for begin, end in zip(first_row, first_row[1:])) * density_stride(m, entry) * entry
    if dynamic + 4688 > 227 * 1024:
        return []
    return [launch("sinkhorn_on_chip.cu", f"on_chip_kernel<{kind}, {threads}, {packets}, {rows}>", block, batch * blocks,
                   batch * (float(entry) * n * m + iterations * 8.0 * chunks * m), dynamic, 64, batch * iterations * n * m, 0,
                   {4: 3.5, 2: 5}[entry], iterations * (7 + chunks / 8 / 8))]


# kernels/cuda/sinkhorn_absorb.cu
def fold(n, m):
    return [launch("sinkhorn_absorb.cu", "fold_kernel", 256, blocks_for(max(n, m), 256), 24 * (n + m))]


def density_stride(cols, entry):
    """kernels/density.h"""
    lines = blocks_for(cols, 64 // entry)
    return (lines + (lines % 64 == 0)) * (64 // entry)


def absorb(n, m, entry=4):
    chunks, across = tiles_of(n, max(density_stride(m, 4), density_stride(m, 2)))
    return [launch("sinkhorn_absorb.cu", "prepare_kernel", 512, blocks_for(max(n, m), 512), 32 * n + 28 * m,
                   trips=centre_trips(m)),
            launch("sinkhorn_absorb.cu", "density_kernel", 256, chunks * across, (4.0 + entry) * n * m, entries=n * m)]


def marginals(n, m):
    file = "sinkhorn_plan.cu"
    chunks, across = tiles_of(n, m, 4)
    warps = 8 * across
    return [
        launch(file, "prepare_kernel", 512, blocks_for(max(n, m), 512), 24 * n + 12 * m, trips=centre_trips(m)),
        launch(file, "marginals_kernel", 256, chunks * across, 4.0 * n * m + 4.0 * (warps * n + chunks * m),
               in_flight=64, entries=n * m, instructions=11),
        launch(file, "row_errors_kernel", 256, blocks_for(n, 32), 4.0 * warps * n, trips=2 + warps / 8 / 4),
        launch(file, "column_errors_kernel", 256, blocks_for(m, 32), 4.0 * chunks * m, trips=2 + chunks / 8 / 4),
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
        # Double precision has half the throughput: each of its eight instructions counts twice.
        launch(file, "klot_kernel", 256, chunks * across, 12.0 * n * m, entries=n * m, exponentials=2, instructions=36),
        launch(file, "value_kernel", 1024, 1, 8.0 * chunks * across, trips=4),
    ]


# Solves as lib/src/ot/sinkhorn_solve.cpp queues them for KLOT, with symmetrization; one density usually lasts for 100
# iterations.
def finish(n, m):
    return log_domain_iteration(n, m)[:2] + marginals(n, m)


def offers(iteration, iterations):
    """Iterations after which the log-domain updates and a new density are offered (kernels/iteration_schedule.h)."""
    return iteration < 32 or iteration % 4 == 0 or iteration + 1 == iterations


def fused_solve(n, m, batch=1, iterations=ITERATIONS):
    launches = log_domain_iteration(n, m)
    for iteration in range(1, iterations):
        launches += fused_iteration(n, m)
        launches += idle(log_domain_iteration(n, m)) if offers(iteration, iterations) else []
    return batched(launches + finish(n, m), batch)


def scaling_solve(n, m, ladder=False, batch=1, iterations=ITERATIONS):
    """A small solve runs on the chip. A ladder refines 20 iterations before the end."""
    refine_at = iterations - 20 if ladder else 0
    first = log_domain_iteration(n, m) + absorb(n, m, 2 if ladder else 4)
    fine = on_chip(n, m, iterations - max(refine_at, 1), batch=batch)
    if fine:
        coarse = on_chip(n, m, refine_at - 1, 2, batch) + batched(
            fold(n, m) + idle(log_domain_iteration(n, m)) + absorb(n, m), batch) if ladder else []
        return batched(first, batch) + coarse + fine + batched(fold(n, m) + finish(n, m), batch)
    launches = first
    for iteration in range(1, iterations):
        launches += scaling_iteration(n, m, 2 if iteration < refine_at else 4)
        if iteration + 1 == refine_at:
            launches += fold(n, m) + idle(log_domain_iteration(n, m)) + absorb(n, m)
        elif offers(iteration, iterations):
            launches += idle(fold(n, m) + log_domain_iteration(n, m))
            launches += idle(absorb(n, m)) if iteration + 1 < iterations else []
    return batched(launches + fold(n, m) + finish(n, m), batch)


def ladder_solve(n, m, batch=1, iterations=ITERATIONS):
    return scaling_solve(n, m, ladder=True, batch=batch, iterations=iterations)


def klot_step(solve):
    """lib/src/ot/klot.cpp solves small problems together."""
    return lambda n, m: (solve(n, m, batch=2) if n * m <= 1 << 26 else 2 * solve(n, m)) + klot_gradient(n, m)


# The predictions: name, launches, and the minimum traffic in float32 matrices. A new form of the solver needs a
# function for its launches and a line here.
LADDER_READS = (ITERATIONS - 20) / 2 + 20
SOLVES = [("scaling form", scaling_solve, ITERATIONS), ("scaling form, ladder", ladder_solve, LADDER_READS),
          ("log domain", fused_solve, ITERATIONS)]
STEPS = [
    ("Iteration, scaling form", scaling_iteration, 1),
    ("Iteration, scaling form, bfloat16", lambda n, m: scaling_iteration(n, m, 2), 0.5),
    ("Iteration, log domain, fused", fused_iteration, 1),
    ("Iteration, log domain, as the first of a solve", log_domain_iteration, 2),
    ("KLOT's value and gradient, from the potentials", klot_gradient, 3),
    *((f"Solve of {ITERATIONS} iterations, {name}", solve, reads) for name, solve, reads in SOLVES),
    *((f"KLOT step, {ITERATIONS} + {ITERATIONS} iterations, {name}", klot_step(solve), 2 * reads + 3)
      for name, solve, reads in SOLVES),
]
# Operations whose kernels are listed individually.
KERNELS = [
    ("on chip", lambda n, m: on_chip(min(n, 256), m, ITERATIONS) + on_chip(min(n, 256), m, ITERATIONS, 2)),
    ("scaling", scaling_iteration), ("scaling, bfloat16", lambda n, m: scaling_iteration(n, m, 2)), ("fold", fold),
    ("absorb", absorb), ("absorb, bfloat16", lambda n, m: absorb(n, m, 2)), ("updates", log_domain_iteration),
    ("fused iteration", fused_iteration), ("fused, several shapes", lambda n, m: fused_iteration(n, m, True)), ("plan", plan), ("marginals", marginals), ("KLOT", klot_gradient),
]
# The last width of each layout, plus one beyond: together they use every kernel.
WIDTHS = sorted({t * c for t, c, _ in LAYOUTS} |
                {16 // entry * x[0] * x[1] for entry, layouts in SCALING_LAYOUTS.items() for x in layouts} | {32769})
