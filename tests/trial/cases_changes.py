"""Inputs that change during a run, or between a run and its continuation."""

import os
import random as randoms
import shutil
import time

import files
import world as worlds
from registry import Finding, kind

MATRICES = sorted(worlds.FLAGS.values())


def permuted(random, rows):
    rows = list(rows)
    while True:
        result = random.sample(rows, len(rows))
        if result != rows:
            return result


def two_swapped(random, rows):
    rows = list(rows)
    i, j = random.sample(range(len(rows)), 2)
    rows[i], rows[j] = rows[j], rows[i]
    return rows


def one_value(random, rows):
    rows = [list(row) for row in rows]
    i, j = random.randrange(len(rows)), random.randrange(len(rows[0]))
    rows[i][j] += random.choice([1e-3, -1e-3, 1.0])
    return rows


CHANGES = {
    "rows permuted": permuted,
    "two rows swapped": two_swapped,
    "rows reversed": lambda _, rows: rows[::-1],
    "one value changed": one_value,
    "last row missing": lambda _, rows: rows[:-1],
    "first row twice": lambda _, rows: [rows[0]] + rows[:-1],
}


def resume_with_other_data(case, command, arguments, stop):
    data, out = case.path("data"), case.path("run")
    os.makedirs(data)
    case.world.write_data(data)
    case.well(case.run(arguments(out, *stop, data=data)), codes=(0,))
    name, change = case.random.choice(MATRICES), case.random.choice(sorted(CHANGES))
    path = os.path.join(data, name)
    files.write(path, files.float_rows(CHANGES[change](case.random, files.read_rows(path))))
    case.note(f"{name}: {change}")
    result = case.well(case.run(case.world.resume(command, out)))
    case.expect(result.code == 2, f"continued with other data: {name}, {change}")
    return "refused"


@kind("otherdata.train", weight=3)
def train(case):
    return resume_with_other_data(case, "train", case.world.train, ["--stop-after", worlds.STEPS // 2])


@kind("otherdata.sweep")
def sweep(case):
    return resume_with_other_data(case, "sweep", case.world.sweep, ["--stop-after-runs", 3])


@kind("otherdata.moved")
def moved(case):
    """The same rows in files written again later: still the same run."""
    data, out = case.path("data"), case.path("run")
    os.makedirs(data)
    case.world.write_data(data)
    case.well(case.run(case.world.train(out, "--stop-after", worlds.STEPS // 2, data=data)), codes=(0,))
    shutil.rmtree(data)
    os.makedirs(data)
    case.world.write_data(data)
    case.note("data written again")
    case.well(case.run(case.world.resume("train", out)), codes=(0,))
    different = worlds.difference(case.world.trained, worlds.train_outcome(out))
    if different:
        raise Finding(different)
    return "continued, the same result"


@kind("during.train", weight=2)
def during(case):
    """A file is truncated or overwritten while in use: the run notices it, or it has no effect."""
    data, out = case.path("data"), case.path("run")
    os.makedirs(data)
    case.world.write_data(data)
    # Validation reads its files until the end; the others are read before training starts.
    name = case.random.choice([*MATRICES, "val_images.npy", "val_texts.npy", "val_images.npy", "val_texts.npy"])
    path = os.path.join(data, name)
    old = files.read(path)
    what = case.random.choice(["emptied", "shortened", "overwritten", "replaced"])
    process = case.start(case.world.train(out, *worlds.LONG, data=data))
    time.sleep(case.random.uniform(0, case.world.long_seconds))
    if what in ("emptied", "shortened"):
        os.truncate(path, 0 if what == "emptied" else case.random.randrange(len(old)))
    else:
        dice = randoms.Random(case.random.random())
        values = [[dice.gauss(0, 1) for _ in row] for row in files.read_rows(path)]
        if what == "overwritten":
            files.overwrite(path, files.float_rows(values))
        else:  # a new file under the same name: open or mapped ones keep their content
            files.write(path + ".new", files.float_rows(values))
            os.replace(path + ".new", path)
    case.note(f"{name}: {what} during the run")
    result = case.well(case.finish(process))
    if result.code == 2:
        case.expect("/" in result.err, f"refused without naming a file: {result.line!r}")
        return f"{what}: refused"
    different = worlds.difference(case.world.trained_long, worlds.train_outcome(out))
    if different and os.path.exists(path) and read_before(case, out, data):
        return f"{what}: before the run read it"
    case.expect(different is None, f"{name} {what} during the run: exit code 0 and {different}")
    return f"{what}: the same result"


def read_before(case, out, data):
    """Whether a run on the changed files gives the same result, that is, they changed before they were read."""
    again = out + "_again"
    done = case.run(case.world.train(again, *worlds.LONG, data=data))
    return done.code == 0 and worlds.difference(worlds.train_outcome(again), worlds.train_outcome(out)) is None
