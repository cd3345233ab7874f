"""What has to be shown on a GPU. Each part takes a Proof and judges goals of its own."""

import dataclasses
import json
import os
import pathlib
import shutil
import statistics
import tempfile
import time

from proof import Cut, count_gpus, memory_used

# One for each way to order and to place: one stage a rank, with full backwards; several chunks a
# rank; a V, with split backwards; two pipes with F&B pairs, whose two copies of the weights have
# their gradients added up.
SCHEDULES = ["1f1b", "interleaved-1f1b", "zb-v", "dualpipe"]
COSTS = ["--forward", "200us", "--input-grad", "240us", "--weight-grad", "160us",
         "--p2p", "20us", "--comm", "stream"]
# Goals. Errors are fractions, bubbles points, starts nanoseconds.
GOALS = {"timed": {"median": 0.003, "max": 0.01, "bubble": 0.3, "start_p95": 10_000},
         "tensors": {"median": 0.01, "max": 0.02, "bubble": 0.5},
         "cluster": {"median": 0.02, "max": 0.04, "bubble": 1}}
NO_DEVICE = 4


@dataclasses.dataclass
class Sizes:
    ranks: int = 4
    repeats: int = 20
    small: tuple = ("--tokens", "64", "--hidden", "128", "--inner", "256", "--blocks", "4")
    tensors: tuple = ("--tokens", "2048", "--hidden", "2048", "--inner", "8192", "--blocks", "4")
    calibrate: tuple = ()
    message: str = "16MiB"
    comms: tuple = ("ideal", "stream", "batched")
    patience: float = 5  # --timeout of a hang
    slack: float = 10
    before_kill: float = 10  # seconds in which the processes of a job meet
    settle: float = 2  # seconds in which a GPU gives memory back

    @staticmethod
    def of_doubles():
        tiny = ("--tokens", "16", "--hidden", "16", "--inner", "32", "--blocks", "4")
        return Sizes(ranks=2, repeats=2, small=tiny, tensors=tiny, calibrate=("--repeats", "2"),
                     message="4KiB", comms=("batched",), patience=0.5, before_kill=3,
                     settle=0)


def shape(p):
    return ["-p", str(p), "-m", str(2 * p)]


def replays(proof):
    """The schedules run, and compute what an unpipelined run computes."""
    for launch in ["graph", "streams"]:
        replay_all(proof, SCHEDULES, proof.options.sizes.ranks, "tensors", launch)


def replay_all(proof, schedules, p, workload, launch):
    failed, worst, machines = [], 0.0, []
    label = f"{workload} {launch} p={p}: " + ("parity" if workload == "tensors" else "they end")

    def found():
        text = "; ".join(failed) or f"{len(machines)} of {len(schedules)} schedules"
        return text + (f", worst gradient {worst:.1e}" if workload == "tensors" else "")
    for name in schedules:
        try:
            result = proof.run(["-q", "replay", name, *shape(p), *COSTS, "--backend", "cuda",
                                "--workload", workload, "--launch", launch, "--repeats", "2",
                                "--format", "json",
                                *(proof.options.sizes.small if workload == "tensors" else [])])
        except Cut:
            proof.judge(label, found() + ", then cut off", "all", False if failed else None)
            raise
        if result.code != 0:
            failed.append(f"{name}: {result.complaint()}")
            continue
        report = json.loads(result.out)
        machines.append(report["machine"])
        if workload == "tensors":
            parity = report["parity"]
            worst = max(worst, parity["gradient_error"] or 0)
            if not parity["holds"]:
                failed.append(f"{name}: {parity['worst_tensor']} {parity['gradient_error']}")
    proof.judge(label, found(), "all end" + (", parity holds" if workload == "tensors" else ""),
                not failed)
    judge_machines(proof, f"{workload} {launch} p={p}", workload, machines)


