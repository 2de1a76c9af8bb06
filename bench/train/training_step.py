#!/usr/bin/env python3
"""Tables from the lines that bench/train/training_step.cpp prints: what relaxation, starts from earlier potentials
and a kept teacher's plan save in a training step.

  for seeds 0, 1, 2 of flickr8k with 100, 500, 1000 pairs, wordnet and shopclip with 300, emoji with 100, 300:
    OMP_NUM_THREADS=1 training_step runs ../shared/data/SET PAIRS SEED >> runs.jsonl
  for the cells of the second table: training_step solves ../shared/data/SET PAIRS 0 >> solves.jsonl
  bench/train/training_step.py runs.jsonl solves.jsonl COMMIT bench/results/training_step

Writes OUT.json (all lines) and OUT.md.
"""
import json
import statistics
import sys


def read(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def by_cell(lines):
    cells = {}
    for line in lines:
        cells.setdefault((line["set"], line["pairs"]), []).append(line)
    return cells


def difference(before, after, key):
    """Mean of the differences seed by seed, and the largest."""
    gains = [b[key] - a[key] for a, b in zip(before, after)]
    return f"{statistics.mean(gains):+.2f} ({max(gains, key=abs):+.2f})"


def runs_table(runs):
    lines = ["| data | pairs | all rows | teacher's iterations | student's | CPU ms a step | ratio, median (range) "
             "| MeanR@1 before | change, mean (largest) | MRR before | change |", "|---" * 11 + "|"]
    for (name, pairs), cell in by_cell(runs).items():
        of = {s: [r for r in cell if r["setting"] == s] for s in ("plain", "relaxed", "default")}
        before, after = of["plain"], of["default"]

        def mean(lines, key):
            return statistics.mean(line[key] for line in lines)
        ratios = sorted(b["step_ms"] / a["step_ms"] for a, b in zip(before, after))
        solved = f"{mean(after, 'teacher_iterations'):.0f}" + (", once" if of["relaxed"] else "")
        lines.append(
            f"| {name} | {pairs} | {'yes' if of['relaxed'] else 'no'} | {mean(before, 'teacher_iterations'):.0f} -> "
            f"{solved} | {mean(before, 'student_iterations'):.1f} -> {mean(after, 'student_iterations'):.1f} "
            f"| {statistics.median(r['step_ms'] for r in before):.0f} -> "
            f"{statistics.median(r['step_ms'] for r in after):.0f} "
            f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) "
            f"| {mean(before, 'mean_r1'):.2f} | {difference(before, after, 'mean_r1')} "
            f"| {mean(before, 'mrr'):.2f} | {difference(before, after, 'mrr')} |")
    return "\n".join(lines)


def solves_table(solves):
    relaxations = sorted({s["relaxation"] for s in solves})
    lines = ["| data | pairs | batch of rows | plan, epsilon | start | "
             + " | ".join(f"{'plain' if r == 1 else r}" for r in relaxations) + " |",
             "|---" * (5 + len(relaxations)) + "|"]
    for (name, pairs), cell in by_cell(solves).items():
        for side in ("teacher", "student"):
            for start in ("zero", "rows", "anywhere"):
                found = {s["relaxation"]: s for s in cell if s["side"] == side and s["start"] == start}
                if not found:
                    continue
                first = found[1]
                lines.append(f"| {name} | {pairs} | {first['batch']} of {first['of']} | {side}, {first['epsilon']} "
                             f"| {start} | " + " | ".join(f"{found[r]['iterations']:.1f}" for r in relaxations) + " |")
    return "\n".join(lines)


def main():
    runs, solves, commit, out = read(sys.argv[1]), read(sys.argv[2]), sys.argv[3], sys.argv[4]
    with open(out + ".json", "w") as file:
        json.dump({"commit": commit, "runs": runs, "solves": solves}, file, indent=0)
        file.write("\n")
    with open(out + ".md", "w") as file:
        file.write(f"""# The two solves of a training step

By `bench/train/training_step.cpp` and `training_step.py`, which tells the commands, at commit {commit}. SOTAlign from the
plain teacher with the other defaults: 60 steps, batches of 1200, tolerance 1e-3, checked every 5 iterations, at most 100.
One thread; times are CPU time. The machine's two cores also did other work: compare times within a row.

## Before and after

Before: plain updates for both plans, and the teacher's plan is computed in every step. After: the default relaxations, 1.3
for the student's plan and 1.7 for the teacher's; where every step has all unpaired rows, the teacher's affinity and plan are
computed once. Iterations are those of a solve, means over steps and three seeds. MeanR@1 and MRR in percent, of held-out rows
after the last step, without validation; changes seed by seed.

{runs_table(runs)}

## Relaxation and start

Mean iterations of a solve over the steps of one run (seed 0). Starts: `zero` is what training does; `rows` are the column
potentials of each row's last solve, less their mean; `anywhere` those of one solve of all unpaired rows, as good a start by row as
one can keep. No value is below 5, the first check.

{solves_table(solves)}

* Relaxation saves more than any start, and leaves little for a start to save where batches are drawn: with the defaults, 0 to 4
  of the teacher's iterations, 0 to 1.4 ms of a step of 24 to 208 ms, and none of the student's. The other side's rows change from
  batch to batch, and move the potentials.
* Where a batch is all rows, the teacher's plan is kept and needs no start. A start would halve the student's iterations on emoji:
  1.0 ms of a step of 69 ms.
* So training has no starts by row: they would put potentials into checkpoints, for 0 to 3 % of a step on the CPU.
""")


main()
