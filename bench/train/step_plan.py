#!/usr/bin/env python3
"""What `sotalign train --plan` predicts against what the same run then takes, for several shapes.

  bench/train/step_plan.py PROGRAM WORK COMMIT bench/results/step_plan

WORK is a folder for data and runs. Needs numpy, /usr/bin/time, and ../shared/data/flickr8k, whose files may not be copied
here. Writes OUT.json and OUT.md. Plans and runs take turns, REPEATS times, with one thread. A step takes the time between two
lines of metrics.jsonl. Machines are shared: of all steps but the first of each run, the time that a tenth of them does not
exceed counts, and of all plans the least. Iterations are means. Memory is the peak resident size less that of `sotalign info`, which loads the program
and its libraries.
"""
import json
import os
import statistics
import subprocess
import sys

import numpy

FLICKR = ["--images", "../shared/data/flickr8k/images.npy", "--texts", "../shared/data/flickr8k/texts.npy"]
WORDS = ["--images", "data/words/images.npy", "--texts", "data/words/texts.npy"]
REPEATS = 3
CASES = [
    ("flickr8k, defaults", "flickr8k", ["--steps", "20"]),
    ("flickr8k, teacher cca", "flickr8k", ["--teacher", "cca", "--steps", "20"]),
    ("flickr8k, MLP head", "flickr8k", ["--teacher", "cca", "--hidden", "512", "--steps", "20"]),
    ("flickr8k, residual head, AdamW", "flickr8k",
     ["--teacher", "cca", "--hidden", "1024", "--residual", "true", "--optimizer", "adamw", "--steps", "10"]),
    ("flickr8k, SAIL", "flickr8k", ["--method", "sail", "--steps", "20"]),
    ("flickr8k, 100 iterations", "flickr8k",
     ["--teacher", "cca", "--tolerance", "0", "--steps", "10"]),
    ("words of the demo", "words", ["--teacher", "cca"]),
    ("generated, batch 4096", "generated", ["--teacher", "cca", "--batch-unpaired", "4096", "--steps", "6"]),
    ("generated, batch 4096, fixed16", "generated",
     ["--teacher", "cca", "--batch-unpaired", "4096", "--steps", "6", "--affinity-memory", "fixed16"]),
    ("generated, batch 4096, streamed", "generated",
     ["--teacher", "cca", "--batch-unpaired", "4096", "--steps", "4", "--affinity-memory", "streamed"]),
    ("generated, 5000 pairs", "many_pairs", ["--teacher", "cca", "--steps", "6"]),
]


def call(arguments):
    """Output and peak resident KiB."""
    # Without `time`, the peak would include that of this script before exec().
    ended = subprocess.run(["/usr/bin/time", "-f", "%M", *arguments], capture_output=True, text=True)
    if ended.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}: {ended.stderr}")
    return ended.stdout, int(ended.stderr.split()[-1])


def generate(folder, pairs):
    """20,000 float16 images of 1280 dimensions, texts of 512, which share 64 factors."""
    if os.path.exists(folder):
        return
    os.makedirs(folder)
    random = numpy.random.default_rng(0)
    maps = {"images": random.standard_normal((64, 1280)), "texts": random.standard_normal((64, 512))}
    for name, rows in (("pairs_", pairs), ("", 20000)):
        factors = random.standard_normal((rows, 64))
        for side, to in maps.items():
            x = factors @ to + 4 * random.standard_normal((rows, to.shape[1]))
            numpy.save(f"{folder}/{name}{side}.npy", x.astype(numpy.float16))


def make_data(program, work):
    for name, source in (("flickr8k", FLICKR), ("words", WORDS)):
        if not os.path.exists(f"{work}/{name}"):
            call([program, "split", *source, "--pairs", "300" if name == "words" else "500", "--test", "300",
                  "--out", f"{work}/{name}"])
    generate(f"{work}/generated", 500)
    generate(f"{work}/many_pairs", 5000)


