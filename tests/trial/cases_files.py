"""Files that are malformed, absurd or no files: exit 0 with finite output, or exit 2 with one line."""
import json
import math
import os
import socket
import struct

import commands
import files
from registry import kind

NUMBERS = [0, 1, 2, 3, -1, 2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 7767050136298756986, 10**30]
VALUES = [math.nan, math.inf, -math.inf, 3e38, -3e38, 1e30, -1e30, 1e-45, 0.0, -0.0, 1.0]
DESCRS = ["<f4", "<f2", "<f8", ">f4", ">f8", "<i4", "<i8", "<u8", "|u1", "|b1", "<c8", "|O", "|S4", "f4", "", "<f16", "x"]
SIZES = {"f2": 2, "f4": 4, "f8": 8, "i4": 4, "i8": 8, "u8": 8, "u1": 1, "b1": 1}


def judge(case, result):
    case.well(result)
    if result.code == 2:
        return "refused"
    out = case.path("out.npy")
    if os.path.exists(out):
        case.expect(files.finite_npy(out), "exit code 0 and values in the output that are not finite")
    return "accepted, finite"


def hostile_floats(random, count):
    data = bytearray(struct.pack(f"<{count}f", *(random.gauss(0, 1) for _ in range(count))))
    how = random.choice(["one", "few", "all", "row", "tiny", "huge", "none", "zeros"])
    for i in range(count if how in ("all", "zeros", "tiny", "huge") else {"one": 1, "few": 5, "row": 9, "none": 0}[how]):
        at = i if how not in ("one", "few") else random.randrange(count)
        value = {"zeros": 0.0, "tiny": 1e-44, "huge": 3e38}.get(how, random.choice(VALUES))
        if how == "huge" and random.random() < 0.5:
            value = -value
        struct.pack_into("<f", data, 4 * min(at, count - 1), value)
    return bytes(data)


def hostile_npy(random):
    """(what it is, bytes)"""
    kind_of = random.choice(["values", "header", "shape", "version", "type", "damaged", "constant"])
    rows, cols = 20, random.choice([9, 12, 20])
    good = files.npy_bytes("<f4", (rows, cols), hostile_floats(random, rows * cols))
    if kind_of == "values":
        return kind_of, good
    if kind_of == "constant":
        return kind_of, files.npy_bytes("<f4", (rows, cols), struct.pack("<f", random.choice([0.5, -2.0])) * rows * cols)
    if kind_of == "shape":
        shape = tuple(random.choice(NUMBERS) for _ in range(random.choice([0, 1, 2, 2, 2, 3, 70])))
        return kind_of, files.npy_bytes("<f4", shape, bytes(random.choice([0, 4, 64, 720])))
    if kind_of == "version":
        return kind_of, files.npy_bytes("<f4", (rows, cols), bytes(4 * rows * cols), version=(random.choice([0, 2, 3, 4, 255]), random.choice([0, 1])))
    if kind_of == "type":
        descr = random.choice(DESCRS)
        size = next((s for name, s in SIZES.items() if descr.endswith(name)), 4)
        return kind_of, files.npy_bytes(descr, (rows, cols), bytes(random.randrange(256) for _ in range(size * rows * cols)), fortran=random.random() < 0.5)
    if kind_of == "damaged":
        return kind_of, files.damage(random, good)[1]
    header = random.choice(["{", "}", "", "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 9), 'shape': (20, 9)}",
                            "{'descr': " + "[" * 50000, "{'descr': '<f4', 'fortran_order': Truer, 'shape': (20, 9)}",
                            "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 9)} trailing",
                            "{'descr': '\udcff', 'fortran_order': False, 'shape': (20, 9)}",
                            "{'shape': (" + "1," * 20000 + "), 'descr': '<f4', 'fortran_order': False}",
                            "{'descr': '<f4\n', 'fortran_order': False, 'shape': (-1, 9)}"])
    return kind_of, files.npy_with_header(header, bytes(720), random.choice([(1, 0), (2, 0), (3, 0)]) if len(header) < 60000 else (2, 0))


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
        values = [random.choice([0, 1, 2, 3, -1, 2**63 - 1, -2**63]) for _ in range(count)]
        files.write(path, files.npy_bytes("<i8", (count,), struct.pack(f"<{count}q", *values)))
    else:
        values = [random.choice([*VALUES, 0.05, 0.05, -0.05, 1e308]) for _ in range(count)]
        files.write(path, files.npy_bytes("<f8", (count,), struct.pack(f"<{count}d", *values)))
    case.note("hostile weights or ids")
    return judge(case, case.run(commands.with_vector(case, path)))