def judge_machines(proof, label, workload, machines):
    """What spoils a measurement without failing it."""
    if workload == "tensors" and machines:
        partitions = sorted({each["partitions"] for each in machines})
        proof.judge(f"{label}: partitions", "; ".join(partitions), "SMs of each rank's own",
                    len(partitions) == 1 and not partitions[0].startswith("no"))
    late = [each["launch"] for each in machines if "took too long" in each["launch"]]
    if late:
        proof.judge(f"{label}: launches", late[0], "in time", False)


def timed(proof):
    """Predicted steps beside measured ones, of actions that last as long as they are told."""
    validate(proof, SCHEDULES, proof.options.sizes.ranks, "timed", [], COSTS)


def tensors(proof):
    """The same of matrix products, each rank on SMs of its own."""
    machine = ["--workload", "tensors", *proof.options.sizes.tensors]
    validate(proof, SCHEDULES, proof.options.sizes.ranks, "tensors", machine, ["--comm", "stream"])


def validate(proof, schedules, p, workload, machine, costs):
    """Profile and report are kept."""
    names = [proof.path(f"{what}-{workload}-p{p}") for what in ("profile", "validate")]
    validate_in(proof, *names, schedules, p, workload, machine, costs)


def validate_in(proof, profile, report, schedules, p, workload, machine, costs):
    sizes = proof.options.sizes
    label = f"{workload} p={p}"
    result = proof.run(["-q", "calibrate", "-p", str(p), "--backend", "cuda", *machine,
                        *sizes.calibrate, "-o", str(profile)], 240)
    if result.code != 0:
        proof.judge(f"{label}: calibrate", result.complaint(), "exit code 0", False)
        return
    result = proof.run(["-q", "validate", *schedules, *shape(p), *costs, "--profile", str(profile),
                        "--repeats", str(sizes.repeats), "--format", "json", "-o", str(report)],
                       240)
    if result.code not in (0, 1):
        proof.judge(f"{label}: validate", result.complaint(), "exit code 0 or 1", False)
        return
    measured = json.loads(report.read_text())
    judge_errors(proof, label, GOALS[workload], measured)
    judge_machines(proof, label, workload, [each["machine"] for each in measured["results"]])


def judge_errors(proof, label, goals, report):
    results = report["results"]
    errors = [abs(each["step_error"]) for each in results]
    noise = max(each["noise"] for each in results)
    median, worst = statistics.median(errors), max(errors)
    proof.judge(f"{label}: step error, median", f"{median:.3%}, noise up to {noise:.3%}",
                f"<= {goals['median']:.1%}", median <= goals["median"])
    proof.judge(f"{label}: step error, largest", f"{worst:.3%}", f"<= {goals['max']:.1%}",
                worst <= goals["max"])
    bubble = max(abs(each["bubble_error_points"]) for each in results)
    proof.judge(f"{label}: bubble, largest error", f"{bubble:.2f} points",
                f"<= {goals['bubble']} points", bubble <= goals["bubble"])
    if "start_p95" in goals:
        start = max(each["start_error_ns"]["p95"] for each in results)
        proof.judge(f"{label}: op start, p95", f"{start / 1e3:.1f} us",
                    f"<= {goals['start_p95'] / 1e3:.0f} us", start <= goals["start_p95"])
    ranking = report["ranking"]
    proof.judge(f"{label}: ranking beyond twice the noise",
                f"{ranking['right']} of {ranking['pairs']} pairs right", "all",
                ranking["pairs"] > 0 and not ranking["wrong"])
    parities = [each["parity"] for each in results if each.get("parity")]
    if parities:
        error = max(each["gradient_error"] for each in parities)
        proof.judge(f"{label}: parity", f"worst gradient {error:.1e}",
                    f"<= {parities[0]['tolerance']:.0e}", all(each["holds"] for each in parities))


