"""Runs that end at a random time and are continued: the result must equal that of an uninterrupted run."""

import json
import os
import signal
import time

import files
import world as worlds
from registry import Finding, kind

ROUNDS = 3  # a continued run may be killed again


def wait_for(path, process, seconds=20):
    """Waits until the file is not empty or the process has ended."""
    until = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < until:
        if os.path.exists(path) and os.path.getsize(path) > 0:
            return True
        time.sleep(0.002)
    return False


def continue_to_end(case, command, out, start):
    """Continues the run in `out`, or starts again if there is none. One of the two must work."""
    if not os.path.exists(out):
        return case.well(case.run(start), codes=(0,))
    resumed = case.well(case.run(case.world.resume(command, out)))
    if resumed.code == 0:
        return resumed
    again = case.well(case.run(start))
    if again.code == 0:
        return again
    if "remove" in resumed.err or "delete" in resumed.err:
        files_there = set(os.listdir(out))
        case.expect(not files_there & {"model.safetensors", "checkpoint.safetensors"}, "told to remove a checkpoint")
        for name in files_there:
            os.remove(os.path.join(out, name))
        os.rmdir(out)
        return case.well(case.run(start), codes=(0,))
    raise Finding(f"a dead end: --resume says {resumed.err.strip()!r}, a new start says {again.err.strip()!r}")


def check_end(case, out, outcome, expected):
    different = worlds.difference(expected, outcome(out))
    if different:
        raise Finding(different)
    left = [name for name in os.listdir(out) if name.endswith(".tmp")]
    case.expect(not left, f"left behind: {left}")


def kill_and_continue(case, command, start, seconds, outcome, expected):
    out = case.path("run")
    arguments = start(out)
    for _ in range(case.random.randint(1, ROUNDS)):
        process = case.start(arguments)
        delay = case.random.uniform(0, 1.3 * seconds)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        case.finish(process)
        case.note(f"killed after {delay:.3f} s")
        has_checkpoint = os.path.exists(os.path.join(out, "checkpoint.safetensors")) or command == "sweep"
        arguments = case.world.resume(command, out) if os.path.exists(out) and has_checkpoint else start(out)
    continue_to_end(case, command, out, start(out))
    check_end(case, out, outcome, expected)
    return "continued, the same result"


@kind("kill.train", weight=3)
def train(case):
    """With frequent checkpoints, or with none before the end: then a new start must be possible."""
    every = ["--checkpoint-every", case.random.choice([3, 3, 1000])]
    return kill_and_continue(
        case,
        "train",
        lambda out: case.world.train(out, *every),
        case.world.train_seconds,
        worlds.train_outcome,
        case.world.trained,
    )


@kind("kill.sweep", weight=2)
def sweep(case):
    return kill_and_continue(
        case, "sweep", case.world.sweep, case.world.sweep_seconds, worlds.sweep_outcome, case.world.swept
    )


