"""Malformed or absurd files: exit 0 with finite output, or exit 2 with one line."""

import json
import math
import os
import struct

import commands
import files
from hostile import VALUES, hostile_floats, hostile_npy, hostile_safetensors, spoil_head
from registry import kind


def judge(case, result):
    case.well(result)
    if result.code == 2:
        return "refused"
    out = case.path("out.npy")
    if os.path.exists(out):
        case.expect(files.finite_npy(out), "exit code 0, but the output has values that are not finite")
    return "accepted, finite"


@kind("malformed.npy", weight=4)
def npy(case):
    path = case.path("hostile.npy")
    what, data = hostile_npy(case.random)
    files.write(path, data)
    case.note(f"a .npy file with hostile {what}")
    reader = commands.with_matrix if case.random.random() < 0.8 else commands.with_vector
    return judge(case, case.run(reader(case, path)))


@kind("malformed.vector", weight=2)
def vector(case):
    path, random = case.path("hostile.npy"), case.random
    count = random.choice([0, 1, 19, 20, 20, 20, 21])
    if random.random() < 0.5:
        values = [random.choice([0, 1, 2, 3, -1, 2**63 - 1, -(2**63)]) for _ in range(count)]
        files.write(path, files.npy_bytes("<i8", (count,), struct.pack(f"<{count}q", *values)))
    else:
        values = [random.choice([*VALUES, 0.05, 0.05, -0.05, 1e308]) for _ in range(count)]
        files.write(path, files.npy_bytes("<f8", (count,), struct.pack(f"<{count}d", *values)))
    case.note("hostile weights or ids")
    return judge(case, case.run(commands.with_vector(case, path)))


@kind("malformed.safetensors", weight=3)
def safetensors(case):
    path = case.path("hostile.safetensors")
    what, data = hostile_safetensors(case.random)
    files.write(path, data)
    case.note(f"a safetensors file with hostile {what}")
    return judge(case, case.run(commands.with_matrix(case, path)))


@kind("malformed.model", weight=4)
def model(case):
    """A model without checksums, as older versions wrote it, with one absurd part; the rest is consistent."""
    random, path = case.random, case.path("hostile.safetensors")
    tensors, metadata = files.read_safetensors(case.world.path("whole", "model.safetensors"))
    metadata = {k: v for k, v in metadata.items() if k != "checksums"}
    metadata["format"] = "sotalign-model-1"
    what, finite = random.choice(["head", "head", "value", "value", "missing", "shape", "teacher", "note"]), True
    name = random.choice(sorted(tensors))
    dtype, shape, data = tensors[name]
    if what == "head":
        head = json.loads(metadata["image_head"])
        done = spoil_head(random, head)
        both = random.random() < 0.8
        metadata["image_head"] = json.dumps(head)
        if both:
            metadata["text_head"] = json.dumps(
                {
                    **json.loads(metadata["text_head"]),
                    "hidden": head.get("hidden"),
                    "output_dim": head.get("output_dim"),
                }
            )
        # Adds the tensors that the description implies, unless they are too large for a file.
        if (
            isinstance(head["hidden"], list)
            and head["hidden"]
            and isinstance(head["hidden"][0], int)
            and 0 < head["hidden"][0] < 1000
        ):
            width = head["hidden"][0]
            for side, cols in (("image", 12), ("text", 9)):
                tensors[f"{side}_head.0.weight"] = ("F32", [width, cols], hostile_floats(random, width * cols))
                tensors[f"{side}_head.0.bias"] = ("F32", [width], bytes(4 * width))
    elif what == "value":
        size = 8 if dtype == "F64" else 4
        at = random.randrange(len(data) // size) * size
        value = random.choice([math.nan, math.inf, -math.inf, 3e38])
        data = data[:at] + struct.pack("<d" if size == 8 else "<f", value) + data[at + size :]
        tensors[name] = (dtype, shape, data)
        done = f"{name}: {value}"
        finite = math.isfinite(value)
    elif what == "missing":
        del tensors[name]
        done = f"without {name}"
    elif what == "shape":
        tensors[name] = (dtype, random.choice([shape[::-1], [1, *shape], [len(data) // 4], []]), data)
        done = f"{name}: shape {tensors[name][1]}"
    elif what == "teacher":
        metadata["teacher"] = random.choice(["", "x", "CCA", "cca\n", "procrustes", "contrastive"])
        done = f"teacher {metadata['teacher']!r}"
    else:
        key = random.choice(sorted(metadata))
        metadata[key] = random.choice(["", "{", "[]", "null", "{}", "[" * 100000, "\x1b[2J", "1e999"])
        done = f"{key}: {metadata[key][:20]!r}"
    files.write(path, files.safetensors_bytes([(n, *t) for n, t in tensors.items()], metadata))
    case.note(f"a model with {done}")
    arguments = commands.with_model(case, path)
    outcome = judge(case, case.run(arguments))
    case.expect(finite or outcome == "refused" or arguments[0] == "info", f"a model with {done} was accepted")
    return outcome


@kind("malformed.json", weight=3)
def text(case):
    random, path = case.random, case.path("hostile.json")
    key = random.choice(
        ["divergence_weight", "klot_weight", "steps", "hidden", "seed", "out", "ridge", "method", "quiet"]
    )
    document = random.choice(
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"1",
            b"\xff\xfe{}",
            b"\xef\xbb\xbf{}",
            b"{}" * 2,
            b'{"steps": 1e999}',
            b"\0",
            b'{"steps": 2,}',
            b"[" * 100000,
            b'{"hidden":' + b"[" * 100000,
            b'{"a":' * 100000,
            b'{"' + b"x" * 1000000 + b'": 1}',
            b'{"steps": 2, "steps": 3}',
            b'{"out": "\\ud800"}',
            b'{"out": "a\\u0000b"}',
            b"// comment\n{}",
            b'{"hidden": [' + b"1," * 100000 + b"1]}",
            b'{"st\xc3\xa9ps": 1}',
            b'{"steps": 1' + b" " * 1000000 + b"}",
            json.dumps(
                {key: random.choice([None, True, -1, 1.5, 2**64, 1e308, "x", [], {}, [1, [2]], [0], [-5], "auto"])}
            ).encode(),
            json.dumps(
                {key: random.choice([None, True, -1, 1.5, 2**64, 1e308, "x", [], {}, [1, [2]], [0], [-5], "auto"])}
            ).encode(),
        ]
    )
    files.write(path, document)
    case.note(f"JSON that begins with {document[:40]!r}")
    arguments = random.choice(
        [
            case.world.train(case.path("run"), "--config", path, "--steps", 2),
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
