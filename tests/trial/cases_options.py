"""Options, paths and limits: nothing that a user can type or set may crash or hang the program."""

import os

import files
import world as worlds
from registry import Finding, kind

COUNTS = (
    "-1|0|1|2|2147483648|4294967297|9223372036854775807|9223372036854775808|18446744073709551616|1e3|1.5||"
    " 3|3 |0x10|nan|--steps|\u00b2"
).split("|")
REALS = "0|-1|1e-300|1e-30|1e30|1e300|1e308|1e999|nan|inf|-inf||x|1,5|0.5|-0|1e-45".split("|")
SMALL = "-1|0|1|2|1e3|1.5||x|nan".split("|")  # for options that cost time: a large value is a long run, not an error
LISTS = (
    "|,|1,|,1|0|-1|3|3,4|9223372036854775807|4611686018427387904,4|2,7767050136298756986|1,2,x|"
    "4294967296,4294967296|3 4"
).split("|") + ["1" + ",1" * 3000, "1" + ",1" * 50000]
WORDS = ["", "x", "SOTALIGN", "sail", "cca", "klot", "true", "\u0130", "a" * 10000, "auto", "\n"]
TRAINING = {
    "--dim": COUNTS,
    "--batch-pairs": COUNTS,
    "--batch-unpaired": COUNTS,
    "--validate-every": COUNTS,
    "--checkpoint-every": COUNTS,
    "--log-every": COUNTS,
    "--seed": COUNTS,
    "--warmup-steps": COUNTS,
    "--teacher-dim": COUNTS,
    "--threads": ["-1", "0", "1", "2", "65", "4097", "x", "2147483648"],
    "--nnclr-neighbours": COUNTS,
    "--structure-warmup-steps": COUNTS,
    "--steps": SMALL,
    "--iterations": SMALL,
    "--learning-rate": REALS,
    "--divergence-weight": REALS,
    "--ridge": REALS,
    "--epsilon-student": REALS,
    "--epsilon-teacher": REALS,
    "--tolerance": REALS,
    "--relaxation": REALS,
    "--weight-decay": REALS,
    "--beta1": REALS,
    "--beta2": REALS,
    "--final-fraction": REALS,
    "--image-rate": REALS,
    "--adam-epsilon": REALS,
    "--affinity-memory-mib": REALS,
    "--sclip-epsilon": REALS,
    "--structure-temperature": REALS,
    "--correlation-power": REALS,
    "--epsilon-scaling": REALS,
    "--hidden": LISTS,
    "--method": WORDS,
    "--teacher": WORDS,
    "--activation": WORDS,
    "--residual": WORDS,
    "--device": [*WORDS, "cuda", "cuda:99999999999", "cpu:1"],
    "--affinity-memory": WORDS,
    "--divergence": ["infonce", "cka", *WORDS],
    "--optimizer": ["adamw", *WORDS],
    "--schedule": ["constant", *WORDS],
    "--images": ["", "-"],
    "--nothing": WORDS,
}


@kind("options.train", weight=4)
def train(case):
    random, out = case.random, case.path("run")
    arguments = case.world.train(out, "--steps", 3)
    for flag in random.sample(sorted(TRAINING), random.choice([1, 1, 2])):
        arguments += [flag, random.choice(TRAINING[flag])]
    result = case.well(case.run(arguments))
    if result.code == 2:
        return "refused"
    for name, tensor in files.read_safetensors(os.path.join(out, "model.safetensors"))[0].items():
        case.expect(files.finite_tensor(tensor), f"exit code 0, but the model has numbers that are not finite: {name}")
    return "accepted, finite"


@kind("options.sweep")
def sweep(case):
    random = case.random
    words = [
        "divergence_weight=0,3",
        "klot_weight=0,3",
        "divergence_weight",
        "=",
        "divergence_weight=",
        "hidden=[],[3]",
        "hidden=[[",
        "seed=1,1",
        "out=a,b",
        "steps=" + ",".join(map(str, range(2000))),
        "divergence_weight=" + "[" * 10000,
        "nothing=1",
        "",
        "learning_rate=1e400",
        "divergence_weight=nan",
        'divergence_weight="',
        "seed=18446744073709551616",
    ]
    ranges = [
        "learning_rate=1e-5..1e-2:log",
        "seed=0..18446744073709551615",
        "divergence_weight=1..0",
        "divergence_weight=..",
        "divergence_weight=0..1:log",
        "dim=1..9223372036854775807",
        "x",
    ]
    arguments = ["sweep", *case.world.inputs(), *worlds.OPTIONS, "--steps", 2, "--out", case.path("sweep")]
    arguments += (
        ["--vary", random.choice(words)]
        if random.random() < 0.6
        else ["--random", random.choice(["1", "2", "-1", "1e9", "99999999999"]), "--range", random.choice(ranges)]
    )
    result = case.well(case.run(arguments))
    return "refused" if result.code == 2 else "accepted, finite"


