#!/usr/bin/env python3
"""Runs the program on a GPU and judges what it measures: see tests/gpu/run, which calls this.

Each part writes the program's own reports; a summary goes to DEVICE-proof.json, and the same as a
table to stdout. Nothing of the machine is changed.
"""

import argparse
import ctypes
import datetime
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

SCHEDULES = ["gpipe", "1f1b", "interleaved-1f1b", "zb-h1", "zb-h2", "zb-v", "dualpipe", "dualpipev"]
RANKS = [4, 8]
COSTS = ["--forward", "200us", "--input-grad", "240us", "--weight-grad", "160us",
         "--p2p", "20us", "--comm", "stream"]
TENSORS = ["--tokens", "2048", "--hidden", "2048", "--inner", "8192", "--blocks", "4"]
SMALL_TENSORS = ["--tokens", "64", "--hidden", "128", "--inner", "256", "--blocks", "4"]
# Goals. Errors are fractions, bubbles points, starts nanoseconds.
GOALS = {"timed": {"median": 0.003, "max": 0.01, "bubble": 0.3, "start_p95": 10_000},
         "tensors": {"median": 0.01, "max": 0.02, "bubble": 0.5},
         "cluster": {"median": 0.02, "max": 0.04, "bubble": 1}}
NO_DEVICE = 4


