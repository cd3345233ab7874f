"""Runs commands within a budget, judges what they show, and keeps that in a file at once."""

import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

PASS, FAIL, NOT_RUN = "PASS", "FAIL", "not run"
GPU_STATE = ["driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "temperature.gpu",
             "power.draw", "power.limit", "clocks_event_reasons.active"]


class Cut(Exception):
    """The slice of a part is over."""


class Result:
    """What a command did. `code` is None where it ran out of time."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    def complaint(self):
        last = self.err.strip().splitlines()
        return last[-1][:160] if last else f"exit code {self.code}"


class Proof:
    """The parts of a call, each of which runs until its slice ends."""

    def __init__(self, options, parts):
        self.options = options
        self.end = time.monotonic() + options.seconds
        self.slice_end = self.end
        self.device = None
        self.part = None
        self.marked = time.monotonic()  # when the last goal was judged
        self.rows = []
        self.parts = [{"part": part, "state": NOT_RUN} for part in parts]

    def run_part(self, index, share, function):
        """`share` of the time that is left is its slice: what one does not need, the next have."""
        self.part = self.parts[index]
        begin = self.marked = time.monotonic()
        left = max(0.0, self.end - begin)
        self.slice_end = begin + share * left
        self.part |= {"slice_s": round(share * left, 1), "gpu_before": gpu_state()}
        state = "done"
        try:
            function(self)
        except Cut:
            state = "cut off"
            self.judge(self.part["part"], f"cut off: its slice of {share * left:.0f} s is over",
                       "to its end", None)
        except Exception as error:  # whatever it is, the next parts run
            state = "failed"
            self.judge(self.part["part"], f"the part failed: {error!r}", "to its end", False)
        self.part |= {"state": state, "seconds": round(time.monotonic() - begin, 1),
                      "gpu_after": gpu_state()}
        self.save()

    def limit(self, wanted):
        left = self.slice_end - time.monotonic()
        if left <= 0:
            raise Cut
        return min(wanted, left)

    def run(self, arguments, limit=60, prefix=(), program=None):
        """Runs the program, or another. Raises Cut where the slice ends before its limit."""
        allowed = self.limit(limit)
        command = [*prefix, program or self.options.program, *arguments]
        begin = time.monotonic()
        try:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       text=True, errors="replace", start_new_session=True)
        except OSError as error:
            return Result(None, "", str(error), 0)
        try:
            out, err = process.communicate(timeout=allowed)
        except subprocess.TimeoutExpired:
            if allowed < limit:
                raise Cut from None
            return Result(None, "", f"not done after {limit:.0f} s", time.monotonic() - begin)
        finally:
            end_all(process)
        return Result(process.returncode, out, err, time.monotonic() - begin)

    def run_job(self, processes, arguments, limit=120, after_start=None):
        """Runs the program as that many processes, a GPU each: what rank 0 did, all exit codes."""
        allowed = self.limit(limit)
        begin = time.monotonic()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            master = f"127.0.0.1:{free.getsockname()[1]}"
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(pathlib.Path(folder) / f"{i}", "w+"))
                     for i in range(2 * processes)]
            started = []
            for rank in range(processes):
                started.append(subprocess.Popen(
                    [self.options.program, *arguments, "--backend", "nccl", "--master", master,
                     "--rank", str(rank), "--world-size", str(processes), "--local-rank",
                     str(rank)], stdout=files[2 * rank], stderr=files[2 * rank + 1],
                    start_new_session=True))
                stack.callback(end_all, started[-1])
            if after_start:
                after_start(started)
            codes = []
            for each in started:
                try:
                    codes.append(each.wait(max(0.1, begin + allowed - time.monotonic())))
                except subprocess.TimeoutExpired:
                    if allowed < limit:
                        raise Cut from None
                    codes.append(None)
            texts = [pathlib.Path(file.name).read_text(errors="replace") for file in files]
        return (Result(codes[0], texts[0], "".join(texts[1::2]), time.monotonic() - begin), codes)

    def judge(self, goal, found, wanted, holds):
        """`holds` is None where it was not run."""
        now = time.monotonic()
        verdict = NOT_RUN if holds is None else PASS if holds else FAIL
        self.rows.append({"part": self.part["part"], "goal": goal, "found": str(found),
                          "wanted": wanted, "verdict": verdict,
                          "seconds": round(now - self.marked, 1)})
        self.marked = now
        print(f"{verdict:<8}{goal}: {found}", file=sys.stderr, flush=True)
        self.save()

    def path(self, name):
        return self.options.measured / f"{self.device}-{name}.json"

    def save(self):
        write(self.path("proof"), json.dumps({
            "format": "bubblescope-gpu-proof/2", "command": self.options.command,
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "host": socket.gethostname(), "machine": self.options.machine, "parts": self.parts,
            "goals": self.rows}, indent=2) + "\n")

    def all_rows(self):
        """Those judged, and one for each part that the time did not reach."""
        judged = {row["part"] for row in self.rows}
        return self.rows + [
            {"part": each["part"], "goal": each["part"], "found": "the time is over",
             "wanted": "", "verdict": NOT_RUN, "seconds": 0.0}
            for each in self.parts if each["state"] == NOT_RUN and each["part"] not in judged]

    def table(self):
        rows = [["part", "goal", "value", "", "s"]]
        for row in self.all_rows():
            value = row["found"] if len(row["found"]) <= 100 else row["found"][:99] + "…"
            if row["verdict"] == FAIL:
                value += f"  (goal: {row['wanted']})"
            rows.append([row["part"], row["goal"], value, row["verdict"], f"{row['seconds']:.0f}"])
        wide = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = ["  ".join([*(cell.ljust(wide[i]) for i, cell in enumerate(row[:4])),
                            row[4].rjust(4)]) for row in rows]
        counts = {verdict: sum(row[3] == verdict for row in rows)
                  for verdict in (PASS, FAIL, NOT_RUN)}
        return "\n".join(lines) + "\n" + ", ".join(
            f"{count} {verdict}" for verdict, count in counts.items()) + "\n"


def end_all(process):
    """Also what it has started itself, such as the program under a tool."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ask_gpus(*arguments):
    """What nvidia-smi says, or nothing where it is missing. It only reads."""
    try:
        return subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True,
                              timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def gpu_state():
    """Clocks and what holds them down, of the first GPU."""
    text = ask_gpus("--query-gpu=" + ",".join(GPU_STATE), "--format=csv,noheader").splitlines()
    return dict(zip(GPU_STATE, (each.strip() for each in text[0].split(",")))) if text else None


def memory_used():
    """MiB in use on the first GPU, or None where nvidia-smi is missing."""
    text = ask_gpus("--query-gpu=memory.used", "--format=csv,noheader,nounits").split()
    return int(text[0]) if text and text[0].isdigit() else None


def count_gpus():
    """That CUDA shows; an instance of MIG is none."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([each for each in visible.split(",") if each.strip()])
    return max(1, sum(line.startswith("GPU ") for line in ask_gpus("-L").splitlines()))


def find_library(variable, *names):
    """Names a library of Python's packages, as PyTorch brings them, where the loader finds none."""
    if os.environ.get(variable):
        return
    for name in names:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            return
    for name in names:
        for folder in sys.path:
            for library in sorted(pathlib.Path(folder or ".").glob(f"nvidia/*/lib/{name}")):
                os.environ[variable] = str(library)
                return


def write(path, text):
    """The file is complete or absent."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