@kind("options.compute", weight=2)
def compute(case):
    random, square = case.random, case.world.path("square.npy")
    name = random.choice(["sinkhorn", "klot", "divergence", "similarity", "shift", "search", "split"])
    data = case.world.path("data")
    flags = {
        "sinkhorn": ["--affinity", square],
        "klot": ["--student", square, "--teacher", square],
        "divergence": ["--student", square, "--teacher", square],
        "similarity": ["--x", os.path.join(data, "val_images.npy"), "--y", os.path.join(data, "val_texts.npy")],
        "shift": [
            "--images",
            os.path.join(data, "val_images.npy"),
            "--texts",
            os.path.join(data, "val_texts.npy"),
            "--other-images",
            os.path.join(data, "images.npy"),
            "--other-texts",
            os.path.join(data, "texts.npy"),
        ],
        "search": [
            "--queries",
            os.path.join(data, "val_images.npy"),
            "--gallery",
            os.path.join(data, "images.npy"),
        ],
        "split": [
            "--images",
            os.path.join(data, "pairs_images.npy"),
            "--texts",
            os.path.join(data, "pairs_texts.npy"),
            "--out",
            case.path("split"),
        ],
    }[name]
    plan = {
        "--iterations": SMALL,
        "--tolerance": REALS,
        "--check-every": COUNTS,
        "--relaxation": REALS,
        "--epsilon-scaling": REALS,
        "--repeat": SMALL,
        "--sinkhorn-form": ["scaling", "log_domain", *WORDS],
        "--sinkhorn-storage": ["ladder", *WORDS],
    }
    more = {
        "sinkhorn": {**plan, "--epsilon": REALS},
        "klot": {
            **plan,
            "--epsilon-student": REALS,
            "--epsilon-teacher": REALS,
            "--affinity-memory": ["fixed16", *WORDS],
        },
        "divergence": {**plan, "--kind": ["infonce", "cka", *WORDS], "--epsilon-student": REALS},
        "similarity": {"--k": COUNTS},
        "search": {
            "--k": COUNTS,
            "--out": ["-", case.path("h.html"), case.path("h.npy"), "/nowhere/h.npy", *WORDS],
            "--format": ["npy", "html", "jsonl", *WORDS],
            "--side": ["text", *WORDS],
            "--gallery-side": ["embedded", *WORDS],
            "--hubness": ["dbs", *WORDS],
            "--captions": [os.path.join(data, "images.npy"), "-", *WORDS],
            "--thumbnails": [data, *WORDS],
            "--scores": [case.path("s.npy"), "-", *WORDS],
        },
        "split": {"--pairs": COUNTS, "--test": COUNTS, "--validation": COUNTS, "--seed": COUNTS},
        "shift": {"--projections": [*SMALL, "9223372036854775807", "4611686018427387904"], "--seed": COUNTS},
    }[name]
    arguments = [name, *flags]
    for flag in random.sample(sorted(more), min(len(more), random.choice([1, 1, 2, 3]))):
        arguments += [flag, random.choice(more[flag])]
    result = case.well(case.run(arguments))
    return "refused" if result.code == 2 else "accepted, finite"


@kind("options.paths")
def paths(case):
    """Names with spaces, line ends, quotes, bytes that are not UTF-8, a leading dash, dots, and a long one."""
    random = case.random
    name = random.choice(
        [
            b"a b",
            b"a\nb",
            b"\xff\xfe",
            b"-x",
            b"'\"$(x)`",
            "\u00e9\u4e2d".encode(),
            b"a" * 200,
            b"..",
            b".",
            b"",
            b"a/../b",
            b"%s%n",
            b"\x1b[2J",
            b"a:b",
            b"run/",
        ]
    )
    out = os.path.join(os.fsencode(case.place), name) if random.random() < 0.7 else name
    data = os.fsencode(case.place) + b"/" + (name.replace(b"/", b"_") + b"d").strip(b".")
    os.makedirs(data, exist_ok=True)
    case.world.write_data(os.fsdecode(data))
    arguments = case.world.train(os.fsdecode(out), "--steps", 3, data=os.fsdecode(data))
    result = case.well(case.run(arguments))
    return "refused" if result.code == 2 else "accepted"


@kind("limits.memory", weight=2)
def memory(case):
    """With little address space the program works or fails with one line. The loader's own failures count too.

    The system itself kills a program that it cannot map, so the limit leaves room for the file and the loader.
    """
    random = case.random
    limit = int(
        random.choice(
            [random.uniform(20, 120), random.uniform(120, 330), random.uniform(120, 330), random.uniform(330, 900)]
        )
        * 2**20
    )
    limit = max(limit, os.path.getsize(case.program.path) + 2 * 2**20)
    out = case.path("run")
    threads = ["--threads", random.choice([1, 2, 2, 8])]
    arguments = random.choice(
        [
            case.world.train(out, *threads),
            ["similarity", "--x", case.world.path("square.npy"), "--y", case.world.path("square.npy"), *threads],
            case.world.embed(case.world.path("whole", "model.safetensors"), case.path("out.npy"))[:-2] + threads,
        ]
    )
    result = case.run(arguments, limit=limit)
    case.note(f"ulimit -v {limit // 1024}")
    case.expect(not result.timed_out and result.code >= 0, result.describe())
    if result.code in (1, 127):  # from the loader, or from OpenMP when it cannot create threads
        case.expect(
            len(result.line.split("\n")) == 1 and result.line, f"expected one line, found {result.err[:300]!r}"
        )
        return "failed with one line before main or in OpenMP"
    case.well(result)
    if result.code == 2:
        return "refused"
    if arguments[0] == "train" and threads[1] == 1:
        different = worlds.difference(case.world.trained, worlds.train_outcome(out))
        if different:
            raise Finding(f"with less memory: {different}")
    return "worked"
