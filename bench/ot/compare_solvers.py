#!/usr/bin/env python3
"""Times Sinkhorn iterations and KLOT against other libraries, in one run on one machine.

All solvers get the same float32 affinity matrices, the same epsilon and the same number of threads. Each peer takes
turns with us (ours, peer, ours, peer, ...), so that a busy moment affects both. The time of an iteration is the
difference of two solves with different numbers of iterations, so that one-time costs cancel. A KLOT step (value and
gradient, 100 + 100 iterations) is timed as a whole. Times exclude reading files and compiling. The run fails if a
plan or gradient disagrees with ours.

  python3 -m venv .venv && .venv/bin/pip install torch numpy pot geomloss ott-jax
  .venv/bin/python bench/ot/compare_solvers.py --sizes 1024 2048 4096 --out bench/results/solvers_cpu.json

Requires torch and numpy; skips peers that are not installed.
"""
import argparse
import datetime
import functools
import importlib.metadata
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

DISTRIBUTIONS = ["torch", "numpy", "POT", "geomloss", "ott-jax", "jax"]
# Largest relative L1 distance of a plan or gradient from ours.
TOLERANCE = 1e-3
# Peers with another iteration scheme are only close to the plan after the same number of iterations.
TOLERANCES = {"geomloss": 0.1}
KLOT_ITERATIONS = 100
EPSILON_TEACHER = 0.01
# Solves per process of ours; the median counts, because the first one also faults in its memory.
OURS_REPEAT = 5


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--iterations", type=int, nargs=2, default=[20, 120], metavar=("LOW", "HIGH"), help="ours")
    # Multiples of 10, the interval of convergence checks in POT and OTT, so that their checks are included in proportion.
    parser.add_argument("--peer-iterations", type=int, nargs=2, default=[10, 30], metavar=("LOW", "HIGH"))
    parser.add_argument("--repeats", type=int, default=5, help="turns per side")
    parser.add_argument("--epsilon", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS), metavar="PEER",
                        help=f"any of {', '.join(PEERS)}; default: all")
    parser.add_argument("--sinkhorn-form", nargs="+", default=[None], help="passed to ours; peers are compared with the first")
    parser.add_argument("--sinkhorn-storage", nargs="+", default=[None], help="likewise")
    parser.add_argument("--klot-sizes", type=int, nargs="*", help="default: those of --sizes; empty: no KLOT")
    parser.add_argument("--program", default="build/release/apps/sotalign/sotalign")
    parser.add_argument("--out", help="write the figures as JSON")
    arguments = parser.parse_args()
    for low, high in (arguments.iterations, arguments.peer_iterations):
        if not 1 <= low < high:
            parser.error(f"iterations: expected 1 <= LOW < HIGH, found {low} {high}")
    return arguments


# Peers. Each takes K [n, m] (numpy), epsilon and a device, and returns solve(iterations) -> result, which returns once
# the result is complete, and plan(result) -> numpy [n, m]. We update rows first. A peer that starts with the columns
# gets the transposed problem, so that all perform the same iterations.

def torch_ready(result):
    import torch
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return result


def log_domain(logits, iterations):
    """The authors' formulas."""
    import torch
    n, m = logits.shape
    log_n, log_m = (torch.tensor(float(size), device=logits.device).log() for size in (n, m))
    v = torch.zeros(m, device=logits.device)
    for _ in range(iterations):
        u = -log_n - torch.logsumexp(logits + v[None, :], dim=1)
        v = -log_m - torch.logsumexp(logits + u[:, None], dim=0)
    return u, v


def pytorch(k, epsilon, device, iterate=log_domain):
    import torch
    logits = torch.from_numpy(k).to(device) / epsilon
    return (lambda iterations: torch_ready(iterate(logits, iterations)),
            lambda uv: (logits + uv[0][:, None] + uv[1][None, :]).exp().cpu().numpy())


@functools.cache
def compiled_log_domain():
    """An iteration by torch.compile, called in a loop as the authors' loop would be."""
    import torch

    def iteration(logits, v, log_n, log_m):
        u = -log_n - torch.logsumexp(logits + v[None, :], dim=1)
        return u, -log_m - torch.logsumexp(logits + u[:, None], dim=0)
    step = torch.compile(iteration)

    def iterate(logits, iterations):
        log_n, log_m = (torch.tensor(float(size), device=logits.device).log() for size in logits.shape)
        u, v = None, torch.zeros(logits.shape[1], device=logits.device)
        for _ in range(iterations):
            u, v = step(logits, v, log_n, log_m)
        return u, v
    return iterate


