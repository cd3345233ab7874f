#!/usr/bin/env python3
"""Sets recipes that vendors measured beside the best that `bubblescope plan` finds for their jobs.

    plans.py PROGRAM ID...    prints a row of docs/plan.md's table for each row of measured.json

The job is the recipe's own: model, GPUs, batch, precision and what runs beside what. Its degrees,
virtual stages, micro-batch and recomputation are open, with Megatron-LM's schedules.
"""

import json
import shlex
import subprocess
import sys

CHOICES = ("-p", "-m", "-v", "--tp", "--cp", "--ep", "--dp", "--microbatch-size", "--recompute",
           "--recompute-layers", "--layout")


def run(program, *words):
    """The JSON that the program prints."""
    command = [program, "-q", *words, "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def plan_words(simulate):
    """The words of `plan` for a recipe, which is told as words of `simulate`."""
    options = dict(zip(simulate[1::2], simulate[2::2]))
    degree = {name: int(options.get(name, 1)) for name in CHOICES[:8]}
    gpus = degree["--tp"] * degree["--cp"] * degree["-p"] * degree["--dp"]
    batch = degree["-m"] * degree["--dp"] * degree["--microbatch-size"]
    job = [word for pair in options.items() if pair[0] not in CHOICES for word in pair]
    if "--layout" in options:
        job += ["--layout", "balanced"]
    return [*job, "--gpus", str(gpus), "--global-batch", str(batch), "--schedules", "megatron"]


def main(program, *names):
    recipes = {row["id"]: row for row in run(program, "reproduce", "measured")["rows"]}
    for name in names:
        recipe = recipes[name]
        words = plan_words(shlex.split(recipe["command"])[2:])
        best = run(program, "plan", *words, "--top", "1")["results"][0]
        ours, theirs = best["iteration_time_ns"], recipe["predicted_ns"]
        print(f"| {name} | {recipe['measured_ns'] / 1e9:.2f} s | {theirs / 1e9:.2f} s "
              f"| {ours / 1e9:.2f} s | {100 * (1 - ours / theirs):.1f} % |")


if __name__ == "__main__":
    main(*sys.argv[1:])
