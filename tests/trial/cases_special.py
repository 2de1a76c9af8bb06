"""Paths that are not regular files, and outputs that cannot be written: nothing hangs, no input is lost."""

import os
import socket

import commands
import files
from cases_files import judge
from registry import kind


@kind("special.files", weight=2)
def special(case):
    """Instead of a file: a pipe without a writer, a device, a directory, a socket, a cycle of links."""
    random, path = case.random, case.path("special")
    what = random.choice(
        [
            "fifo",
            "/dev/zero",
            "/dev/full",
            "/dev/null",
            "/dev/tty",
            "directory",
            "socket",
            "loop",
            "missing",
            "long",
            "unreadable",
            "empty",
            "/proc/self/mem",
            "link to a fifo",
            "stdin",
        ]
    )
    if what == "fifo":
        os.mkfifo(path)
    elif what == "link to a fifo":
        os.mkfifo(path + ".fifo")
        os.symlink(path + ".fifo", path)
    elif what.startswith("/"):
        path = what
    elif what == "stdin":
        path = "/dev/stdin"
    elif what == "directory":
        os.mkdir(path)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            here = os.getcwd()
            try:  # socket names are limited in length
                listening.bind(os.path.relpath(path, here) if len(path) > 90 else path)
            except OSError:
                return "not possible here"
    elif what == "loop":
        os.symlink(path, path)
    elif what == "long":
        path = case.path("x" * random.choice([254, 255, 256, 5000]))
    elif what in ("empty", "unreadable"):
        files.write(path, b"")
        os.chmod(path, 0 if what == "unreadable" else 0o600)
    case.note(what)
    arguments = random.choice(
        [
            commands.with_matrix(case, path),
            commands.with_vector(case, path),
            commands.with_model(case, path),
            case.world.train(case.path("run"), "--config", path),
            [
                "study",
                "--images",
                case.world.path("square.npy"),
                "--texts",
                case.world.path("square.npy"),
                "--plan",
                path,
                "--out",
                case.path("study"),
            ],
        ]
    )
    return judge(case, case.run(arguments))


@kind("special.outputs", weight=1)
def outputs(case):
    """Outputs that cannot be written or are also inputs: no input is lost."""
    random = case.random
    source, model = case.path("input.npy"), case.path("model.safetensors")
    files.write(source, files.read(case.world.path("data", "val_images.npy")))
    files.write(model, files.read(case.world.path("whole", "model.safetensors")))
    before = files.read(source), files.read(model)
    os.mkdir(case.path("directory"))
    os.mkfifo(case.path("fifo"))
    os.symlink(source, case.path("link"))
    os.link(source, case.path("same"))
    target = random.choice(
        [
            source,
            model,
            case.path("link"),
            case.path("same"),
            case.path("directory"),
            case.path("fifo"),
            "/dev/full",
            case.path("missing", "out.npy"),
            "/proc/out.npy",
            case.path("directory", "..", "input.npy"),
            "",
            case.path("x" * 300),
        ]
    )
    case.note("an output that is also an input or cannot be written")
    result = case.well(
        case.run(["embed", "--model", model, "--side", "image", "--input", source, "--output", target])
    )
    case.expect(
        (files.read(source), files.read(model)) == before,
        f"--output {target}: an input was overwritten, exit code {result.code}",
    )
    return "refused" if result.code == 2 else "accepted"