def pytorch_compiled(k, epsilon, device):
    solve, plan = pytorch(k, epsilon, device, compiled_log_domain())
    try:
        solve(1)
    except Exception as error:  # no compiler, or no Triton
        raise ImportError(f"torch.compile: {str(error).splitlines()[0]}") from error
    return solve, plan


def pot(k, epsilon, device, method):
    import numpy
    import ot
    import torch
    # Costs >= 0: adding a constant does not change the plan and keeps exp(-cost / epsilon) at most 1.
    cost = 1 - numpy.ascontiguousarray(k.T)
    a, b = (numpy.full(size, 1 / size, numpy.float32) for size in cost.shape)
    # The faster backend for the method: numpy uses one thread outside of BLAS.
    if method != "sinkhorn" or device != "cpu":
        cost, a, b = (torch.from_numpy(x).to(device) for x in (cost, a, b))
    # Scalings restart at 1/n here, so those of a plan with row sums 1/n are near n. If that exceeds tau (1000 by
    # default), every iteration absorbs, and the returned plan lacks what the last one absorbed.
    options = {"tau": 1e3 * max(k.shape)} if method == "sinkhorn_stabilized" else {}

    def solve(iterations):
        return torch_ready(ot.sinkhorn(a, b, cost, epsilon, method=method, numItermax=iterations, stopThr=-1,
                                       warn=False, **options))
    return solve, lambda plan: (plan if isinstance(plan, numpy.ndarray) else plan.cpu().numpy()).T


def geomloss(k, epsilon, device):
    """Each iteration moves both potentials halfway, from the previous ones, with decreasing epsilon."""
    import geomloss.ot
    import torch
    cost = 1 - torch.from_numpy(k).to(device)

    def solve(iterations):
        result = geomloss.ot.solve(cost, reg=epsilon, max_iter=iterations)
        return torch_ready((result, result.potential_a))
    return solve, lambda pair: pair[0].plan.cpu().numpy()


def ott(k, epsilon, device, lse_mode):
    import jax
    import numpy
    from ott.geometry.geometry import Geometry
    from ott.solvers import linear
    if device != "cpu" and jax.default_backend() != "gpu":
        raise ImportError("this jax has no GPU support")
    cost = jax.numpy.asarray(1 - numpy.ascontiguousarray(k.T))

    @functools.partial(jax.jit, static_argnums=1)
    def compiled(matrix, iterations):
        solution = linear.solve(Geometry(cost_matrix=matrix, epsilon=epsilon), threshold=0.0, lse_mode=lse_mode,
                                min_iterations=iterations, max_iterations=iterations)
        return solution.f, solution.g

    def plan(fg):
        f, g = (numpy.asarray(x) for x in fg)
        return numpy.exp((f[:, None] + g[None, :] - numpy.asarray(cost)) / epsilon).T
    return lambda iterations: jax.block_until_ready(compiled(cost, iterations)), plan


PEERS = {
    "pytorch": pytorch,
    "pytorch_compiled": pytorch_compiled,
    "pot_sinkhorn": functools.partial(pot, method="sinkhorn"),
    "pot_stabilized": functools.partial(pot, method="sinkhorn_stabilized"),
    "pot_log": functools.partial(pot, method="sinkhorn_log"),
    "geomloss": geomloss,
    "ott_log": functools.partial(ott, lse_mode=True),
    "ott_scaling": functools.partial(ott, lse_mode=False),
}