@kind("signal.train", weight=2)
def signals(case):
    """A signal requests a stop during training: the program finishes the step, saves it and says so."""
    out, number = case.path("run"), case.random.choice([signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    start = case.world.train(out, *worlds.LONG, "--checkpoint-every", case.random.choice([3, 1000]))
    process = case.start(start)
    wait_for(os.path.join(out, "metrics.jsonl"), process)
    time.sleep(case.random.uniform(0, 0.5 * case.world.long_seconds))
    process.send_signal(number)
    result = case.finish(process)
    case.note(f"{number.name} while training")
    case.well(result, codes=(0, 130))
    if result.code == 130:
        case.expect(
            "stopped after step" in result.out, f"{number.name}: stopped without saying so: {result.out[-200:]!r}"
        )
    continue_to_end(case, "train", out, start)
    check_end(case, out, worlds.train_outcome, case.world.trained_long)
    return f"{number.name}: " + ("stopped, continued, the same result" if result.code else "was done before")


@kind("signal.sweep")
def signal_sweep(case):
    out, number = case.path("run"), case.random.choice([signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
    start = case.world.sweep(out)
    process = case.start(start)
    wait_for(os.path.join(out, "sweep.json"), process)
    time.sleep(case.random.uniform(0, 0.3 * case.world.sweep_seconds))
    process.send_signal(number)
    result = case.finish(process)
    case.note(f"{number.name} during the sweep")
    case.expect(
        result.code in (0, 130)
        or result.code == -number
        and not os.path.exists(os.path.join(out, "model.safetensors")),
        result.describe(),
    )
    continue_to_end(case, "sweep", out, start)
    check_end(case, out, worlds.sweep_outcome, case.world.swept)
    return f"{number.name}: " + ("stopped, continued, the same result" if result.code else "was done before")


@kind("kill.embed")
def embed(case):
    """The output is the old file or the complete new one, and the next run is not obstructed."""
    target = case.path("out.npy")
    old = b"what was here before"
    files.write(target, old)
    arguments = case.world.embed(case.world.path("whole", "model.safetensors"), target)
    process = case.start(arguments)
    time.sleep(case.random.uniform(0, 0.08))
    process.send_signal(signal.SIGKILL)
    case.finish(process)
    case.expect(files.read(target) in (old, case.world.embedded), "a partial file was left")
    case.well(case.run(arguments), codes=(0,))
    case.expect(files.read(target) == case.world.embedded, "a different result after a kill")
    return "old or new file, then the same result"


@kind("kill.search")
def search(case):
    """The same of the hits of a search."""
    target = case.path("hits.jsonl")
    old = b"what was here before"
    files.write(target, old)
    arguments = case.world.search(case.world.path("whole", "model.safetensors"), target)
    process = case.start(arguments)
    time.sleep(case.random.uniform(0, 0.08))
    process.send_signal(signal.SIGKILL)
    case.finish(process)
    case.expect(files.read(target) in (old, case.world.found), "a partial file was left")
    case.well(case.run(arguments), codes=(0,))
    case.expect(files.read(target) == case.world.found, "a different result after a kill")
    return "old or new file, then the same result"


@kind("kill.split")
def split(case):
    """Files of a killed split are complete, and split.json is there only if all are."""
    out, data = case.path("split"), case.world.path("data")
    arguments = ["split", "--images", os.path.join(data, "pairs_images.npy")]
    arguments += ["--texts", os.path.join(data, "pairs_texts.npy"), "--pairs", 9, "--test", 8, "--validation", 7]
    process = case.start([*arguments, "--out", out])
    time.sleep(case.random.uniform(0, 0.05))
    process.send_signal(signal.SIGKILL)
    case.finish(process)
    whole = case.path("whole")
    case.well(case.run([*arguments, "--out", whole]), codes=(0,))
    names = [name for name in (os.listdir(out) if os.path.isdir(out) else []) if not name.startswith(".")]
    for name in names:
        case.expect(
            files.read(os.path.join(out, name)) == files.read(os.path.join(whole, name)), f"{name} is not complete"
        )
    case.expect("split.json" not in names or len(names) == 9, f"split.json beside {names}")
    return f"{'all' if len(names) == 9 else 'some or no'} files, each complete"


@kind("signal.pipe")
def pipe(case):
    """The reader of standard output exits, as in `| head`."""
    out = case.path("run")
    start = case.world.train(out, *worlds.LONG)
    read_end, write_end = os.pipe()
    process = case.start(start, stdout=write_end)
    os.close(write_end)
    if case.random.random() < 0.7:
        os.read(read_end, case.random.choice([1, 100, 1000]))
    os.close(read_end)
    result = case.finish(process)
    case.note("the reader of its standard output has exited")
    case.expect(not result.timed_out and result.code >= 0, result.describe())
    case.expect(result.code in (0, 2, 130), result.describe())
    continue_to_end(case, "train", out, start)
    check_end(case, out, worlds.train_outcome, case.world.trained_long)
    return "stopped or refused, continued, the same result"


@kind("concurrent.runs")
def concurrent(case):
    """Two runs with the same output directory: one succeeds, the other is refused."""
    out, command = case.path("run"), case.random.choice(["train", "resume", "sweep"])
    outcome, expected = worlds.train_outcome, case.world.trained_long
    if command == "train":
        arguments = case.world.train(out, *worlds.LONG)
    elif command == "resume":
        out = case.world.copy("long_half", case.place)
        arguments = case.world.resume("train", out)
    else:
        arguments, outcome, expected = case.world.sweep(out), worlds.sweep_outcome, case.world.swept
    first = case.start(arguments)
    time.sleep(case.random.choice([0, 0, 0.002, 0.01, 0.05]))
    second = case.start(arguments)
    results = [case.well(case.finish(process)) for process in (first, second)]
    codes = sorted(result.code for result in results)
    case.expect(codes != [2, 2], f"both were refused: {results[0].line!r}, {results[1].line!r}")
    case.expect(codes == [0, 2], "two processes used one directory at the same time and both exited with 0")
    check_end(case, out, outcome, expected)
    return f"{command}: one was refused"


@kind("closed.descriptors", weight=2)
def closed(case):
    """Closed standard streams: files must not take their place."""
    descriptors = case.random.choice([(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
    out = case.path("run")
    good = case.random.random() < 0.6
    arguments = case.world.train(out) if good else case.world.train(out, "--steps", "x")
    result = case.run(arguments, closed=descriptors)
    case.note(f"without descriptors {descriptors}")
    case.expect(not result.timed_out and result.code >= 0, result.describe())
    case.expect(result.code in (0, 2), f"exit code {result.code}")
    if not good:
        case.expect(result.code == 2, "an invalid option was accepted")
        return "refused"
    if result.code == 2:  # it could not write its output
        return "refused"
    for line in files.read(os.path.join(out, "metrics.jsonl")).decode("utf-8", "replace").splitlines():
        try:
            json.loads(line)
        except ValueError:
            raise Finding(f"descriptors {descriptors} closed: metrics.jsonl contains the line {line[:80]!r}") from None
    check_end(case, out, worlds.train_outcome, case.world.trained)
    return "the same result"
