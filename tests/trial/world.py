"""The start of every case: embeddings, and the results of undisturbed runs on them. Made once, then only read."""

import json
import os
import random
import shutil

import files

STEPS = 60
OPTIONS = [
    "--steps",
    STEPS,
    "--validate-every",
    7,
    "--batch-unpaired",
    30,
    "--batch-pairs",
    20,
    "--threads",
    1,
    "--seed",
    5,
]
VARIED = ["--learning-rate", "0.003", "--divergence-weight", 3]
OFTEN = ["--checkpoint-every", 3, "--log-every", 2]
LONG = ["--steps", 12 * STEPS]  # at least half a second, so that a case can interfere while it trains
FLAGS = {
    "--pairs-images": "pairs_images.npy",
    "--pairs-texts": "pairs_texts.npy",
    "--images": "images.npy",
    "--texts": "texts.npy",
    "--val-images": "val_images.npy",
    "--val-texts": "val_texts.npy",
}
SWEEP = ["--vary", "divergence_weight=0,3,10", "--vary", "learning_rate=0.001,0.003"]


class Unexpected(Exception):
    """An undisturbed run failed."""


def rows(seed, latent_seed, count, dim):
    """Linear images of a common latent, with noise. Rows with the same latent_seed correspond."""
    latent, noise, maps = random.Random(latent_seed), random.Random(seed), random.Random(dim)
    weights = [[maps.gauss(0, 1) for _ in range(dim)] for _ in range(5)]
    result = []
    for _ in range(count):
        z = [latent.gauss(0, 1) for _ in range(5)]
        result.append([sum(a * w[j] for a, w in zip(z, weights)) + 0.3 * noise.gauss(0, 1) for j in range(dim)])
    return result


class World:
    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        os.makedirs(self.data)
        self.write_data(self.data)
        self.make_runs()

    @property
    def data(self):
        return os.path.join(self.directory, "data")

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    @staticmethod
    def write_data(directory):
        sizes = [
            ("pairs_images.npy", 1, 1, 40, 12),
            ("pairs_texts.npy", 2, 1, 40, 9),
            ("images.npy", 3, 3, 60, 12),
            ("texts.npy", 4, 4, 50, 9),
            ("val_images.npy", 5, 5, 20, 12),
            ("val_texts.npy", 6, 5, 20, 9),
        ]
        for name, seed, latent, count, dim in sizes:
            files.write(os.path.join(directory, name), files.float_rows(rows(seed, latent, count, dim)))

    def inputs(self, directory=None):
        return [word for flag, name in FLAGS.items() for word in (flag, os.path.join(directory or self.data, name))]

    def train(self, out, *more, data=None):
        return ["train", *self.inputs(data), *OPTIONS, *VARIED, *OFTEN, "--out", out, *more]

    def sweep(self, out, *more, data=None):
        return ["sweep", *self.inputs(data), *OPTIONS, *SWEEP, "--out", out, *more]

    def resume(self, command, out, *more):
        return [command, "--out", out, "--resume", *more]

    def embed(self, model, output):
        return [
            "embed",
            "--model",
            model,
            "--side",
            "text",
            "--input",
            self.path("data", "val_texts.npy"),
            "--output",
            output,
            "--threads",
            1,
        ]

    def search(self, model, output):
        return [
            "search",
            "--model",
            model,
            "--side",
            "text",
            "--queries",
            self.path("data", "val_texts.npy"),
            "--gallery",
            self.path("data", "images.npy"),
            "--k",
            5,
            "--out",
            output,
            "--threads",
            1,
        ]

    def eval(self, model, output):
        return [
            "eval",
            "--model",
            model,
            "--images",
            self.path("data", "val_images.npy"),
            "--texts",
            self.path("data", "val_texts.npy"),
            "--json",
            output,
            "--threads",
            1,
        ]

    def must(self, arguments):
        result = self.program.run(arguments)
        if result.code != 0:
            raise Unexpected(f"{result.command}\n{result.describe()}")
        return result

    def make_runs(self):
        square, twenty = rows(7, 7, 20, 20), list(range(20))
        files.write(self.path("square.npy"), files.float_rows([[0.1 * value for value in row] for row in square]))
        files.write(self.path("ids.npy"), files.integers(twenty))
        whole, half, sweep = self.path("whole"), self.path("half"), self.path("sweep")
        self.train_seconds = self.must(self.train(whole)).seconds
        # Sanitizers and a shared machine make runs slower.
        self.program.time_limit = max(self.program.time_limit, 100 * self.train_seconds)
        self.must(self.train(half, "--stop-after", STEPS // 2 + 1))
        self.sweep_seconds = self.must(self.sweep(sweep)).seconds
        self.long_seconds = self.must(self.train(self.path("long"), *LONG)).seconds
        self.must(self.train(self.path("long_half"), *LONG, "--stop-after", STEPS // 2))
        half_sweep = self.path("half_sweep")
        self.must(self.sweep(half_sweep, "--stop-after-runs", 3))
        model = os.path.join(whole, "model.safetensors")
        self.must(self.embed(model, self.path("embedded.npy")))
        self.must(self.eval(model, self.path("eval.json")))
        self.must(self.search(model, self.path("hits.jsonl")))
        self.found = files.read(self.path("hits.jsonl"))
        self.embedded, self.evaluated = files.read(self.path("embedded.npy")), files.read(self.path("eval.json"))
        self.trained, self.swept = train_outcome(whole), sweep_outcome(sweep)
        self.trained_long = train_outcome(self.path("long"))

    def copy(self, name, place):
        """Copies one of the runs above, for a case to damage."""
        target = os.path.join(place, name)
        shutil.copytree(self.path(name), target)
        return target


def without_seconds(value):
    """The same JSON without times, which differ between runs, and without output directories."""
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k not in ("seconds", "out")}
    return [without_seconds(v) for v in value] if isinstance(value, list) else value


def train_outcome(out):
    """The parts of a finished run that another run must reproduce."""
    tensors, _ = files.read_safetensors(os.path.join(out, "model.safetensors"))
    lines = files.read(os.path.join(out, "metrics.jsonl")).decode().splitlines()
    summary = json.loads(files.read(os.path.join(out, "summary.json")))
    return {
        "model": tensors,
        "metrics": [without_seconds(json.loads(line)) for line in lines],
        "summary": without_seconds(summary),
    }


def sweep_outcome(out):
    tensors, _ = files.read_safetensors(os.path.join(out, "model.safetensors"))
    sweep = json.loads(files.read(os.path.join(out, "sweep.json")))
    return {"model": tensors, "runs": without_seconds(sweep["runs"]), "selected": sweep["selected"]}


def difference(expected, found, parts=None):
    """Describes the first part that differs; None if there is none."""
    for part in parts or expected:
        if expected[part] != found[part]:
            return f"{part} differs from the undisturbed run"
    return None
