#!/usr/bin/env python3
"""Runs the program on a GPU and judges what it measures: see tests/gpu/run, which calls this.

The parts stand in the order of their worth, each by itself. Each has a slice of the time and is cut
off where that ends; what it needs less, the next ones have. What is judged goes to
DEVICE-proof.json at once, beside the program's own reports; a table comes last. Nothing of the
machine is changed.
"""

import argparse
import json
import pathlib
import re
import signal
import sys

import extras
import parts
from proof import Cut, FAIL, NOT_RUN, Proof, find_library

# [name] The weight of its slice, and what it does. Those of MAIN have to be shown.
MAIN = {"replays": (4, parts.replays), "timed": (5, parts.timed), "tensors": (5, parts.tensors),
        "nccl": (3, parts.nccl), "faults": (4, parts.faults), "sanitizers": (3, parts.sanitizers)}
EXTRAS = {"probe": (1, extras.probe), "crosscheck": (1, extras.crosscheck),
          "more": (1, extras.more)}
ALL = {**MAIN, **EXTRAS}
NO_DEVICE = 4


def find_device(proof):
    """Whether there is one; reports are named after it."""
    result = proof.run(["-q", "replay", "1f1b", "-p", "2", "-m", "2", "--backend", "cuda",
                        "--format", "json", *parts.COSTS])
    if result.code != 0:
        sys.stderr.write(result.err or result.complaint() + "\n")
        if result.code != NO_DEVICE:
            sys.exit("tests/gpu/prove.py: the program fails before any GPU is asked")
        return False
    report = json.loads(result.out)
    proof.options.machine = report["machine"]
    proof.device = re.sub("[^a-z0-9]+", "-", report["device"].lower()).strip("-")
    return True


def read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--gpu-probe", default="")
    parser.add_argument("--nccl-probe", default="")
    parser.add_argument("--measured", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=480, help="for all parts together")
    parser.add_argument("--small", action="store_true",
                        help="few ranks and small tensors, for test doubles: times mean nothing")
    parser.add_argument("--command", default="tests/gpu/prove.py", help="for the reports")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(ALL))
    options = parser.parse_intermixed_args()
    for part in options.parts:
        if part not in ALL:
            parser.error(f"there is no part '{part}': {', '.join(ALL)}")
    options.machine = None
    options.sizes = parts.Sizes.of_doubles() if options.small else parts.Sizes()
    return options


def main():
    options = read_options()
    options.measured.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    find_library("BUBBLESCOPE_NCCL_LIBRARY", "libnccl.so.2")
    find_library("BUBBLESCOPE_CUBLASLT", "libcublasLt.so.13", "libcublasLt.so.12")
    find_library("BUBBLESCOPE_CUPTI", "libcupti.so.13", "libcupti.so.12")
    chosen = [part for part in ALL if part in (options.parts or ALL)]
    proof = Proof(options, chosen)
    try:
        if not find_device(proof):
            return NO_DEVICE
    except Cut:
        sys.exit("tests/gpu/prove.py: the time is over before a GPU has answered")
    try:
        for index, part in enumerate(chosen):
            weights = [ALL[each][0] for each in chosen[index:]]
            proof.run_part(index, weights[0] / sum(weights), ALL[part][1])
    finally:
        print(proof.table(), end="", flush=True)
    return int(any(row["verdict"] == FAIL or (row["verdict"] == NOT_RUN and row["part"] in MAIN)
                   for row in proof.all_rows()))


if __name__ == "__main__":
    sys.exit(main())