def nccl(proof):
    """One GPU shows one rank; more show a cluster of one host."""
    one = ["-q", "replay", "1f1b", "-p", "1", "-m", "4", *COSTS[:6], "--workload", "tensors",
           *proof.options.sizes.small, "--format", "json"]
    result, _ = proof.run_job(1, one)
    parity = json.loads(result.out)["parity"] if result.code == 0 else {"holds": False}
    proof.judge("one process: parity", parity.get("gradient_error", result.complaint()), "holds",
                parity["holds"])
    probe = proof.run(["-o", str(proof.path("nccl-probe"))], 100, program=proof.options.nccl_probe)
    proof.judge("one rank: init, messages to itself, abort",
                probe.complaint() if probe.code != 0 else "see the report", "exit code 0",
                probe.code == 0)
    gpus = count_gpus()
    sizes = [each for each in (2, 4, 8) if each <= gpus]
    if not sizes:
        return
    kill_one(proof, min(gpus, 4))
    for p in reversed(sizes):
        cluster(proof, p)
    cluster_parities(proof, sizes[-1])


def cluster(proof, p):
    sizes = proof.options.sizes
    for workload, machine, costs in [
            ("timed", [], [*COSTS[:6], "--message", sizes.message, "--comm", "stream"]),
            ("tensors", ["--workload", "tensors", *sizes.tensors], ["--comm", "stream"])]:
        label = f"{workload} p={p}"
        profile = proof.path(f"profile-nccl-{workload}-p{p}")
        report = proof.path(f"validate-nccl-{workload}-p{p}")
        result, codes = proof.run_job(
            p, ["-q", "calibrate", "-p", str(p), *machine, *sizes.calibrate, "-o", str(profile)],
            300)
        if has_failed(codes):
            proof.judge(f"{label}: calibrate", result.complaint(), "exit code 0", False)
            continue
        result, codes = proof.run_job(
            p, ["-q", "validate", *SCHEDULES, *shape(p), *costs, "--profile", str(profile),
                "--repeats", str(sizes.repeats), "--format", "json", "-o", str(report)], 300)
        if any(code not in (0, 1) for code in codes):
            proof.judge(f"{label}: validate", f"exit codes {codes}, {result.complaint()}",
                        "0 or 1 everywhere", False)
            continue
        judge_errors(proof, label, GOALS["cluster"], json.loads(report.read_text()))


def cluster_parities(proof, p):
    for comm in proof.options.sizes.comms:
        failed = []
        for name in SCHEDULES:
            result, codes = proof.run_job(
                p, ["-q", "replay", name, *shape(p), *COSTS[:6], "--comm", comm, "--workload",
                    "tensors", *proof.options.sizes.small, "--repeats", "2", "--format",
                    "json"], 60)
            if has_failed(codes):
                failed.append(f"{name}: exit codes {codes}, {result.complaint()}")
                continue
            parity = json.loads(result.out)["parity"]
            if not parity["holds"]:
                failed.append(f"{name}: gradient error {parity['gradient_error']}")
        proof.judge(f"p={p}, {comm}: parity", "; ".join(failed) or "all", "all", not failed)


def kill_one(proof, p):
    sizes = proof.options.sizes
    patience = 5
    limit = patience + sizes.slack

    def kill(started):
        time.sleep(sizes.before_kill)
        started[1].kill()
    result, codes = proof.run_job(
        p, ["-q", "replay", "1f1b", *shape(p), "--forward", "100ms", "--input-grad", "100ms",
            "--weight-grad", "100ms", "--repeats", "1000", "--timeout", f"{patience}s"], 60, kill)
    codes = codes[:1] + codes[2:]
    holds = codes and all(code == NO_DEVICE for code in codes) \
        and result.seconds <= sizes.before_kill + limit and result.err.count("rank 1 ") == 1
    proof.judge(f"p={p}: rank 1 is killed", f"exit codes {codes}, {result.complaint()}",
                f"{NO_DEVICE} everywhere within {limit} s, rank 1 named once", holds)


