#!/usr/bin/env python3
"""Checks in machine code that rows_kernel (kernels/cuda/sinkhorn_scaling.cu) refills its ring before it adds.

  .ci/cuda_tools cuobjdump --dump-sass -arch sm_90 FILE | .ci/check_refill.py

Between the head of the loop over rows and its first asynchronous copy, memory may run idle. For each layout the distance
in instructions must not exceed LIMIT, or WIDE_LIMIT for the widest layout of float, which has no registers left for more.
"""
import re
import sys

LIMIT, WIDE_LIMIT = 40, 130
WIDE = ("float", 512, 12)


def functions(lines):
    """Name and instructions [(address, text)] of each function."""
    name, code = None, []
    for line in lines:
        if header := re.match(r"\s*Function : (\S+)", line):
            if name:
                yield name, code
            name, code = header[1], []
        elif instruction := re.match(r"\s*/\*([0-9a-f]{4,})\*/\s+(.*?);", line):
            code.append((int(instruction[1], 16), instruction[2]))
    if name:
        yield name, code


def longest_loop(code):
    """The instructions of the longest loop that copies asynchronously."""
    places = {address: i for i, (address, _) in enumerate(code)}
    loops = [[]]
    for i, (address, text) in enumerate(code):
        target = re.search(r"\bBRA\b.* 0x([0-9a-f]+)", text)
        head = places.get(int(target[1], 16)) if target else None
        if head is not None and head < i:
            body = [text for _, text in code[head:i + 1]]
            if any("LDGSTS" in text for text in body):
                loops.append(body)
    return max(loops, key=len)


def main():
    layouts = 0
    for name, code in functions(sys.stdin):
        kernel = re.search(r"\d+rows_kernelI([ft])Li(\d+)ELi(\d+)ELi(\d+)ELi(\d+)E", name)
        if not kernel or "wide" in name:
            continue
        layouts += 1
        entry, threads, packets = {"f": "float", "t": "bfloat16"}[kernel[1]], int(kernel[2]), int(kernel[3])
        body = longest_loop(code)
        first = next((i for i, text in enumerate(body) if "LDGSTS" in text), None)
        limit = WIDE_LIMIT if (entry, threads, packets) == WIDE else LIMIT
        print(f"{entry}, {threads} threads, {packets} packets: first copy at instruction {first} of {len(body)}")
        if first is None or first > limit:
            sys.exit(f"the refill comes too late: at most {limit} instructions after the head of the loop")
    if layouts != 14:
        sys.exit(f"expected rows_kernel in 14 layouts, found {layouts}")


main()
