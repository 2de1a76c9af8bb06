"""Compares what a page says a block prints with what it printed."""
import re

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?(?![\w])")


def line_matches(expected, found, tolerance):
    expected, found = " ".join(expected.split()), " ".join(found.split())
    if tolerance == 0:
        return re.fullmatch(".*".join(re.escape(part) for part in expected.split("...")), found) is not None
    # Numbers become groups, the rest must be equal.
    pattern, numbers, at = "", [], 0
    for match in re.finditer(r"\.\.\.|" + NUMBER.pattern, expected):
        pattern += re.escape(expected[at:match.start()])
        at = match.end()
        if match[0] == "...":
            pattern += ".*"
        else:
            pattern += r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"
            numbers.append(float(match[0]))
    found = re.fullmatch(pattern + re.escape(expected[at:]), found)
    if not found:
        return False
    try:
        return all(abs(float(f) - n) <= tolerance for n, f in zip(numbers, found.groups()))
    except ValueError:
        return False


def difference(expected, output, tolerance=0.0):
    """None if the lines of `expected` come in `output` in this order, else what is missing. Lines follow each
    other directly unless a line `...` stands between them; other lines may come first and last."""
    output = output.splitlines()
    groups = [[]]
    for line in expected.splitlines():
        if line.strip() == "...":
            groups.append([])
        elif line.strip():
            groups[-1].append(line)
    output = [line for line in output if line.strip()]
    at = 0
    for group in groups:
        if not group:
            continue
        for start in range(at, len(output) - len(group) + 1):
            if all(line_matches(e, output[start + i], tolerance) for i, e in enumerate(group)):
                at = start + len(group)
                break
        else:
            return f"expected in the output: {group[0].strip()!r}" + (" and what follows" if len(group) > 1 else "")
    return None
