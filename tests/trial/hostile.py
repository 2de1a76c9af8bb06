"""Contents of malformed or absurd files. Each function depends only on its random generator and sizes."""

import json
import math
import struct

import files

NUMBERS = [0, 1, 2, 3, -1, 2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 7767050136298756986, 10**30]
VALUES = [math.nan, math.inf, -math.inf, 3e38, -3e38, 1e30, -1e30, 1e-45, 0.0, -0.0, 1.0]
DESCRS = [
    "<f4",
    "<f2",
    "<f8",
    ">f4",
    ">f8",
    "<i4",
    "<i8",
    "<u8",
    "|u1",
    "|b1",
    "<c8",
    "|O",
    "|S4",
    "f4",
    "",
    "<f16",
    "x",
]
SIZES = {"f2": 2, "f4": 4, "f8": 8, "i4": 4, "i8": 8, "u8": 8, "u1": 1, "b1": 1}


def hostile_floats(random, count):
    data = bytearray(struct.pack(f"<{count}f", *(random.gauss(0, 1) for _ in range(count))))
    how = random.choice(["one", "few", "all", "row", "tiny", "huge", "none", "zeros"])
    for i in range(
        count if how in ("all", "zeros", "tiny", "huge") else {"one": 1, "few": 5, "row": 9, "none": 0}[how]
    ):
        at = i if how not in ("one", "few") else random.randrange(count)
        value = {"zeros": 0.0, "tiny": 1e-44, "huge": 3e38}.get(how, random.choice(VALUES))
        if how == "huge" and random.random() < 0.5:
            value = -value
        struct.pack_into("<f", data, 4 * min(at, count - 1), value)
    return bytes(data)


def hostile_npy(random):
    """Returns what is hostile about it, and the bytes."""
    kind_of = random.choice(["values", "header", "shape", "version", "type", "damaged", "constant"])
    rows, cols = 20, random.choice([9, 12, 20])
    good = files.npy_bytes("<f4", (rows, cols), hostile_floats(random, rows * cols))
    if kind_of == "values":
        return kind_of, good
    if kind_of == "constant":
        return kind_of, files.npy_bytes(
            "<f4", (rows, cols), struct.pack("<f", random.choice([0.5, -2.0])) * rows * cols
        )
    if kind_of == "shape":
        shape = tuple(random.choice(NUMBERS) for _ in range(random.choice([0, 1, 2, 2, 2, 3, 70])))
        return kind_of, files.npy_bytes("<f4", shape, bytes(random.choice([0, 4, 64, 720])))
    if kind_of == "version":
        return kind_of, files.npy_bytes(
            "<f4",
            (rows, cols),
            bytes(4 * rows * cols),
            version=(random.choice([0, 2, 3, 4, 255]), random.choice([0, 1])),
        )
    if kind_of == "type":
        descr = random.choice(DESCRS)
        size = next((s for name, s in SIZES.items() if descr.endswith(name)), 4)
        return kind_of, files.npy_bytes(
            descr,
            (rows, cols),
            bytes(random.randrange(256) for _ in range(size * rows * cols)),
            fortran=random.random() < 0.5,
        )
    if kind_of == "damaged":
        return kind_of, files.damage(random, good)[1]
    header = random.choice(
        [
            "{",
            "}",
            "",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 9), 'shape': (20, 9)}",
            "{'descr': " + "[" * 50000,
            "{'descr': '<f4', 'fortran_order': Truer, 'shape': (20, 9)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (20, 9)} trailing",
            "{'descr': '\udcff', 'fortran_order': False, 'shape': (20, 9)}",
            "{'shape': (" + "1," * 20000 + "), 'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4\n', 'fortran_order': False, 'shape': (-1, 9)}",
        ]
    )
    return kind_of, files.npy_with_header(
        header, bytes(720), random.choice([(1, 0), (2, 0), (3, 0)]) if len(header) < 60000 else (2, 0)
    )


