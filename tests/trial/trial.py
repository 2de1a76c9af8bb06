#!/usr/bin/env python3
"""Tries to make the program crash, hang, lose a run or silently give a wrong result.

    tests/trial/trial.py --program build/release/apps/sotalign/sotalign                 one minute, as in CI
    tests/trial/trial.py --program ... --minutes 120 --seed 7 --out results.json        by hand
    tests/trial/trial.py --program ... --seed 7 --only corrupt.model:17 --keep          one case again

A case depends only on seed, kind and number, so each can be repeated. Exits with 1 if there are findings.
"""

import argparse
import concurrent.futures
import fnmatch
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback

import cases_changes  # noqa: F401  (they register themselves)
import cases_corruption  # noqa: F401
import cases_files  # noqa: F401
import cases_kills  # noqa: F401
import cases_options  # noqa: F401
import cases_special  # noqa: F401
import registry
import runner
import world as worlds

ORDER = [name for name, (_, weight) in registry.KINDS.items() for _ in range(weight)]


def run_case(world, seed, kind, number, keep):
    """Runs one case and returns its record."""
    place = tempfile.mkdtemp(prefix=f"{kind}-{number}-", dir=world.directory)
    case = registry.Case(random.Random(f"{seed}/{kind}/{number}"), world, place)
    record = {"kind": kind, "number": number, "outcome": "finding"}
    try:
        record["outcome"] = registry.KINDS[kind][0](case)
    except registry.Finding as finding:
        record["finding"] = str(finding)
    except Exception:  # a file that the program should have written is missing or unreadable: also a finding
        record["finding"] = "unexpected: " + traceback.format_exc(limit=-2).replace("\n", " | ")
    if "finding" in record:
        record["steps"] = [step.replace(place, "$CASE").replace(world.directory, "$WORLD") for step in case.steps]
    if not keep:
        shutil.rmtree(place, ignore_errors=True)
    return record


def numbered(kinds):
    """Cycles through the kinds, each with its own counter."""
    count = dict.fromkeys(kinds, 0)
    while True:
        for kind in kinds:
            yield kind, count[kind]
            count[kind] += 1


def run_all(world, arguments, kinds, jobs):
    lock, cases, records = threading.Lock(), numbered(kinds), []
    end = time.monotonic() + 60 * arguments.minutes

    def work():
        while time.monotonic() < end:
            with lock:
                kind, number = next(cases)
            record = run_case(world, arguments.seed, kind, number, arguments.keep)
            with lock:
                records.append(record)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(work) for _ in range(jobs)]:
            done.result()
    return sorted(records, key=lambda r: (r["kind"], r["number"]))


def table(records):
    counts = {}
    for record in records:
        outcomes = counts.setdefault(record["kind"], {})
        outcomes[record["outcome"]] = outcomes.get(record["outcome"], 0) + 1
    lines = [f"{'kind':<24}{'cases':>7}  outcomes"]
    for kind, outcomes in sorted(counts.items()):
        text = "; ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
        lines.append(f"{kind:<24}{sum(outcomes.values()):>7}  {text}")
    return "\n".join(lines)


def report(records, arguments):
    print(table(records))
    findings = [record for record in records if "finding" in record]
    for record in findings:
        print(f"\n{record['kind']}:{record['number']}: {record['finding'][:500]}")
        for step in record["steps"][-4:]:
            print(f"    {step[:400]}")
        print(
            f"    again: {sys.argv[0]} --program {arguments.program} --seed {arguments.seed} "
            f"--only {record['kind']}:{record['number']} --keep"
        )
    print(f"\n{len(records)} cases, {len(findings)} findings, seed {arguments.seed}")
    return 1 if findings else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="results as JSON")
    parser.add_argument("--only", help="KIND or KIND:NUMBER; KIND may have wildcards, as in 'corrupt.*'")
    parser.add_argument("--keep", action="store_true", help="keep the cases' directories")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()

    # An in-memory file system allows ten times as many runs per minute.
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    top = tempfile.mkdtemp(prefix="sotalign-trial-", dir=parent)
    try:
        world = worlds.World(runner.Program(arguments.program), os.path.join(top, "world"))
        pattern, _, number = (arguments.only or "*").partition(":")
        kinds = [kind for kind in ORDER if fnmatch.fnmatch(kind, pattern)]
        if not kinds:
            sys.exit(f"--only: expected one of {', '.join(registry.KINDS)}")
        started = time.monotonic()
        if number:
            records = [run_case(world, arguments.seed, kinds[0], int(number), arguments.keep)]
        else:
            records = run_all(world, arguments, kinds, arguments.jobs)
        if arguments.out:
            with open(arguments.out, "w", encoding="utf-8") as file:
                json.dump(
                    {
                        "seed": arguments.seed,
                        "seconds": round(time.monotonic() - started),
                        "cases": len(records),
                        "records": records,
                    },
                    file,
                    indent=1,
                )
        if arguments.keep:
            print(f"kept: {top}")
        return report(records, arguments)
    finally:
        if not arguments.keep:
            shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