def has_failed(codes):
    """None is a process that ran out of time."""
    return any(code != 0 for code in codes)


def faults(proof):
    """A hang, a kernel that fails and a lack of memory end in time, and leave nothing behind."""
    before = memory_used()
    args = ["1f1b", *shape(proof.options.sizes.ranks), *COSTS, "--backend", "cuda"]
    hang(proof, "hang, timed, graph", [*args, "--launch", "graph"], "1F2")
    failure(proof, "a kernel that fails, graph", [*args, "--launch", "graph"])
    hang(proof, "hang, tensors, streams",
         [*args, "--workload", "tensors", *proof.options.sizes.small, "--launch", "streams"], "1F2")
    result = proof.run(["-q", "replay", *args, "--workload", "tensors", "--tokens", "4096",
                        "--hidden", "65536", "--inner", "131072"])
    proof.judge("out of memory", f"exit code {result.code}: {result.complaint()}",
                f"{NO_DEVICE}, in one line",
                result.code == NO_DEVICE and "no memory for" in result.err)
    failure(proof, "a kernel that fails, streams", [*args, "--launch", "streams"])
    judge_memory(proof, before)


def hang(proof, label, arguments, action):
    sizes = proof.options.sizes
    result = proof.run(["-q", "replay", *arguments, "--timeout", f"{sizes.patience}s",
                        "--inject", f"hang:1:{action}"])
    holds = result.code == NO_DEVICE and result.seconds <= sizes.patience + sizes.slack \
        and f"rank 1: {action} has begun and not ended" in result.err
    proof.judge(label, f"exit code {result.code} after {result.seconds:.1f} s",
                f"{NO_DEVICE} within {sizes.patience + sizes.slack} s, {action} named", holds)


def failure(proof, label, arguments):
    """A kernel breaks its context; the trace of the actions before it is kept."""
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "failed.json"
        result = proof.run(["-q", "replay", *arguments, "--inject", "fail:1:1F2",
                            "--trace", str(trace)])
        kept = trace.exists() and "1F2" in json.loads(trace.read_text())["otherData"]["fault"]
    said = result.err.strip().splitlines() or ["nothing"]
    proof.judge(label, f"exit code {result.code}: {said[0][:160]}{'' if kept else '; no trace'}",
                f"{NO_DEVICE}, 1F2 named, the trace kept",
                result.code == NO_DEVICE and "1F2" in result.err and kept)


def judge_memory(proof, before):
    if before is None:
        return
    time.sleep(proof.options.sizes.settle)
    after = memory_used()
    proof.judge("nothing is left on the GPU", f"{before} MiB before, {after} MiB after",
                "as before", after is not None and after <= before + 64)


def sanitizers(proof):
    """One pass over all that tensors need."""
    sanitize(proof, "memcheck", "tensors")


def sanitize(proof, check, what):
    label = f"{check}, {what}"
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    if not os.access(tool, os.X_OK):
        proof.judge(label, "there is no compute-sanitizer here", "no error", None)
        return
    program = proof.options.nccl_probe if what == "nccl" else proof.options.program
    arguments = [] if what == "nccl" else [
        "-q", "replay", "1f1b", "-p", "2", "-m", "4", *COSTS, "--backend", "cuda", "--launch",
        "streams", "--repeats", "1", "--warm-ups", "0", "--timeout", "100s",
        *(["--workload", "tensors", *proof.options.sizes.small] if what == "tensors" else [])]
    result = proof.run(arguments, 150, [tool, "--tool", check, "--error-exitcode", "66"], program)
    lines = [line for line in result.out.splitlines() if "SUMMARY" in line]
    if "Device not supported" in result.out + result.err:
        proof.judge(label, "compute-sanitizer does not support this device", "no error", None)
        return
    proof.judge(label, (lines or [result.complaint()])[-1].strip("= "), "no error",
                result.code == 0)
