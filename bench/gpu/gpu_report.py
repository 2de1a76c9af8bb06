#!/usr/bin/env python3
"""Builds, tests, checks and measures on a machine with a GPU, and writes one results file.

    ./run gpu                                      everything, into bench/results/gpu_DEVICE.json
    bench/gpu/gpu_report.py --steps build,test         some of the steps
    bench/gpu/gpu_report.py --out FILE

Steps: build (release preset, for the architectures of this machine's devices), test (every test that has a CUDA
variant, against its double-precision oracle), sanitize (compute-sanitizer: memcheck, racecheck, synccheck,
initcheck on the small cases), bench (bench/klot_bench on the GPU). Each step's outcome goes into the
file; the exit status is 0 if none failed. Needs only the Python standard library; set CMAKE_PREFIX_PATH for
libraries in unusual places.
"""
import argparse
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "release"
STEPS = ["build", "test", "sanitize", "bench"]
# compute-sanitizer slows kernels down a hundredfold, and long tests would add nothing; decompositions run NVIDIA's kernels.
SMALL = "*cuda*-*Trainer*:*Teacher*:*Golden*:*Eigh*:*Svd*:*EndToEnd*"


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def run(command, log, **kwargs):
    """Runs a command, writes its output to `log`, and returns status and seconds."""
    print("$", " ".join(map(str, command)), flush=True)
    start = time.monotonic()
    with open(log, "w") as stream:
        status = subprocess.run(command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, **kwargs).returncode
    seconds = time.monotonic() - start
    print(f"  status {status}, {seconds:.1f} s, log {log}", flush=True)
    if status != 0:
        print("".join(open(log).readlines()[-30:]))
    return status, round(seconds, 1)


def devices():
    fields = ["name", "driver_version", "compute_cap", "memory.total", "clocks.sm", "clocks.max.sm", "clocks.mem",
              "clocks.max.mem", "power.limit"]
    lines = output("nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader").splitlines()
    return [dict(zip(fields, (value.strip() for value in line.split(",")))) for line in lines]


def build(logs):
    architectures = sorted({device["compute_cap"].replace(".", "") for device in devices()})
    status, seconds = run(["cmake", "--preset", "release", f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(architectures)}"],
                          logs / "configure.log")
    if status == 0:
        status, seconds = run(["cmake", "--build", str(BUILD), "-j", str(os.cpu_count())], logs / "build.log")
    return {"ok": status == 0, "architectures": architectures, "seconds": seconds}


def test(logs):
    report = logs / "tests.json"
    status, seconds = run([str(BUILD / "tests" / "sotalign_tests"), "--gtest_filter=*cuda*", f"--gtest_output=json:{report}"],
                          logs / "tests.log")
    if not report.exists():
        return {"ok": False, "seconds": seconds}
    summary = json.loads(report.read_text())
    failed = [f"{suite['name']}.{case['name']}" for suite in summary["testsuites"] for case in suite["testsuite"]
              if case.get("failures")]
    # No test at all is a failure too: no device was found.
    return {"ok": status == 0 and summary["tests"] > 0, "tests": summary["tests"], "failed": failed, "seconds": seconds}


def sanitize(logs):
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not pathlib.Path(tool).exists():
        return {"ok": False, "reason": "compute-sanitizer not found"}
    result = {"ok": True}
    for name in ["memcheck", "racecheck", "synccheck", "initcheck"]:
        log = logs / f"{name}.log"
        status, seconds = run([tool, "--tool", name, "--error-exitcode", "99", str(BUILD / "tests" / "sotalign_tests"),
                               f"--gtest_filter={SMALL}"], log)
        summary = re.findall(r"=+ (ERROR SUMMARY.*|RACECHECK SUMMARY.*)", log.read_text())
        result[name] = {"ok": status == 0, "summary": summary[-1] if summary else "", "seconds": seconds}
        result["ok"] = result["ok"] and status == 0
    return result


def bench(logs):
    report = logs / "bench.json"
    status, seconds = run([str(BUILD / "bench" / "klot_bench"), f"--benchmark_out={report}", "--benchmark_out_format=json",
                           "--benchmark_filter=/cuda/"], logs / "bench.log")
    if status != 0 or not report.exists():
        return {"ok": False, "seconds": seconds}
    print((logs / "bench.log").read_text())
    return {"ok": True, "seconds": seconds, **json.loads(report.read_text())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", default=",".join(STEPS), help="comma-separated, of " + ", ".join(STEPS))
    parser.add_argument("--out", type=pathlib.Path, help="results file")
    arguments = parser.parse_args()
    steps = arguments.steps.split(",")
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        parser.error(f"--steps: expected some of {', '.join(STEPS)}, found {unknown[0]}")
    if shutil.which("nvidia-smi") is None:
        print("gpu: this machine has no NVIDIA driver (nvidia-smi not found)", file=sys.stderr)
        return 2
    found = devices()
    out = arguments.out or ROOT / "bench/results" / ("gpu_" + re.sub(r"\W+", "_", found[0]["name"]).lower() + ".json")
    logs = ROOT / "build" / "gpu-logs"
    logs.mkdir(parents=True, exist_ok=True)

    report = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": output("git", "rev-parse", "HEAD"),
        "uncommitted_changes": output("git", "status", "--porcelain", "--untracked-files=no") != "",
        "command": "bench/gpu/gpu_report.py --steps " + ",".join(steps),
        "devices": found,
    }
    actions = {"build": build, "test": test, "sanitize": sanitize, "bench": bench}
    failed = []
    for step in steps:
        report[step] = actions[step](logs)
        if not report[step]["ok"]:
            failed.append(step)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(report, indent=1) + "\n")  # after each step: a later one may be cut short
        if step == "build" and failed:
            break
    if (BUILD / "apps/sotalign/sotalign").exists():
        report["info"] = output(str(BUILD / "apps/sotalign/sotalign"), "info").splitlines()
        out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{out}: " + ("all steps passed" if not failed else "failed: " + ", ".join(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