def hostile_safetensors(random, rows=20, cols=12):
    data = hostile_floats(random, rows * cols)
    what = random.choice(["json", "offsets", "many", "names", "shapes", "length", "nested", "twice", "metadata", "damaged"])
    entry = {"dtype": "F32", "shape": [rows, cols], "data_offsets": [0, len(data)]}
    if what == "json":
        text = random.choice([b"{", b"[]", b"null", b"{}", b"{\"a\":1}", b"\xff{}", b"{\"a\":{\"dtype\":\"F32\"}}", b"{} {}", b""])
        return what, files.safetensors_with_header(text, data)
    if what == "offsets":
        entry["data_offsets"] = random.choice([[0], [len(data), 0], [-1, len(data)], [0, 2**63], [1, len(data) + 1], [0.0, 960.0], "x", None, [0, random.choice(NUMBERS)]])
    elif what == "many":
        count = random.choice([1000, 20000, 60000])
        header = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(count)}
        return what, files.safetensors_with_header(json.dumps({**header, "a": entry}).encode(), data)
    elif what == "names":
        name = random.choice(["", "x" * 5000, "a\nb", "\u0000", "a\u202eb", "__metadata__"])
        return what, files.safetensors_with_header(json.dumps({name: entry}).encode(), data)
    elif what == "shapes":
        entry["shape"] = random.choice([[random.choice(NUMBERS) for _ in range(random.choice([1, 2, 2, 3]))], [rows, cols, 1], [], None, [1.5], ["20", "12"], [[rows], cols]])
    elif what == "length":
        return what, struct.pack("<Q", random.choice([0, 7, 2**63, 2**64 - 1, 10**8, 10**8 + 1])) + json.dumps({"a": entry}).encode() + data
    elif what == "nested":
        return what, files.safetensors_with_header(b"{\"a\":" + random.choice([b"[", b"{\"a\":"]) * random.choice([10, 100000]), data)
    elif what == "twice":
        text = json.dumps({"a": entry})
        return what, files.safetensors_with_header((text[:-1] + "," + text[1:]).encode(), data)
    elif what == "metadata":
        metadata = random.choice([{"a": 1}, [], None, {"a": {"b": "c"}}, {"a": "\ud800"}, {"a" * 1000: "b" * 100000}])
        return what, files.safetensors_with_header(json.dumps({"__metadata__": metadata, "a": entry}).encode(), data)
    elif what == "damaged":
        return what, files.damage(random, files.safetensors_with_header(json.dumps({"a": entry}).encode(), data))[1]
    return what, files.safetensors_with_header(json.dumps({"a": entry}).encode(), data)


@kind("malformed.safetensors", weight=3)
def safetensors(case):
    path = case.path("hostile.safetensors")
    what, data = hostile_safetensors(case.random)
    files.write(path, data)
    case.note(f"a safetensors file with hostile {what}")
    return judge(case, case.run(commands.with_matrix(case, path)))