def measure(program, work, name, data, options, loaded):
    files = f"{work}/{data}"
    arguments = ["--threads", "1", "--pairs-images", f"{files}/pairs_images.npy", "--pairs-texts", f"{files}/pairs_texts.npy",
                 "--images", f"{files}/images.npy", "--texts", f"{files}/texts.npy", *options]
    run = f"{work}/run"
    plans, runs, peaks = [], [], []
    for _ in range(REPEATS):
        plans.append(json.loads(call([program, "train", "--plan", "--json", "-", *arguments])[0]))
        subprocess.run(["rm", "-rf", run], check=True)
        peaks.append(call([program, "train", *arguments, "--log-every", "1", "--hubness-bank", "0", "--quiet",
                           "--out", run])[1])
        lines = [json.loads(line) for line in open(f"{run}/metrics.jsonl")]
        runs.append([line for line in lines if line["type"] == "step"])
    seconds = [[b["seconds"] - a["seconds"] for a, b in zip(steps, steps[1:])] for steps in runs]

    def iterations(side):
        if side not in runs[0][0] or plans[0]["time"]["most"][f"{side}_iterations"] == 0:
            return 0.0
        return statistics.mean(step[side]["iterations"] for step in runs[0][1:])
    student, teacher = iterations("student"), iterations("teacher")

    def predicted(plan):
        time = plan["time"]
        return (sum(part["seconds"] for part in time["parts"])
                + (student + teacher) * time["seconds_per_iteration"])

    steps = sorted(second for run in seconds for second in run)
    predictions = [predicted(plan) for plan in plans]
    return {"name": name, "options": options, "step": plans[0]["step"], "steps": len(steps),
            "student_iterations": student, "teacher_iterations": teacher,
            "seconds": steps[len(steps) // 10], "median_seconds": statistics.median(steps),
            "predicted_typical": min(plan["time"]["typical"]["seconds"] for plan in plans),
            "predicted_most": min(plan["time"]["most"]["seconds"] for plan in plans),
            "predicted": min(predictions), "predictions": predictions,
            "planned_bytes": plans[0]["total_bytes"], "kept_bytes": plans[0]["kept_bytes"],
            "resident_bytes": 1024 * (min(peaks) - loaded), "plan": plans[0]}


def table(results):
    lines = ["| run | step: pairs + unpaired | iterations | ms a step (median) | predicted typically "
             "| predicted with these iterations (most) | ratio | MiB planned | MiB resident |", "|---" * 9 + "|"]
    for r in results:
        step = r["step"]
        lines.append(
            f"| {r['name']} | {step['pairs']} + {step['unpaired_images']} "
            f"| {r['student_iterations']:.0f} + {r['teacher_iterations']:.0f} "
            f"| {1e3 * r['seconds']:.0f} ({1e3 * r['median_seconds']:.0f}) | {1e3 * r['predicted_typical']:.0f} "
            f"| {1e3 * r['predicted']:.0f} ({1e3 * max(r['predictions']):.0f}) "
            f"| {r['predicted'] / r['seconds']:.2f} "
            f"| {r['planned_bytes'] / 2**20:.0f} | {r['resident_bytes'] / 2**20:.0f} |")
    return "\n".join(lines)


def main():
    program, work, commit, out = sys.argv[1:5]
    os.makedirs(work, exist_ok=True)
    make_data(program, work)
    _, loaded = call([program, "info"])
    results = []
    for name, data, options in CASES:
        results.append(measure(program, work, name, data, options, loaded))
        print(table(results[-1:]).splitlines()[-1], flush=True)
    with open(out + ".json", "w") as file:
        json.dump({"commit": commit, "loaded_kib": loaded, "results": results}, file, indent=1)
        file.write("\n")
    with open(out + ".md", "w") as file:
        file.write(f"""# Plans and runs

By `bench/train/step_plan.py`, which tells how, at commit {commit}: what `sotalign train --plan` says, and what the same run
then takes. One thread; the machine's two cores also did other work, so that the time is given that a tenth of the steps does
not exceed, and the least of {REPEATS} plans; in brackets the median of all steps, and the most of the plans.

{table(results)}

* Iterations are those of student and teacher; the plan's typical ones are 5 + 20, and the most without a tolerance.
* The ratio is predicted over real time.
* Resident memory is less what the program takes without a run. The plan counts the teacher's fit and the most scratch memory of a
  step as if no memory were ever reused.
""")


if __name__ == "__main__":
    main()
