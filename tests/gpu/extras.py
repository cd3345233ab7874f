"""What is shown on a GPU while time is left."""

import json
import os
import pathlib
import statistics
import tempfile

from parts import COSTS, SCHEDULES, hang, replay_all, sanitize, shape, validate_in

OTHERS = ["gpipe", "zb-h1", "zb-h2", "dualpipev"]


def probe(proof):
    """The GPU facts that replays are built on, in a report of their own."""
    program = proof.options.gpu_probe
    if not program or not os.access(program, os.X_OK):
        proof.judge("the GPU's facts", "there is no probe here", "a report", None)
        return
    result = proof.run(["-o", f"{proof.options.measured}/", "--command", proof.options.command],
                       130, program=program)
    proof.judge("the GPU's facts", "see the report" if result.code == 0 else result.complaint(),
                "exit code 0", result.code == 0)


def crosscheck(proof):
    """The stamps beside CUPTI's times of the same kernels."""
    for workload, launch in [("timed", "graph"), ("tensors", "graph"), ("timed", "streams"),
                             ("tensors", "streams")]:
        result = proof.run(["-q", "replay", "1f1b", *shape(proof.options.sizes.ranks), *COSTS,
                            *(proof.options.sizes.small if workload == "tensors" else []),
                            "--workload", workload, "--backend", "cuda", "--launch", launch,
                            "--cross-check", "--format", "json"])
        found = (json.loads(result.out)["machine"]["CUPTI"] if result.code == 0
                 else result.complaint())
        proof.judge(f"CUPTI, {workload}, {launch}", found, "all actions are compared",
                    "lengths differ" in found)


def more(proof):
    """More schedules, more ranks, other passes of the sanitizer."""
    p = proof.options.sizes.ranks
    for workload in ["tensors", "timed"]:
        replay_all(proof, OTHERS, p, workload, "graph")
    launches(proof, p)
    # Behind it a stream has no room for all that is launched.
    hang(proof, "hang, timed, streams, -m 1000",
         ["1f1b", "-p", "2", "-m", "1000", *COSTS, "--backend", "cuda", "--launch", "streams"],
         "1F0")
    sanitize(proof, "memcheck", "timed")
    sanitize(proof, "racecheck", "tensors")
    sanitize(proof, "memcheck", "nccl")
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / "profile.json", pathlib.Path(folder) / "report.json"]
        validate_in(proof, *files, SCHEDULES + OTHERS, 2 * p, "timed", [], COSTS)
        validate_in(proof, *files, SCHEDULES + OTHERS, 2 * p, "tensors",
                    ["--workload", "tensors", *proof.options.sizes.tensors],
                    ["--comm", "stream"])


def launches(proof, p):
    """What launching kernel by kernel costs beside one graph."""
    steps = {}
    for launch in ["graph", "streams"]:
        with tempfile.TemporaryDirectory() as folder:
            report = pathlib.Path(folder) / "report.json"
            result = proof.run(["-q", "validate", *SCHEDULES, *shape(p), *COSTS, "--backend",
                                "cuda", "--launch", launch, "--repeats",
                                str(proof.options.sizes.repeats), "--tolerance", "1000000",
                                "--format", "json", "-o", str(report)], 120)
            if result.code != 0:
                proof.judge(f"launch overhead p={p}", result.complaint(), "exit code 0", False)
                return
            steps[launch] = [each["measured_step_ns"]
                             for each in json.loads(report.read_text())["results"]]
    over = [s / g - 1 for g, s in zip(steps["graph"], steps["streams"])]
    proof.judge(f"launch overhead p={p}, streams over a graph",
                f"median {statistics.median(over):+.3%}, largest {max(over):+.3%}",
                "both are measured", True)
