"""Damaged files: refused with one line that names a file, or the same result as without damage."""

import os

import files
import world as worlds
from registry import kind, names_a_file


def hurt(case, path):
    """Damages the file once, at a random position."""
    done, data = files.damage(case.random, files.read(path))
    files.write(path, data)
    case.note(f"{path}: {done}")


def refused(case, result):
    case.well(result)
    if result.code != 2:
        return False
    case.expect(names_a_file(result, case.place), f"refused without naming a file: {result.line!r}")
    return True


@kind("corrupt.model", weight=4)
def model(case):
    path = case.path("model.safetensors")
    files.write(path, files.read(case.world.path("whole", "model.safetensors")))
    hurt(case, path)
    if refused(case, case.run(case.world.eval(path, case.path("eval.json")))):
        # If one command refuses a file, so must the others.
        case.expect(
            refused(case, case.run(case.world.embed(path, case.path("out.npy")))), "eval refuses it, embed accepts it"
        )
        return "refused"
    case.expect(files.read(case.path("eval.json")) == case.world.evaluated, "eval gives different figures")
    if refused(case, case.run(case.world.embed(path, case.path("out.npy")))):
        return "same result of eval, refused by embed"
    case.expect(files.read(case.path("out.npy")) == case.world.embedded, "embed gives different rows")
    return "the same result"


def resume_damaged(case, name, parts):
    out = case.world.copy("half", case.place)
    hurt(case, os.path.join(out, name))
    if refused(case, case.run(case.world.resume("train", out))):
        return "refused"
    different = worlds.difference(case.world.trained, worlds.train_outcome(out), parts)
    case.expect(different is None, f"a damaged {name} was accepted: {different}")
    return "the same result"


@kind("corrupt.checkpoint", weight=4)
def checkpoint(case):
    return resume_damaged(case, "checkpoint.safetensors", ["model", "metrics", "summary"])


@kind("corrupt.metrics", weight=2)
def metrics(case):
    return resume_damaged(case, "metrics.jsonl", ["model", "metrics", "summary"])


@kind("corrupt.config", weight=2)
def config(case):
    """Damage to log_every or threads may give another valid value, so only the model is compared."""
    return resume_damaged(case, "config.json", ["model"])


@kind("corrupt.sweep", weight=2)
def sweep(case):
    out = case.world.copy("half_sweep", case.place)
    hurt(case, os.path.join(out, "sweep.json"))
    if refused(case, case.run(case.world.resume("sweep", out))):
        return "refused"
    different = worlds.difference(case.world.swept, worlds.sweep_outcome(out))
    case.expect(different is None, f"a damaged sweep.json was accepted: {different}")
    return "the same result"