class Ours:
    """`sotalign` with one choice of --sinkhorn-form and --sinkhorn-storage."""

    def __init__(self, arguments, form, storage):
        self.options = ["--threads", str(arguments.threads), "--device", arguments.device]
        for flag, value in (("--sinkhorn-form", form), ("--sinkhorn-storage", storage)):
            self.options += [flag, value] if value else []
        self.name = " ".join(["sotalign", *filter(None, (form, storage))])
        self.program = arguments.program

    def run(self, command, repeat=OURS_REPEAT, **options):
        words = [self.program, command, "--repeat", str(repeat), *self.options]
        for flag, value in options.items():
            words += ["--" + flag.replace("_", "-"), str(value)]
        return json.loads(output(*words))


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: status {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def cosines(n, seed):
    """Cosines of clustered vectors: row i and column i share half of their variance."""
    import numpy
    rng = numpy.random.default_rng(seed)
    common = rng.standard_normal((n, 64), dtype=numpy.float32)
    x, y = (common + rng.standard_normal((n, 64), dtype=numpy.float32) for _ in range(2))
    x /= numpy.linalg.norm(x, axis=1, keepdims=True)
    y /= numpy.linalg.norm(y, axis=1, keepdims=True)
    return x @ y.T


def seconds_of(function, *values):
    start = time.perf_counter()
    function(*values)
    return time.perf_counter() - start


def per_iteration(seconds, iterations):
    low, high = iterations
    return (seconds(high) - seconds(low)) / (high - low)


def summary(values):
    return {"median": statistics.median(values), "all": values}


def distance(ours, theirs):
    """Relative L1; NaN if either has a NaN."""
    import numpy
    return float(numpy.abs(ours - theirs).sum(dtype=numpy.float64) / numpy.abs(ours).sum(dtype=numpy.float64))


def check(name, n, error):
    if not error <= TOLERANCES.get(name, TOLERANCE):
        sys.exit(f"n = {n}: {name} disagrees: relative L1 distance {error:g} from ours")


def take_turns(repeats, ours, theirs):
    """Returns our times, and a summary of both for the peer."""
    pairs = [(ours(), theirs()) for _ in range(repeats)]
    first, second = (list(times) for times in zip(*pairs))
    return first, {"seconds": summary(second), "ours_seconds": summary(first),
                   "ratio_of_medians": statistics.median(second) / statistics.median(first),
                   "ratio_per_pair": [t / o for o, t in pairs]}


def compare_iterations(n, arguments, variants, folder):
    """Time of an iteration for each solver, in seconds."""
    import numpy
    import torch
    k = cosines(n, 1)
    affinity, plan_file = (os.path.join(folder, name) for name in ("affinity.npy", "plan.npy"))
    numpy.save(affinity, k)
    problem = {"affinity": affinity, "epsilon": arguments.epsilon}
    ours = variants[0]

    def time_ours(variant):
        return per_iteration(lambda iterations: variant.run("sinkhorn", iterations=iterations, **problem)["seconds"],
                             arguments.iterations)

    high = arguments.peer_iterations[1]
    ours.run("sinkhorn", repeat=1, iterations=high, plan=plan_file, **problem)
    reference = numpy.load(plan_file)
    all_ours, solvers = [], []

    def add(name, theirs, error):
        check(name, n, error)
        times, result = take_turns(arguments.repeats, lambda: time_ours(ours), theirs)
        all_ours.extend(times)
        solvers.append({"solver": name, **result, "plan_distance": error})
        show(n, name, result, error)

    for variant in variants[1:]:
        variant.run("sinkhorn", repeat=1, iterations=high, plan=plan_file, **problem)
        add(variant.name, lambda: time_ours(variant), distance(reference, numpy.load(plan_file)))
    for name in arguments.peers:
        solve, plan = PEERS[name](k, arguments.epsilon, arguments.device)
        for iterations in arguments.peer_iterations:  # one-time compilation and allocation
            result = solve(iterations)
        error = distance(reference, plan(result))
        del result
        add(name, lambda: per_iteration(lambda i: seconds_of(solve, i), arguments.peer_iterations), error)
        del solve, plan
    if not solvers:
        all_ours = [time_ours(ours) for _ in range(arguments.repeats)]
    matrix = torch.from_numpy(k).to(arguments.device)
    read = [seconds_of(lambda: torch_ready(matrix.sum())) for _ in range(11)]
    print(f"{n:6}  {ours.name:22} {1e3 * statistics.median(all_ours):10.3f} ms; one read of the matrix "
          f"{1e3 * statistics.median(read):.3f} ms", flush=True)
    return {"n": n, "ours": summary(all_ours), "read": summary(read), "solvers": solvers}


def compare_klot(n, arguments, ours, folder):
    """Time of a KLOT step: value and gradient."""
    import numpy
    import torch
    paths = [os.path.join(folder, name) for name in ("student.npy", "teacher.npy", "gradient.npy")]
    matrices = [cosines(n, seed) for seed in (1, 2)]
    for path, matrix in zip(paths, matrices):
        numpy.save(path, matrix)
    student, teacher = (torch.from_numpy(matrix).to(arguments.device) for matrix in matrices)

    def log_plan(k, epsilon):
        logits = k / epsilon
        u, v = log_domain(logits, KLOT_ITERATIONS)
        n, m = k.shape
        u = 0.5 * (u - torch.tensor(float(n)).log() - torch.logsumexp(logits + v[None, :], dim=1))
        return logits + u[:, None] + v[None, :]

    def klot():
        log_p, log_q = log_plan(student, arguments.epsilon), log_plan(teacher, EPSILON_TEACHER)
        p, q = log_p.exp(), log_q.exp()
        return torch_ready(((q * (log_q - log_p)).sum().item(), (p - q) / arguments.epsilon))

    def run(repeat=OURS_REPEAT):
        return ours.run("klot", repeat=repeat, student=paths[0], teacher=paths[1], gradient=paths[2],
                        epsilon_student=arguments.epsilon, epsilon_teacher=EPSILON_TEACHER,
                        iterations=KLOT_ITERATIONS)
    mine = run(repeat=1)["value"]
    value, gradient = klot()
    error = max(abs(mine - value) / abs(value), distance(numpy.load(paths[2]), gradient.cpu().numpy()))
    check("pytorch", n, error)
    _, result = take_turns(arguments.repeats, lambda: run()["seconds"], lambda: seconds_of(klot))
    show(n, "pytorch (KLOT)", result, error)
    return {"n": n, "solver": "pytorch", **result, "gradient_distance": error}


def show(n, name, result, error):
    ours, theirs = (1e3 * result[key]["median"] for key in ("ours_seconds", "seconds"))
    print(f"{n:6}  {name:22} {theirs:10.3f} ms {ours:10.3f} ms {result['ratio_of_medians']:8.1f}   {error:.1e}",
          flush=True)


def installed(peers, device):
    """Returns the peers that can run, and why the others cannot."""
    import numpy
    usable, skipped = [], {}
    for name in peers:
        try:
            PEERS[name](numpy.zeros((2, 2), numpy.float32), 1.0, device)[0](10)
            usable.append(name)
        except ImportError as error:
            skipped[name] = str(error)
            print(f"{name}: left out: {error}", flush=True)
    return usable, skipped


def versions():
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def source():
    if commit := os.environ.get("SOTALIGN_COMMIT"):  # a bundle's, which is no checkout
        return {"commit": commit}
    return {"commit": output("git", "rev-parse", "HEAD"),
            "modified": bool(output("git", "status", "--porcelain", "--untracked-files=no"))}


def processor(device):
    if device != "cpu":
        import torch
        return torch.cuda.get_device_name()
    with open("/proc/cpuinfo") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main():
    arguments = parse_arguments()
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Libraries read these when loaded. The affinity limits libraries that start their own threads.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(arguments.threads)
    if arguments.device == "cpu":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:arguments.threads])
    import torch
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    choices = itertools.product(arguments.sinkhorn_form, arguments.sinkhorn_storage)
    # The log domain stores no density.
    variants = [Ours(arguments, *choice) for choice in choices if choice != ("log_domain", "ladder")]
    arguments.peers, skipped = installed(arguments.peers, arguments.device)
    found = versions()
    report = {
        "what": "seconds of a Sinkhorn iteration (difference of two solves) and of a KLOT step; float32",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **source(),
        "command": " ".join(["bench/ot/compare_solvers.py", *sys.argv[1:]]),
        "device": processor(arguments.device), "cores": os.cpu_count(), "threads": arguments.threads,
        "versions": found, "left_out": skipped, "load_average": [os.getloadavg()[0]],
        "epsilon": arguments.epsilon, "epsilon_teacher": EPSILON_TEACHER, "klot_iterations": KLOT_ITERATIONS,
        "iterations": arguments.iterations, "peer_iterations": arguments.peer_iterations,
        "ours": variants[0].name, "sinkhorn": [], "klot": [],
    }
    print(", ".join(f"{name} {version}" for name, version in found.items()))
    if report["load_average"][0] > 1:
        print("others are using this machine (load average {:.1f}): do not rely on these times".format(
            *report["load_average"]))
    print(f"{'n':>6}  {'solver':22} {'theirs':>13} {'ours':>13} {'ratio':>8}   distance from ours")
    for n in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            report["sinkhorn"].append(compare_iterations(n, arguments, variants, folder))
    for n in arguments.sizes if arguments.klot_sizes is None else arguments.klot_sizes:
        with tempfile.TemporaryDirectory() as folder:
            report["klot"].append(compare_klot(n, arguments, variants[0], folder))
    report["load_average"].append(os.getloadavg()[0])
    print("load average {:.1f} at the start, {:.1f} at the end".format(*report["load_average"]))
    if arguments.out:
        with open(arguments.out, "w") as file:
            json.dump(report, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
