"""Runs `sotalign compare` on several sets and numbers of pairs; shared by the scripts of this folder."""
import argparse
import json
import pathlib
import shlex
import subprocess
import tempfile

TEST = {"emoji": 300, "shopclip": 300}  # small sets; 400 elsewhere


def parser(description):
    """The options that the scripts share. --sets takes any folder below --data that has images.npy and texts.npy."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--program", required=True)
    result.add_argument("--data", default="../shared/data")
    result.add_argument("--sets", nargs="+", default=["flickr8k", "flickr8k_eff", "wordnet", "shopclip", "emoji"])
    result.add_argument("--pairs", nargs="+", type=int, default=[100, 300, 1000])
    result.add_argument("--seeds", type=int, default=3)
    result.add_argument("--threads", type=int, default=2)
    result.add_argument("--out", required=True)
    return result


def compare(arguments, name, pairs, options):
    """The report of `sotalign compare` with 200 validation rows and `options`, or None if the set has too few rows."""
    folder = pathlib.Path(arguments.data) / name
    with tempfile.TemporaryDirectory() as work:
        out = f"{work}/compare.json"
        command = [arguments.program, "compare", "--images", folder / "images.npy", "--texts", folder / "texts.npy",
                   "--pairs", pairs, "--test", TEST.get(name, 400), "--validation", 200,
                   "--seeds", ",".join(map(str, range(arguments.seeds))), "--threads", arguments.threads, "--quiet",
                   "--json", out, *options]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode != 0:
            if "rows: expected more than" in done.stderr:
                return None
            raise SystemExit(f"{name}, {pairs} pairs, {shlex.join(options)}: {done.stderr}")
        with open(out) as file:
            return json.load(file)


def run_of(script, arguments, more=""):
    """Commit, and the command without its paths."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    command = (f"bench/train/{script} --sets {' '.join(arguments.sets)} --pairs {' '.join(map(str, arguments.pairs))}"
               f"{more} --seeds {arguments.seeds} --threads {arguments.threads}")
    return {"command": command, "commit": commit}


def write_json(arguments, run, cells):
    with open(arguments.out + ".json", "w") as file:
        json.dump({**run, "cells": cells}, file, indent=1)


def write_page(arguments, run, title, text, table):
    with open(arguments.out + ".md", "w") as file:
        file.write(f"# {title}\n\n{text} Command: `{run['command']}`, at commit {run['commit']}.\n\n{table}")