def hostile_safetensors(random, rows=20, cols=12):
    data = hostile_floats(random, rows * cols)
    what = random.choice(
        ["json", "offsets", "many", "names", "shapes", "length", "nested", "twice", "metadata", "damaged"]
    )
    entry = {"dtype": "F32", "shape": [rows, cols], "data_offsets": [0, len(data)]}
    if what == "json":
        text = random.choice(
            [b"{", b"[]", b"null", b"{}", b'{"a":1}', b"\xff{}", b'{"a":{"dtype":"F32"}}', b"{} {}", b""]
        )
        return what, files.safetensors_with_header(text, data)
    if what == "offsets":
        entry["data_offsets"] = random.choice(
            [
                [0],
                [len(data), 0],
                [-1, len(data)],
                [0, 2**63],
                [1, len(data) + 1],
                [0.0, 960.0],
                "x",
                None,
                [0, random.choice(NUMBERS)],
            ]
        )
    elif what == "many":
        count = random.choice([1000, 20000, 60000])
        header = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(count)}
        return what, files.safetensors_with_header(json.dumps({**header, "a": entry}).encode(), data)
    elif what == "names":
        name = random.choice(["", "x" * 5000, "a\nb", "\u0000", "a\u202eb", "__metadata__"])
        return what, files.safetensors_with_header(json.dumps({name: entry}).encode(), data)
    elif what == "shapes":
        entry["shape"] = random.choice(
            [
                [random.choice(NUMBERS) for _ in range(random.choice([1, 2, 2, 3]))],
                [rows, cols, 1],
                [],
                None,
                [1.5],
                ["20", "12"],
                [[rows], cols],
            ]
        )
    elif what == "length":
        return (
            what,
            struct.pack("<Q", random.choice([0, 7, 2**63, 2**64 - 1, 10**8, 10**8 + 1]))
            + json.dumps({"a": entry}).encode()
            + data,
        )
    elif what == "nested":
        return what, files.safetensors_with_header(
            b'{"a":' + random.choice([b"[", b'{"a":']) * random.choice([10, 100000]), data
        )
    elif what == "twice":
        text = json.dumps({"a": entry})
        return what, files.safetensors_with_header((text[:-1] + "," + text[1:]).encode(), data)
    elif what == "metadata":
        metadata = random.choice([{"a": 1}, [], None, {"a": {"b": "c"}}, {"a": "\ud800"}, {"a" * 1000: "b" * 100000}])
        return what, files.safetensors_with_header(json.dumps({"__metadata__": metadata, "a": entry}).encode(), data)
    elif what == "damaged":
        return what, files.damage(random, files.safetensors_with_header(json.dumps({"a": entry}).encode(), data))[1]
    return what, files.safetensors_with_header(json.dumps({"a": entry}).encode(), data)


def wrapping_width(random, first, out, image_cols, text_cols):
    """A second hidden width, for both heads, that makes the sum of all sizes wrap to a small number modulo 2^64."""

    def total(width):
        return (
            sum(first * cols + first + width * first + width + out * width + out for cols in (image_cols, text_cols))
            + 2
        )

    constant, slope = total(0), total(1) - total(0)
    unit = slope & -slope
    target = constant % unit + unit * random.randrange(4)
    width = (target - constant) // unit * pow(slope // unit, -1, 2**64) % (2**64 // unit)
    return width + random.randrange(unit // 2 or 1) * (2**64 // unit)


def spoil_head(random, head):
    key = random.choice(list(head))
    value = random.choice(
        [
            *NUMBERS,
            2.5,
            1e300,
            None,
            "4",
            [],
            [2, 7767050136298756986],
            [1] * 1000,
            [[1]],
            [2**31, 2**31],
            True,
            {"a": 1},
        ]
    )
    if random.random() < 0.4:
        first = random.randint(1, 9)
        key, value = "hidden", random.choice(
            [
                [first, wrapping_width(random, first, head["output_dim"], 12, 9)],
                [2**31, 2**31],
                [2**32, 2**32],
                [1, 2**62],
                [2**63 - 1],
            ]
        )
    head[key] = value
    return f"{key} = {value!r}"[:60]