class Result:
    """What a command did. `code` is None where it ran out of time."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def complaint(self):
        last = self.err.strip().splitlines()
        return last[-1][:160] if last else f"exit code {self.code}"


class Proof:
    def __init__(self, options):
        self.options = options
        self.deadline = time.monotonic() + options.seconds
        self.rows = []
        self.device = None

    def run(self, arguments, limit=120, prefix=(), program=None):
        """Runs the program, or another; never longer than the time that is left for all."""
        limit = min(limit, self.deadline - time.monotonic())
        if limit <= 0:
            return Result(None, "", "not run: the time is over", 0)
        program = [self.options.program] if program is None else []
        command = [*prefix, *program, *arguments]
        begin = time.monotonic()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit,
                                  check=False)
        except subprocess.TimeoutExpired:
            return Result(None, "", f"not done after {limit:.0f} s", time.monotonic() - begin)
        except OSError as error:
            return Result(None, "", str(error), time.monotonic() - begin)
        return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def run_job(self, processes, arguments, limit=300, after_start=None):
        """Runs the program as that many processes, a GPU each: what rank 0 did, all exit codes."""
        limit = min(limit, self.deadline - time.monotonic())
        if limit <= 0:
            return Result(None, "", "not run: the time is over", 0), []
        begin = time.monotonic()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            master = f"127.0.0.1:{free.getsockname()[1]}"
        with tempfile.TemporaryDirectory() as folder:
            files = [open(pathlib.Path(folder) / f"{rank}", "w+") for rank in range(2 * processes)]
            started = [subprocess.Popen(
                [self.options.program, *arguments, "--backend", "nccl", "--master", master,
                 "--rank", str(rank), "--world-size", str(processes), "--local-rank", str(rank)],
                stdout=files[2 * rank], stderr=files[2 * rank + 1]) for rank in range(processes)]
            if after_start:
                after_start(started)
            codes = []
            for each in started:
                try:
                    codes.append(each.wait(max(1, begin + limit - time.monotonic())))
                except subprocess.TimeoutExpired:
                    each.kill()
                    codes.append(each.wait() and None)
            texts = []
            for file in files:
                file.seek(0)
                texts.append(file.read())
                file.close()
        errors = "".join(texts[1::2])
        return Result(codes[0], texts[0], errors, time.monotonic() - begin), codes

    def judge(self, goal, found, wanted, holds):
        self.rows.append({"goal": goal, "found": found, "wanted": wanted, "holds": bool(holds)})
        print(f"{'PASS' if holds else 'FAIL'}  {goal}: {found}", file=sys.stderr, flush=True)

    def path(self, name):
        return self.options.measured / f"{self.device}-{name}.json"

    def find_device(self):
        result = self.run(["-q", "replay", "1f1b", "-p", "2", "-m", "2", "--backend", "cuda",
                           "--format", "json", *COSTS])
        if result.code != 0:
            sys.stderr.write(result.err or result.complaint() + "\n")
            return False
        name = json.loads(result.out)["device"]
        self.device = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
        return True

    def replays(self):
        """Every schedule runs, and computes what an unpipelined run computes."""
        for p in RANKS:
            for workload in ["timed", "tensors"]:
                for launch in ["graph", "streams"]:
                    self.replay_all(p, workload, launch)

    def replay_all(self, p, workload, launch):
        shape = ["-p", str(p), "-m", str(2 * p)]
        failed, worst, machines = [], 0.0, []
        for name in SCHEDULES:
            tensors = SMALL_TENSORS if workload == "tensors" else []
            result = self.run(["-q", "replay", name, *shape, *COSTS, *tensors, "--backend", "cuda",
                               "--workload", workload, "--launch", launch, "--repeats", "2",
                               "--format", "json"], 60)
            if result.code != 0:
                failed.append(f"{name}: {result.complaint()}")
                continue
            report = json.loads(result.out)
            parity = report["parity"]
            machines.append(report["machine"])
            if workload == "tensors":
                worst = max(worst, parity["gradient_error"])
                if not parity["holds"]:
                    failed.append(f"{name}: {parity['worst_tensor']} {parity['gradient_error']}")
        found = "; ".join(failed) or f"{len(SCHEDULES)} schedules"
        if workload == "tensors":
            found += f", worst gradient {worst:.1e}"
        label = f"replay {workload} {launch} p={p}"
        self.judge(label, found, "all end, parity holds", not failed)
        self.judge_machines(label, workload, machines)

    def judge_machines(self, label, workload, machines):
        """What spoils a measurement without failing it."""
        if workload == "tensors" and machines:
            partitions = sorted({each["partitions"] for each in machines})
            self.judge(f"{label}: partitions", "; ".join(partitions), "SMs of each rank's own",
                       len(partitions) == 1 and not partitions[0].startswith("none"))
        late = [each["launch"] for each in machines if "took too long" in each["launch"]]
        if late:
            self.judge(f"{label}: launches", late[0], "in time", False)

    def timed(self):
        for p in RANKS:
            self.validate("timed", p, [], COSTS)
        self.launches()

    def launches(self):
        """What launching kernel by kernel costs beside one graph."""
        steps = {}
        for launch in ["graph", "streams"]:
            report = self.path(f"launch-{launch}-p4")
            result = self.run(["-q", "validate", *SCHEDULES, "-p", "4", "-m", "8", *COSTS,
                               "--backend", "cuda", "--launch", launch, "--repeats", "20",
                               "--tolerance", "1000000", "--format", "json",
                               "-o", str(report)], 120)
            if result.code != 0:
                self.judge("launch overhead p=4", result.complaint(), "exit code 0", False)
                return
            steps[launch] = [each["measured_step_ns"]
                             for each in json.loads(report.read_text())["results"]]
        over = [s / g - 1 for g, s in zip(steps["graph"], steps["streams"])]
        self.judge("launch overhead p=4, streams over a graph",
                   f"median {statistics.median(over):+.3%}, largest {max(over):+.3%}",
                   "both are measured", True)

    def crosscheck(self):
        """The stamps beside CUPTI's times of the same kernels."""
        for workload, launch, more in [("timed", "graph", []), ("timed", "streams", []),
                                       ("tensors", "graph", SMALL_TENSORS),
                                       ("tensors", "streams", SMALL_TENSORS)]:
            result = self.run(["-q", "replay", "1f1b", "-p", "4", "-m", "8", *COSTS, *more,
                               "--workload", workload, "--backend", "cuda", "--launch", launch,
                               "--cross-check", "--format", "json"], 60)
            found = (json.loads(result.out)["machine"]["CUPTI"] if result.code == 0
                     else result.complaint())
            self.judge(f"CUPTI, {workload}, {launch}", found, "all actions are compared",
                       "lengths differ" in found)

    def tensors(self):
        for p in RANKS:
            self.validate("tensors", p, ["--workload", "tensors", *TENSORS], ["--comm", "stream"])

    def validate(self, workload, p, machine, costs):
        label = f"{workload} p={p}"
        profile = self.path(f"profile-{workload}-p{p}")
        report = self.path(f"validate-{workload}-p{p}")
        result = self.run(["-q", "calibrate", "-p", str(p), "--backend", "cuda", *machine,
                           "-o", str(profile)], 240)
        if result.code != 0:
            self.judge(f"{label}: calibrate", result.complaint(), "exit code 0", False)
            return
        result = self.run(["-q", "validate", *SCHEDULES, "-p", str(p), "-m", str(2 * p), *costs,
                           "--profile", str(profile), "--repeats", "20", "--format", "json",
                           "-o", str(report)], 300)
        if result.code not in (0, 1):
            self.judge(f"{label}: validate", result.complaint(), "exit code 0 or 1", False)
            return
        measured = json.loads(report.read_text())
        self.judge_errors(label, GOALS[workload], measured)
        self.judge_machines(label, workload, [each["machine"] for each in measured["results"]])

    def nccl(self):
        """One GPU shows one rank; more show a cluster of one host."""
        if not os.environ.get("BUBBLESCOPE_NCCL_LIBRARY"):
            if library := find_nccl():
                os.environ["BUBBLESCOPE_NCCL_LIBRARY"] = library
        probe = self.run(["-o", str(self.path("nccl-probe"))], 180, [self.options.nccl_probe], "")
        sys.stderr.write(probe.out + probe.err)
        self.judge("NCCL, one rank: init, messages to itself, abort",
                   probe.complaint() if probe.code else "see the report", "exit code 0",
                   probe.code == 0)
        one = ["-q", "replay", "1f1b", "-p", "1", "-m", "4", *COSTS[:6], "--workload", "tensors",
               *SMALL_TENSORS, "--format", "json"]
        result, _ = self.run_job(1, one)
        parity = json.loads(result.out)["parity"] if result.code == 0 else {"holds": False}
        self.judge("--backend nccl, one process: parity", parity.get("gradient_error", result.complaint()),
                   "holds", parity["holds"])
        gpus = count_gpus()
        if gpus < 2:
            print("one GPU: nothing is shown of several processes", file=sys.stderr)
            return
        sizes = [each for each in (2, 4, 8) if each <= gpus]
        for p in sizes:
            self.cluster(p)
        self.parities(sizes[-1])
        self.kill_one(min(gpus, 4))

    def cluster(self, p):
        for workload, machine, costs in [
                ("timed", [], [*COSTS[:6], "--message", "16MiB", "--comm", "stream"]),
                ("tensors", ["--workload", "tensors", *TENSORS], ["--comm", "stream"])]:
            label = f"nccl, {workload} p={p}"
            profile = self.path(f"profile-nccl-{workload}-p{p}")
            report = self.path(f"validate-nccl-{workload}-p{p}")
            result, codes = self.run_job(
                p, ["-q", "calibrate", "-p", str(p), *machine, "-o", str(profile)])
            if has_failed(codes):
                self.judge(f"{label}: calibrate", result.complaint(), "exit code 0", False)
                continue
            result, codes = self.run_job(
                p, ["-q", "validate", *SCHEDULES, "-p", str(p), "-m", str(2 * p), *costs,
                    "--profile", str(profile), "--repeats", "20", "--format", "json",
                    "-o", str(report)])
            if result.code not in (0, 1):
                self.judge(f"{label}: validate", result.complaint(), "exit code 0 or 1", False)
                continue
            self.judge_errors(label, GOALS["cluster"], json.loads(report.read_text()))

    def parities(self, p):
        for comm in ["ideal", "stream", "batched"]:
            failed = []
            for name in SCHEDULES:
                result, codes = self.run_job(
                    p, ["-q", "replay", name, "-p", str(p), "-m", str(2 * p), *COSTS[:6],
                        "--comm", comm, "--workload", "tensors", *SMALL_TENSORS,
                        "--format", "json"], 60)
                if has_failed(codes) or not json.loads(result.out)["parity"]["holds"]:
                    failed.append(f"{name}: {result.complaint()}")
            self.judge(f"nccl p={p}, {comm}: parity", "; ".join(failed) or "all", "all", not failed)

    def kill_one(self, p):
        patience = 5

        def kill(started):
            time.sleep(10)
            started[1].kill()
        result, codes = self.run_job(
            p, ["-q", "replay", "1f1b", "-p", str(p), "-m", str(2 * p), "--forward", "100ms",
                "--input-grad", "100ms", "--weight-grad", "100ms", "--repeats", "1000",
                "--timeout", f"{patience}s"], 60, kill)
        codes = codes[:1] + codes[2:]
        holds = codes and all(code == NO_DEVICE for code in codes) and result.seconds <= 10 + patience + 10 \
            and result.err.count("rank 1 ") == 1
        self.judge(f"nccl p={p}: rank 1 is killed", f"exit codes {codes}, {result.complaint()}",
                   f"{NO_DEVICE} everywhere within {patience + 10} s, rank 1 named once", holds)

    def judge_errors(self, label, goals, report):
        results = report["results"]
        errors = [abs(each["step_error"]) for each in results]
        noise = max(each["noise"] for each in results)
        median, worst = statistics.median(errors), max(errors)
        self.judge(f"{label}: step error, median", f"{median:.3%}, noise up to {noise:.3%}",
                   f"<= {goals['median']:.1%}", median <= goals["median"])
        self.judge(f"{label}: step error, largest", f"{worst:.3%}", f"<= {goals['max']:.1%}",
                   worst <= goals["max"])
        bubble = max(abs(each["bubble_error_points"]) for each in results)
        self.judge(f"{label}: bubble, largest error", f"{bubble:.2f} points",
                   f"<= {goals['bubble']} points", bubble <= goals["bubble"])
        if "start_p95" in goals:
            start = max(each["start_error_ns"]["p95"] for each in results)
            self.judge(f"{label}: op start, p95", f"{start / 1e3:.1f} us",
                       f"<= {goals['start_p95'] / 1e3:.0f} us", start <= goals["start_p95"])
        ranking = report["ranking"]
        self.judge(f"{label}: ranking beyond twice the noise",
                   f"{ranking['right']} of {ranking['pairs']} pairs right", "all",
                   ranking["pairs"] > 0 and not ranking["wrong"])
        parities = [each["parity"] for each in results if each.get("parity")]
        if parities:
            error = max(each["gradient_error"] for each in parities)
            self.judge(f"{label}: parity", f"worst gradient {error:.1e}",
                       f"<= {parities[0]['tolerance']:.0e}",
                       all(each["holds"] for each in parities))

    def faults(self):
        before = memory_used()
        shape = ["1f1b", "-p", "4", "-m", "8", *COSTS, "--backend", "cuda"]
        for launch in ["graph", "streams"]:
            for workload in [[], ["--workload", "tensors", *SMALL_TENSORS]]:
                self.hang(f"hang, {'tensors' if workload else 'timed'}, {launch}",
                          [*shape, *workload, "--launch", launch], "1F2")
        # Behind it a stream has no room for all that is launched.
        self.hang("hang, timed, streams, -m 1000",
                  ["1f1b", "-p", "2", "-m", "1000", *COSTS, "--backend", "cuda",
                   "--launch", "streams"], "1F0")
        for launch in ["graph", "streams"]:
            self.failure(f"a kernel that fails, {launch}", [*shape, "--launch", launch])
        result = self.run(["-q", "replay", *shape, "--workload", "tensors", "--tokens", "4096",
                           "--hidden", "65536", "--inner", "131072"])
        self.judge("out of memory", f"exit code {result.code}: {result.complaint()}",
                   f"{NO_DEVICE}, in one line",
                   result.code == NO_DEVICE and "no memory for" in result.err)
        self.judge_memory(before)

    def hang(self, label, arguments, action):
        patience, slack = 5, 10
        result = self.run(["-q", "replay", *arguments, "--timeout", f"{patience}s",
                           "--inject", f"hang:1:{action}"])
        holds = result.code == NO_DEVICE and result.seconds <= patience + slack \
            and f"rank 1: {action} has begun and not ended" in result.err
        self.judge(label, f"exit code {result.code} after {result.seconds:.1f} s",
                   f"{NO_DEVICE} within {patience + slack} s, {action} named", holds)

    def failure(self, label, arguments):
        """A kernel breaks its context; the trace of the actions before it is kept."""
        with tempfile.TemporaryDirectory() as folder:
            trace = pathlib.Path(folder) / "failed.json"
            result = self.run(["-q", "replay", *arguments, "--inject", "fail:1:1F2",
                               "--trace", str(trace)])
            kept = trace.exists() and "1F2" in json.loads(trace.read_text())["otherData"]["fault"]
        said = result.err.strip().splitlines() or ["nothing"]
        self.judge(label, f"exit code {result.code}: {said[0][:160]}{'' if kept else '; no trace'}",
                   f"{NO_DEVICE}, 1F2 named, the trace kept",
                   result.code == NO_DEVICE and "1F2" in result.err and kept)

    def judge_memory(self, before):
        if before is None:
            return
        time.sleep(2)
        after = memory_used()
        self.judge("nothing is left on the GPU", f"{before} MiB before, {after} MiB after",
                   "as before", after <= before + 64)

    def sanitizers(self):
        tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
        if not os.access(tool, os.X_OK):
            print("compute-sanitizer is not here", file=sys.stderr)
            return
        small = ["1f1b", "-p", "2", "-m", "4", *COSTS, "--backend", "cuda", "--launch", "streams",
                 "--repeats", "1", "--warm-ups", "0", "--timeout", "100s"]
        for check in ["memcheck", "racecheck"]:
            for workload in [[], ["--workload", "tensors", *SMALL_TENSORS]]:
                result = self.run(["-q", "replay", *small, *workload], 150,
                                  [tool, "--tool", check, "--error-exitcode", "66"])
                lines = [line for line in result.out.splitlines() if "SUMMARY" in line]
                self.judge(f"{check}, {'tensors' if workload else 'timed'}",
                           (lines or [result.complaint()])[-1].strip("= "), "no error",
                           result.code == 0)

        result = self.run([], 150, [tool, "--tool", "memcheck", "--error-exitcode", "66",
                                    self.options.nccl_probe], "")
        lines = [line for line in result.out.splitlines() if "SUMMARY" in line]
        self.judge("memcheck, NCCL, one rank", (lines or [result.complaint()])[-1].strip("= "),
                   "no error", result.code == 0)

    def save(self):
        write(self.path("proof"), json.dumps({
            "format": "bubblescope-gpu-proof/1",
            "command": "tests/gpu/run " + " ".join(self.options.parts),
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "goals": self.rows}, indent=2) + "\n")

    def table(self):
        wide = max(len(row["goal"]) for row in self.rows)
        lines = [f"{'PASS' if row['holds'] else 'FAIL'}  {row['goal']:<{wide}}  {row['found']}"
                 f"  (goal: {row['wanted']})" for row in self.rows]
        missed = sum(not row["holds"] for row in self.rows)
        return "\n".join(lines) + f"\n{len(lines) - missed} of {len(lines)} goals are met\n"


