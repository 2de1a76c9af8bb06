"""The files that the blocks of the pages find: small .npy files from data/words, by the standard library alone."""
import array
import math
import random
import re
import struct
from pathlib import Path

FILES = ["pi.npy", "pt.npy", "i.npy", "t.npy", "vi.npy", "vt.npy", "test_i.npy", "test_t.npy", "queries.npy",
         "images.npy", "texts.npy", "labels.npy", "K.npy", "Kt.npy", "a.npy"]


def read_npy(path):
    """descr, shape and the rows of a C-order array, as bytes."""
    data = Path(path).read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    header = data[10:10 + length].decode()
    descr = re.search(r"'descr': '([^']+)'", header)[1]
    shape = [int(n) for n in re.search(r"'shape': \(([^)]*)\)", header)[1].split(",") if n.strip()]
    body = data[10 + length:]
    size = len(body) // shape[0]
    return descr, shape, [body[i * size:(i + 1) * size] for i in range(shape[0])]


def write_npy(path, descr, shape, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({', '.join(map(str, shape))},), }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    Path(path).write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def make(words, out):
    generator = random.Random(0)
    sides = {side: read_npy(words / f"{side}.npy") for side in ("images", "texts")}
    count = sides["images"][1][0]
    order = list(range(count))
    generator.shuffle(order)
    pairs, test, validation, rest = order[:200], order[200:400], order[400:500], order[500:1100]
    other = rest[:]
    generator.shuffle(other)  # so that row i of t.npy is not the definition of row i of i.npy

    def rows(name, side, chosen):
        descr, shape, all_rows = sides[side]
        write_npy(out / name, descr, [len(chosen), *shape[1:]], b"".join(all_rows[r] for r in chosen))

    for prefix, images, texts in (("p", pairs, pairs), ("", rest, other), ("v", validation, validation),
                                  ("test_", test, test)):
        rows(prefix + "i.npy", "images", images)
        rows(prefix + "t.npy", "texts", texts)
    rows("queries.npy", "texts", test[:5])
    for side in ("images", "texts"):
        rows(side + ".npy", side, order[:900])
    # Parts of speech as classes.
    parts = [line.split("-")[0] for line in (words / "ids.txt").read_text().split()]
    classes = sorted(set(parts))
    write_npy(out / "labels.npy", "<i4", [len(test)], array.array("i", [classes.index(parts[r]) for r in test]).tobytes())

    n, m = 60, 80
    teacher = [[math.cos(0.1 * i - 0.07 * j) * 0.5 + generator.uniform(-0.1, 0.1) for j in range(m)] for i in range(n)]
    student = [[x + generator.uniform(-0.2, 0.2) for x in row] for row in teacher]
    for name, matrix in (("K.npy", student), ("Kt.npy", teacher)):
        write_npy(out / name, "<f4", [n, m], array.array("f", [x for row in matrix for x in row]).tobytes())
    write_npy(out / "a.npy", "<f8", [n], array.array("d", [1.0 + (i % 3) for i in range(n)]).tobytes())