def wrapping_width(random, first, out, image_cols, text_cols):
    """A second hidden width of both heads with which the sum of all sizes is a small number modulo 2^64."""
    def total(width):
        return sum(first * cols + first + width * first + width + out * width + out for cols in (image_cols, text_cols)) + 2
    constant, slope = total(0), total(1) - total(0)
    unit = slope & -slope
    target = constant % unit + unit * random.randrange(4)
    width = (target - constant) // unit * pow(slope // unit, -1, 2**64) % (2**64 // unit)
    return width + random.randrange(unit // 2 or 1) * (2**64 // unit)


def spoil_head(random, head):
    key = random.choice(list(head))
    value = random.choice([*NUMBERS, 2.5, 1e300, None, "4", [], [2, 7767050136298756986], [1] * 1000, [[1]], [2**31, 2**31], True, {"a": 1}])
    if random.random() < 0.4:
        first = random.randint(1, 9)
        key, value = "hidden", random.choice([[first, wrapping_width(random, first, head["output_dim"], 12, 9)], [2**31, 2**31], [2**32, 2**32], [1, 2**62], [2**63 - 1]])
    head[key] = value
    return f"{key} = {value!r}"[:60]


@kind("malformed.model", weight=4)
def model(case):
    """A model without checksums, as older versions wrote, in which one thing is absurd and the rest fits."""
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
            metadata["text_head"] = json.dumps({**json.loads(metadata["text_head"]), "hidden": head.get("hidden"), "output_dim": head.get("output_dim")})
        # The tensors that the description asks for, as far as they have a size that a file can have.
        if isinstance(head["hidden"], list) and head["hidden"] and isinstance(head["hidden"][0], int) and 0 < head["hidden"][0] < 1000:
            width = head["hidden"][0]
            for side, cols in (("image", 12), ("text", 9)):
                tensors[f"{side}_head.0.weight"] = ("F32", [width, cols], hostile_floats(random, width * cols))
                tensors[f"{side}_head.0.bias"] = ("F32", [width], bytes(4 * width))
    elif what == "value":
        size = 8 if dtype == "F64" else 4
        at = random.randrange(len(data) // size) * size
        value = random.choice([math.nan, math.inf, -math.inf, 3e38])
        data = data[:at] + struct.pack("<d" if size == 8 else "<f", value) + data[at + size:]
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
    key = random.choice(["klot_weight", "steps", "hidden", "seed", "out", "ridge", "method", "quiet"])
    document = random.choice([
        b"", b"{", b"[]", b"null", b"1", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"{}" * 2, b"{\"steps\": 1e999}", b"\0", b"{\"steps\": 2,}",
        b"[" * 100000, b"{\"hidden\":" + b"[" * 100000, b"{\"a\":" * 100000, b"{\"" + b"x" * 1000000 + b"\": 1}",
        b"{\"steps\": 2, \"steps\": 3}", b"{\"out\": \"\\ud800\"}", b"{\"out\": \"a\\u0000b\"}", b"// comment\n{}",
        b"{\"hidden\": [" + b"1," * 100000 + b"1]}", b"{\"st\xc3\xa9ps\": 1}", b"{\"steps\": 1" + b" " * 1000000 + b"}",
        json.dumps({key: random.choice([None, True, -1, 1.5, 2**64, 1e308, "x", [], {}, [1, [2]], [0], [-5], "auto"])}).encode(),
        json.dumps({key: random.choice([None, True, -1, 1.5, 2**64, 1e308, "x", [], {}, [1, [2]], [0], [-5], "auto"])}).encode()])
    files.write(path, document)
    case.note(f"JSON that begins with {document[:40]!r}")
    arguments = random.choice([case.world.train(case.path("run"), "--config", path, "--steps", 2),
                               ["study", "--images", case.world.path("square.npy"), "--texts", case.world.path("square.npy"),
                                "--plan", path, "--out", case.path("study")]])
    return judge(case, case.run(arguments))


@kind("special.files", weight=2)
def special(case):
    """Where a file is expected: a pipe without a writer, a device, a directory, a socket, a loop of links."""
    random, path = case.random, case.path("special")
    what = random.choice(["fifo", "/dev/zero", "/dev/full", "/dev/null", "/dev/tty", "directory", "socket", "loop", "missing",
                          "long", "unreadable", "empty", "/proc/self/mem", "link to a fifo", "stdin"])
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
            try:  # names of sockets are short
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
    arguments = random.choice([commands.with_matrix(case, path), commands.with_vector(case, path), commands.with_model(case, path),
                               case.world.train(case.path("run"), "--config", path),
                               ["study", "--images", case.world.path("square.npy"), "--texts", case.world.path("square.npy"), "--plan", path, "--out", case.path("study")]])
    return judge(case, case.run(arguments))


@kind("special.outputs", weight=1)
def outputs(case):
    """Places that cannot be written to, and outputs that are inputs: no input is lost."""
    random = case.random
    source, model = case.path("input.npy"), case.path("model.safetensors")
    files.write(source, files.read(case.world.path("data", "val_images.npy")))
    files.write(model, files.read(case.world.path("whole", "model.safetensors")))
    before = files.read(source), files.read(model)
    os.mkdir(case.path("directory"))
    os.mkfifo(case.path("fifo"))
    os.symlink(source, case.path("link"))
    os.link(source, case.path("same"))
    target = random.choice([source, model, case.path("link"), case.path("same"), case.path("directory"), case.path("fifo"), "/dev/full",
                            case.path("missing", "out.npy"), "/proc/out.npy", case.path("directory", "..", "input.npy"), "", case.path("x" * 300)])
    case.note("an output that is an input or cannot be written")
    result = case.well(case.run(["embed", "--model", model, "--side", "image", "--input", source, "--output", target]))
    case.expect((files.read(source), files.read(model)) == before, f"--output {target}: an input was overwritten, exit code {result.code}")
    return "refused" if result.code == 2 else "accepted"