def memory_used():
    """MiB in use on the first GPU, or None where nvidia-smi is missing."""
    try:
        done = subprocess.run(["nvidia-smi", "--query-gpu=memory.used",
                               "--format=csv,noheader,nounits"],
                              capture_output=True, text=True, timeout=30, check=True)
        return int(done.stdout.split()[0])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None


def has_failed(codes):
    """Of a job: None is one that ran out of time, and no codes a job that was not run."""
    return not codes or any(code != 0 for code in codes)


def count_gpus():
    """That CUDA shows; an instance of MIG is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip()])
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30,
                              check=True)
        return sum(line.startswith("GPU ") for line in done.stdout.splitlines())
    except (OSError, subprocess.SubprocessError):
        return 1


def find_nccl():
    """The library of a Python package, where the loader finds none."""
    try:
        ctypes.CDLL("libnccl.so.2")
        return None
    except OSError:
        pass
    for folder in sys.path:
        for library in pathlib.Path(folder).glob("nvidia/nccl/lib/libnccl.so*"):
            return str(library)
    return None


def write(path, text):
    """The file is complete or absent."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def main():
    parts = ["replays", "timed", "tensors", "crosscheck", "faults", "nccl", "sanitizers"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--nccl-probe", required=True)
    parser.add_argument("--measured", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=1140, help="for all parts together")
    parser.add_argument("parts", nargs="+", choices=parts)
    options = parser.parse_args()
    options.measured.mkdir(parents=True, exist_ok=True)
    proof = Proof(options)
    if not proof.find_device():
        return NO_DEVICE
    for part in parts:
        if part in options.parts:
            try:
                getattr(proof, part)()
            except (LookupError, TypeError, ValueError, OSError,
                    subprocess.SubprocessError) as error:
                proof.judge(part, f"a report lacks what is judged: {error!r}", "a report", False)
            proof.save()
    print(proof.table(), end="")
    return 0 if all(row["holds"] for row in proof.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
