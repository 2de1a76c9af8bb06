"""Reads and writes .npy and safetensors files with the standard library alone, and damages files."""

import json
import math
import os
import struct


def npy_bytes(descr, shape, data, fortran=False, version=(1, 0)):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    return npy_with_header(header, data, version)


def npy_with_header(header, data, version=(1, 0)):
    """A .npy file with any text as header, padded as NumPy does."""
    text = header.encode("utf-8", "surrogateescape")
    width = 2 if version[0] == 1 else 4
    text += b" " * (-(len(text) + 9 + width) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if width == 2 else "<I", len(text)) + text + data


def float_rows(rows):
    return npy_bytes("<f4", (len(rows), len(rows[0])), b"".join(struct.pack(f"<{len(r)}f", *r) for r in rows))


def integers(values):
    return npy_bytes("<i8", (len(values),), struct.pack(f"<{len(values)}q", *values))


def read_rows(path):
    """The rows of a float32 matrix in C order, as sotalign writes it."""
    data = read(path)
    length = struct.unpack_from("<H", data, 8)[0]
    header = data[10 : 10 + length].decode()
    shape = [int(n) for n in header.split("(")[1].split(")")[0].replace(",", " ").split()]
    values = struct.unpack_from(f"<{shape[0] * shape[1]}f", data, 10 + length)
    return [values[i * shape[1] : (i + 1) * shape[1]] for i in range(shape[0])]


def safetensors_bytes(tensors, metadata=None):
    """`tensors` are (name, dtype, shape, data). Checks nothing."""
    header, offset = {}, 0
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape, data in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    return safetensors_with_header(json.dumps(header).encode(), b"".join(t[3] for t in tensors))


def safetensors_with_header(header, data):
    return struct.pack("<Q", len(header)) + header + data


def read_safetensors(path):
    """Returns ({name: (dtype, shape, bytes)}, metadata)."""
    data = read(path)
    length = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    return {
        name: (entry["dtype"], entry["shape"], data[8 + length :][slice(*entry["data_offsets"])])
        for name, entry in header.items()
    }, metadata


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape"))


def overwrite(path, data):
    """Writes in place, to the same inode."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, data, 0)
    finally:
        os.close(descriptor)


def finite_npy(path):
    return all(math.isfinite(value) for row in read_rows(path) for value in row)


def finite_tensor(tensor):
    dtype, _, data = tensor
    return all(math.isfinite(value) for (value,) in struct.iter_unpack("<d" if dtype == "F64" else "<f", data))


def damage(random, data):
    """Returns a description and the damaged bytes, which differ from the input."""
    for _ in range(100):
        kind = random.choice(
            ["flip", "flip", "flip", "byte", "truncate", "remove", "repeat", "zero", "append", "swap"]
        )
        at = random.randrange(len(data))
        length = random.choice([1, 2, 4, 8, 64, 512])
        result = bytearray(data)
        if kind == "flip":
            bit = random.randrange(8)
            result[at] ^= 1 << bit
            kind = f"bit {bit} flipped"
        elif kind == "byte":
            result[at] = random.randrange(256)
        elif kind == "truncate":
            del result[at:]
        elif kind == "remove":
            del result[at : at + length]
        elif kind == "repeat":
            result[at:at] = result[at : at + length]
        elif kind == "zero":
            result[at : at + length] = bytes(len(result[at : at + length]))
        elif kind == "append":
            result += bytes(random.randrange(256) for _ in range(length))
        else:
            other = random.randrange(len(data))
            result[at], result[other] = result[other], result[at]
        if bytes(result) != data:
            return f"{kind} at byte {at} of {len(data)}", bytes(result)
    raise AssertionError("no damage changed the file")
